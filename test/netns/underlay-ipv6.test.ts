/** Whole plugins on an underlay of IPv6, and on one where hosts have VTEPs of both families. */
import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginContainers } from './plugin-containers.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'

/** The link's 1500 bytes less IPv6 40, UDP 8, VXLAN 8 and Ethernet 14. */
const innerMtu = 1430

describe('an underlay of IPv6', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let containers: PluginContainers

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`plugins over IPv6 skipped: ${obstacle}\n`)
    this.skip()
  })
  afterEach(() => all?.close())

  async function create(...families: ('IPv4' | 'IPv6')[]): Promise<[PluginHost, PluginHost]> {
    const prepare = async (lab: NetnsLab) => {
      containers = await PluginContainers.create(lab, ['a', 'b', 'c'])
      return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off', BIND_ADDR: '::' }
    }
    all = await PluginHosts.create(2, ['10.84.0.0/24', 'fd00:84::/64'], prepare, families)
    for (const { story } of all.hosts) await story.createNetwork()
    return all.hosts as [PluginHost, PluginHost]
  }

  it('carries gossip, agreement, and frames of the MTU that it leaves, through the filter', async () => {
    const [one, two] = await create('IPv6', 'IPv6')
    const a = await containers.run(one, 'a')
    const b = await containers.run(two, 'b')
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      expect(await containers.lost(from, to), `${from.name} → ${to.name}`).to.equal(0)
    const link = await containers.in(a, 'ip', '-o', 'link', 'show', 'eth0')
    expect(link).to.include(`mtu ${innerMtu} `)
    const full = ['ping', '-c', '1', '-W', '5', '-M', 'do', '-s', String(innerMtu - 28)]
    expect(await containers.in(a, ...full, b.ips[0]!)).to.include('1 received')
    const { overlays, members, findings } = await one.plugin.status()
    expect(overlays[0]!.peers[0]!.vtep).to.equal('2001:db8::2')
    expect(members.map(({ address }) => address).sort()).to.deep.equal([
      '2001:db8::1',
      '2001:db8::2',
    ])
    expect(findings.list).to.deep.equal([])
  })

  it('is found again by a host whose plugin was killed', async () => {
    const [one, two] = await create('IPv6', 'IPv6')
    const a = await containers.run(one, 'a')
    await two.kill()
    await two.start('')
    await all.together()
    const c = await containers.run(two, 'c')
    expect(await containers.lost(c, a)).to.equal(0)
  })

  it('with hosts of the other family is a finding on both sides, and no row fails', async () => {
    const [one, two] = await create('IPv4', 'IPv6')
    await containers.run(one, 'a')
    await containers.run(two, 'b')
    for (const [host, other] of [
      [one, two],
      [two, one],
    ] as const) {
      const found = async (): Promise<boolean> => {
        const { findings } = await host.plugin.status()
        return findings.list.some(
          ({ code, text }) =>
            code === 'OVERLAY_UNDERLAY' &&
            text.includes(other.name) &&
            text.includes(other.address),
        )
      }
      await until(found, `${host.name}: the finding`, 20_000, 100)
      const [overlay] = (await host.plugin.status()).dataplane.overlays
      expect(overlay!.lastError).to.equal(null)
      expect(overlay!.fdb).to.equal(0)
    }
  })
})
