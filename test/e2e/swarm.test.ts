/**
 * In swarm mode: a service's tasks on two nodes, on a network that the swarm's leader made, reach
 * each other by name and address.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Host } from '../support/lab/host.ts'
import { pluginName } from '../support/lab/host.ts'
import { labImage } from '../support/lab/image.ts'
import { guest } from '../support/lab/paths.ts'
import { until } from '../support/lab/processes.ts'
import {
  createNetwork,
  expectAnswers,
  expectAnswersIn,
  host,
  members,
  ours,
  start,
} from './cluster.ts'

/** Swarm takes managed plugins alone, by their full name. */
const driver = `${pluginName}:latest`
/** Away from what swarm has for itself. */
const swarmSettings = { SCOPE: 'global', GOSSIP_PORT: '7947', VXLAN_PORT: '4790' }
const usualSettings = { SCOPE: 'local', GOSSIP_PORT: '7946', VXLAN_PORT: '4789' }

async function setAll(settings: Readonly<Record<string, string>>): Promise<void> {
  for (const on of members()) {
    await on.docker(['plugin', 'disable', '--force', pluginName])
    await on.setPlugin(settings)
    await on.docker(['plugin', 'enable', pluginName])
  }
  await Promise.all(
    members().map((on) =>
      on.pluginStatusWhen(
        (status) => status.members.filter(({ state }) => state === 'alive').length === 3,
        20_000,
      ),
    ),
  )
}

/** The only container of a service on a node. */
async function taskOn(on: Host): Promise<{ id: string; address: string }> {
  const { stdout } = await on.docker(['ps', '--quiet', '--filter', 'name=^web[.]'])
  const id = stdout.trim()
  const format = '{{(index .NetworkSettings.Networks "swarmed").IPAddress}}'
  const inspected = await on.docker(['inspect', '--format', format, id])
  return { id, address: inspected.stdout.trim() }
}

async function runService(leader: Host): Promise<void> {
  const script = `${guest.project}/examples/swarm/manager.sh`
  await leader.exec(['sh', script], { env: { DRIVER: driver, IMAGE: labImage } })
  const running = ['service', 'ps', 'web', '--filter', 'desired-state=running']
  await until(
    async () => {
      const { stdout } = await leader.docker([...running, '--format', '{{.CurrentState}}'])
      return stdout.match(/^Running/gm)?.length === 2
    },
    'two tasks run',
    60_000,
    500,
  )
}

describe('a swarm of two nodes', () => {
  const nodes = (): readonly [Host, Host] => [host(1), host(2)]

  before(async function () {
    this.timeout(90_000)
    await setAll(swarmSettings)
    const [leader, worker] = nodes()
    await leader.docker(['swarm', 'init', '--advertise-addr', leader.address])
    const { stdout: token } = await leader.docker(['swarm', 'join-token', '--quiet', 'worker'])
    await worker.docker(['swarm', 'join', '--token', token.trim(), `${leader.address}:2377`])
  })

  after(async function () {
    this.timeout(90_000)
    for (const node of nodes()) await node.docker(['swarm', 'leave', '--force'], { reject: false })
    await setAll(usualSettings)
  })

  it('has a service whose tasks reach each other by name and address, and that leaves nothing', async function () {
    this.timeout(120_000)
    const [leader, worker] = nodes()
    await runService(leader)
    const tasks = [await taskOn(leader), await taskOn(worker)] as const
    expect(tasks[0].address)
      .to.match(/^10\.60\.0\./)
      .and.not.equal(tasks[1].address)
    for (const [i, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      await expectAnswersIn(nodes()[i], tasks[i].id, tasks[other].address)
      const { stdout } = await nodes()[i].docker(['exec', tasks[i].id, 'nslookup', 'tasks.web'])
      for (const { address } of tasks) expect(stdout).to.include(address)
    }
    const overlays = await Promise.all(
      nodes().map(async (node) => (await node.pluginStatus()).overlays),
    )
    const facts = overlays.map(([overlay]) => [overlay!.overlayId, overlay!.vni])
    expect(facts[0]).to.deep.equal(facts[1])

    // A container that no service has, on the other node.
    const run = ['run', '-d', '--name', 'single', '--network', 'swarmed', labImage, 'sleep', '99']
    await worker.docker(run)
    await expectAnswersIn(worker, 'single', tasks[0].address)
    await worker.docker(['rm', '--force', 'single'])

    await leader.docker(['service', 'rm', 'web'])
    await until(
      async () => {
        await sleep(500)
        const left = await Promise.all(nodes().map((node) => node.docker(['ps', '--quiet'])))
        return left.every(({ stdout }) => stdout === '')
      },
      'the tasks are gone',
      30_000,
    )
    await leader.docker(['network', 'rm', 'swarmed'])
    await untilNoOverlay(nodes())
  })

  it('goes on having networks of each host alone, by the short name', async () => {
    await createNetwork(nodes(), 'local', [...ours, '--subnet', '10.61.0.0/24'])
    const address = await start(host(1), 'local', 'c1')
    await expectAnswers(host(2), 'local', address)
  })
})

function untilNoOverlay(nodes: readonly Host[]): Promise<void> {
  return until(
    async () => {
      const statuses = await Promise.all(nodes.map((node) => node.pluginStatus()))
      return statuses.every(({ overlays }) => overlays.length === 0)
    },
    'no node has the network any more',
    20_000,
  )
}
