/**
 * The scripts of `examples/` do what their READMEs say. That of the swarm is run by
 * `swarm.test.ts`.
 */
import { expect } from 'chai'
import { host } from './cluster.ts'
import { labImage } from '../support/lab/image.ts'
import { guest } from '../support/lab/paths.ts'

describe('the example', () => {
  it('of two hosts has a container on one that a container on the other reaches', async () => {
    const folder = `${guest.project}/examples/two-hosts`
    const env = { IMAGE: labImage }
    const first = await host(1).exec(['sh', `${folder}/first-host.sh`], { env })
    const address = first.stdout.trim()
    expect(address).to.match(/^10\.10\.\d+\.\d+$/)
    const second = await host(2).exec(['sh', `${folder}/second-host.sh`, address], { env })
    expect(second.stdout).to.contain('3 packets transmitted, 3 ')
  })
})
