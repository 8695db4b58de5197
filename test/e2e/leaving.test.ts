/**
 * What is left when containers stop and networks go: nothing, on any host. After every test a hook
 * looks at interfaces, namespaces and books; here also at the rows that other hosts have, and at
 * each way of ending.
 */
import { expect } from 'chai'
import { createNetwork, expectAnswers, expectAnswersIn, host, ours, start } from './cluster.ts'
import { overlayKernel, overlayPins } from '../support/lab/overlay-kernel.ts'
import { until } from '../support/lab/processes.ts'
import { leftovers, onlyVni } from './leftovers.ts'

/**
 * The rows that host 1 has for other hosts' endpoints on its only overlay: FDB rows and neighbours.
 */
async function rowsOnHost1(): Promise<string[]> {
  const kernel = await overlayKernel(host(1), await onlyVni(host(1)))
  return [
    ...kernel!.fdb.filter(({ mac }) => mac !== '00:00:00:00:00:00').map(({ mac }) => `fdb ${mac}`),
    ...kernel!.neighbours.map(({ dst }) => `neighbour ${dst}`),
  ]
}

/** An overlay's namespace outlives its last endpoint there by a moment, for the next one. */
async function untilNoNamespaceOn(index: number): Promise<void> {
  const isGone = async (): Promise<boolean> => (await overlayPins(host(index))).length === 0
  await until(isGone, `end of the namespace on host ${index}`, 5000, 100)
}

/** Each way that a container can end on host 2, where it is called `ending`. */
const endings: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'docker rm -f': [['rm', '-f', 'ending']],
  'docker stop': [['stop', '-t', '0', 'ending']],
  'docker kill': [['kill', 'ending']],
  'docker network disconnect': [['network', 'disconnect', 'n', 'ending']],
}

describe('a container that ends', () => {
  for (const [name, commands] of Object.entries(endings)) {
    it(`leaves no row on the other hosts after ${name}`, async () => {
      await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.70.0.0/24'])
      await start(host(1), 'n', 'stays')
      const address = await start(host(2), 'n', 'ending')
      await expectAnswersIn(host(1), 'stays', address)
      expect(await rowsOnHost1()).to.have.lengthOf(2)
      for (const command of commands) await host(2).docker(command)
      await until(async () => (await rowsOnHost1()).length === 0, 'removal of the rows', 5000, 100)
      await untilNoNamespaceOn(2)
    })
  }

  it('comes back with docker restart and is reached again', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.71.0.0/24'])
    await start(host(1), 'n', 'c1', ['--ip', '10.71.0.20'])
    await expectAnswers(host(2), 'n', '10.71.0.20')
    await host(1).docker(['restart', '-t', '0', 'c1'])
    await expectAnswers(host(2), 'n', '10.71.0.20')
    await untilNoNamespaceOn(2)
  })
})

describe('networks and containers', () => {
  it('leave nothing behind after being made and removed again and again', async () => {
    const both = [host(1), host(2)]
    for (let round = 0; round < 5; round++) {
      const subnet = `10.72.${round}.0/24`
      await createNetwork(both, `n${round}`, [...ours, '--subnet', subnet])
      await Promise.all(both.map((on) => start(on, `n${round}`, `c${round}`)))
      await Promise.all(both.map((on) => on.docker(['rm', '-f', `c${round}`])))
      await Promise.all(both.map((on) => on.docker(['network', 'rm', `n${round}`])))
    }
    expect(await leftovers(both)).to.deep.equal([])
  })
})
