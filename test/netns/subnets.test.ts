/** One overlay with several subnets of both families, whole plugins on two hosts. */
import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginContainers, type RunningContainer } from './plugin-containers.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'

const subnets = ['10.81.0.0/24', '10.82.0.0/24', 'fd00:81::/64', 'fd00:82::/64']
const names = ['a', 'b', 'c', 'd', 'e']

describe('an overlay with several subnets', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let containers: PluginContainers

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`overlays with several subnets skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    all = await PluginHosts.create(2, subnets, async (lab) => {
      containers = await PluginContainers.create(lab, names)
      return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off', AUDIT_SECONDS: '5' }
    })
  })
  afterEach(() => all?.close())

  it('carries the first packet between containers of all subnets, on one host and on two', async () => {
    const [one, two] = all.hosts as [PluginHost, PluginHost]
    for (const { story } of all.hosts) await story.createNetwork()
    const running: RunningContainer[] = []
    for (const [name, host, ipv4, ipv6] of [
      ['a', one, '10.81.0.10', 'fd00:81::10'],
      ['b', one, '10.82.0.10', 'fd00:82::10'],
      ['c', two, '10.81.0.20', 'fd00:82::20'],
      ['d', two, '10.82.0.20', 'fd00:81::20'],
    ] as const) {
      const container = await containers.run(host, name, [ipv4, ipv6])
      expect(container.ips).to.deep.equal([ipv4, ipv6])
      for (const other of running) {
        expect(await containers.lost(container, other), `${name} → ${other.name}`).to.equal(0)
        expect(await containers.lost(other, container), `${other.name} → ${name}`).to.equal(0)
      }
      running.push(container)
    }
    // One hop: no router on the way takes one off.
    const [a, , , d] = running
    expect(await containers.timeToLive(a!, d!.ips[0]!)).to.equal(64)
    const [overlay] = (await one.plugin.status()).dataplane.overlays
    expect([overlay!.fdb, overlay!.neighbours]).to.deep.equal([2, 4])
    expect(overlay!.dropped).to.deep.equal({})
    // What leaves for another subnet goes past the bridge like all else.
    const { reason, endpoints } = overlay!.fastPath!
    if (reason !== null) return
    const before = endpoints[a!.endpointId]?.sent.frames ?? 0
    await containers.in(a!, 'ping', '-n', '-c', '20', '-i', '0.05', d!.ips[0]!)
    const sent = async (): Promise<number> => {
      const [now] = (await one.plugin.status()).dataplane.overlays
      return now!.fastPath!.endpoints[a!.endpointId]?.sent.frames ?? 0
    }
    await until(async () => (await sent()) - before >= 20, 'the fast path to be taken', 20_000, 500)
  })

  it('gets another subnet on all hosts while its containers run', async () => {
    const [one, two] = all.hosts as [PluginHost, PluginHost]
    for (const { story } of all.hosts) await story.createNetwork()
    const a = await containers.run(one, 'a', ['10.81.0.10', 'fd00:81::10'])
    const b = await containers.run(two, 'b', ['10.82.0.10', 'fd00:82::10'])
    const path = `/networks/${one.story.networkId}/subnets?subnet=`
    for (const subnet of ['10.83.0.0/30', 'fd00:83::/64'])
      await one.plugin.admin('POST', path + encodeURIComponent(subnet))
    await until(
      async () => (await two.plugin.status()).overlays[0]!.pools.length === 6,
      'the other host to have them',
    )
    // Containers from before have routes; the engine knows no pool of these addresses.
    const c = await containers.run(one, 'c', ['10.83.0.2', 'fd00:83::7'])
    const d = await containers.run(two, 'd', ['10.81.0.20', 'fd00:83::8'])
    for (const [from, to] of [
      [c, a],
      [a, c],
      [c, b],
      [b, c],
      [d, a],
      [a, d],
      [c, d],
    ] as const)
      expect(await containers.lost(from, to), `${from.name} → ${to.name}`).to.equal(0)
    await two.story.stop(d.endpointId)
    const pool = (await two.ipam()).pools.find(({ poolKey }) => poolKey === 'fd00:83::/64')!
    expect(pool.leases).to.deep.equal([])
  })

  it('has those routes again in a veth pair that is created again', async () => {
    const [one, two] = all.hosts as [PluginHost, PluginHost]
    for (const { story } of all.hosts) await story.createNetwork()
    const a = await containers.run(one, 'a', ['10.81.0.10', 'fd00:81::10'])
    const b = await containers.run(two, 'b', ['10.82.0.10', 'fd00:82::10'])
    await containers.in(a, 'ip', 'link', 'del', 'eth0')
    await containers.linked(a)
    expect(await containers.lost(a, b)).to.equal(0)
    expect(await containers.lost(b, a)).to.equal(0)
  })
})
