/**
 * The scripts of `examples/` do what their READMEs say. That of the swarm is run by
 * `swarm.test.ts`.
 */
import { expect } from 'chai'
import { addressOf, expectAnswersIn, host, members } from './cluster.ts'
import { labImage } from '../support/lab/image.ts'
import type { Host } from '../support/lab/host.ts'
import { guest } from '../support/lab/paths.ts'
import { until } from '../support/lab/processes.ts'

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

  for (const file of ['compose.yaml', 'driver-alone.yaml'])
    it(`of Compose has a project on two hosts, which goes down and up on either: ${file}`, async function () {
      if (host(2).engineVersion !== '28.5') return this.skip()
      const folder = `${guest.project}/examples/compose`
      const compose = (on: Host, ...args: string[]) =>
        on.exec(['docker', 'compose', '--file', `${folder}/${file}`, ...args], {
          env: { IMAGE: labImage },
        })
      const network = 'compose_shared'
      const idOf = async (on: Host): Promise<string> => {
        const args = ['network', 'ls', '--no-trunc', '--quiet', '--filter', `name=${network}`]
        return (await on.docker(args)).stdout.trim()
      }
      const onAll = async (): Promise<void> => {
        for (const on of members())
          await until(async () => (await idOf(on)) !== '', `${on.name}: ${network}`)
      }
      await compose(host(1), 'up', '--detach', 'web')
      await onAll()
      const copy = await idOf(host(2))
      await compose(host(2), 'up', '--detach', 'client')
      expect(await idOf(host(2)), 'Compose takes the copy as it is').to.equal(copy)
      const web = await addressOf(host(1), network, 'compose-web-1')
      await expectAnswersIn(host(2), 'compose-client-1', web)
      await resolves(host(2), 'client', 'web', web)
      for (const [one, other, service] of [
        [host(2), host(1), 'client'],
        [host(1), host(2), 'web'],
      ] as const) {
        await compose(one, 'down', '--timeout', '0')
        await onAll()
        await compose(one, 'up', '--detach', service)
        const running = service === 'web' ? 'compose-client-1' : 'compose-web-1'
        const address = await addressOf(one, network, `compose-${service}-1`)
        await expectAnswersIn(other, running, address)
        await resolves(other, service === 'web' ? 'client' : 'web', service, address)
      }
      await Promise.all([host(1), host(2)].map((on) => compose(on, 'down', '--timeout', '0')))
      for (const on of members())
        await until(async () => (await idOf(on)) === '', `${on.name}: no ${network}`)
    })
})

/** Waits until a service's container has that one address for the name of another service. */
async function resolves(on: Host, service: string, name: string, address: string): Promise<void> {
  const words = ['exec', `compose-${service}-1`, 'getent', 'ahostsv4', name]
  await until(async () => {
    const { stdout } = await on.docker(words, { reject: false })
    return (
      stdout.split('\n').every((line) => line === '' || line.startsWith(`${address} `)) &&
      stdout !== ''
    )
  }, `${name} on ${on.name} to be ${address}`)
}
