import { basename } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { ActualOverlay, EndpointLink, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { portNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import { PeeredReconciler } from '../support/peered-reconciler.ts'
import type { Ip } from '../../src/net/ip.ts'
import { LabUnderlay, type LabContainer, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'
import { endpointLink } from '../support/endpoint-link.ts'

const obstacle = NetnsLab.obstacle()

/** What somebody may do by hand in an overlay's namespace; PORT and MAC are the local endpoint's. */
const sabotage: readonly string[] = [
  'bridge fdb del REMOTE dev vxlan0 dst VTEP',
  'bridge fdb replace REMOTE dev vxlan0 dst 192.168.200.99',
  'bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst 192.168.200.99',
  'bridge fdb add 02:99:99:99:99:99 dev vxlan0 dst 192.168.200.99',
  'bridge fdb replace MAC dev vxlan0 dst 192.168.200.99',
  'ip neigh del IP dev vxlan0',
  'ip neigh replace IP lladdr 02:99:99:99:99:99 dev vxlan0 nud permanent',
  'ip neigh add 10.30.9.9 lladdr 02:99:99:99:99:99 dev vxlan0 nud permanent',
  'ip link set vxlan0 down',
  'ip link set vxlan0 mtu 1300',
  'ip link set vxlan0 nomaster',
  'ip link set vxlan0 address 06:00:00:00:00:01',
  'ip link set vxlan0 alias ',
  'ip link set vxlan0 type vxlan id VNI learning',
  'ip link del vxlan0',
  'bridge link set dev vxlan0 learning on',
  'bridge link set dev vxlan0 flood off',
  'ip link set br0 down',
  'ip link set br0 mtu 1300',
  'ip addr flush dev br0',
  'ip addr add 10.99.0.1/16 dev br0',
  'ip link del br0',
  'ip link set PORT down',
  'ip link set PORT nomaster',
  'ip link set PORT mtu 1300',
  'bridge fdb del MAC dev PORT master',
  'bridge fdb add 02:99:99:99:99:99 dev PORT master static',
  'bridge link set dev PORT flood on',
  'bridge link set dev PORT learning on',
  'tc qdisc del dev PORT clsact',
  'tc filter del dev vxlan0 ingress',
  'ip link del PORT',
]

describe('the audit of a Linux kernel', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let hosts: LabHost[]
  let reconciler: PeeredReconciler
  let links: OverlayLinks
  let near: LabContainer
  let far: LabContainer
  let link: EndpointLink

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`audit of a Linux kernel skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    hosts = [await underlay.addHost(), await underlay.addHost()]
    const [here, there] = hosts as [LabHost, LabHost]
    links = await here.links('uber-net', 5001)
    await there.dataplane.ensureOverlay(await there.links('uber-net', 5001))
    far = await there.startContainer(links, '10.30.0.11' as Ip)
    reconciler = new PeeredReconciler({
      dataplane: here.dataplane,
      clock: systemClock,
      logger: silentLogger,
    })
    const { vni } = links
    const { endpointId, ip, mac } = far
    const peer = {
      vni,
      origin: 'there',
      endpointId,
      ips: [ip],
      mac,
      vtep: there.vtep,
      claimedAt: 1,
      live: true,
    }
    reconciler.applyPeers([{ previous: null, next: peer }])
    await reconciler.attachOverlay(links)
    near = await here.startContainer(links, '10.30.0.10' as Ip)
    const { mtu } = links
    const sandboxKey = `/var/run/docker/netns/${basename(near.netns)}`
    link = { ...endpointLink(near.endpointId, near.mac, { ips: [near.ip], mtu }), sandboxKey }
    await reconciler.attachEndpoint('uber-net', link)
    await there.learn(near, here.vtep)
  })

  afterEach(async () => {
    await reconciler.stop()
    for (const host of hosts) await host.close()
    lab.close()
  })

  const reach = async (): Promise<boolean> => {
    await lab.forwarding(hosts[0]!.pin('uber-net'))
    return lab.ping(near.netns, far.ip)
  }

  async function auditOnce(): Promise<number> {
    const [report] = await reconciler.audit()
    expect(report, JSON.stringify(reconciler.status())).to.not.equal(undefined)
    expect(report).to.deep.include({ missing: [] })
    return Object.values(report!.drift).reduce((sum, count) => sum + count, 0)
  }

  it('finds links that have no addresses but the gateways', async () => {
    const all = await lab.json(hosts[0]!.pin('uber-net'), 'ip', 'addr', 'show')
    const addresses = all.flatMap((link) => link.addr_info ?? []).map(({ local }) => local)
    expect(addresses).to.deep.equal(['10.30.0.1'])
  })

  it('finds nothing where nothing is wrong', async () => {
    expect(await auditOnce()).to.equal(0)
    expect(await reach()).to.equal(true)
  })

  /** Without the counters of frames. */
  async function dumped({ dataplane }: LabHost): Promise<Partial<ActualOverlay>> {
    const { fastPath, traffic: _, ...rest } = (await dataplane.dump('uber-net'))!
    expect(fastPath.reason).to.equal(null)
    return rest
  }

  it(`repairs what ${sabotage.length} commands break, each alone`, async () => {
    const [here, there] = hosts as [LabHost, LabHost]
    for (const template of sabotage) {
      const command = template
        .replaceAll('REMOTE', far.mac)
        .replaceAll('VTEP', there.vtep)
        .replaceAll('MAC', near.mac)
        .replaceAll('IP', far.ip)
        .replaceAll('VNI', String(links.vni))
        .replaceAll('PORT', portNameOf('uber-net', near.endpointId))
      const before = await dumped(here)
      await lab.run(here.pin('uber-net'), ...command.split(' '))
      expect(await auditOnce(), `found: ${command}`).to.be.greaterThan(0)
      expect(await dumped(here), `repaired: ${command}`).to.deep.equal(before)
      expect(await auditOnce(), `settled: ${command}`).to.equal(0)
      expect(await reach(), `traffic after: ${command}`).to.equal(true)
    }
  })

  it("leaves alone what others put into an overlay's namespace, whatever its name", async () => {
    const [pin, add] = [hosts[0]!.pin('uber-net'), ['ip', 'link', 'add']]
    const foreign = ['br1', 'vxlan1', 'tso0123456789ab', 'ts-overlay']
    for (const name of foreign) await lab.run(pin, ...add, name, 'type', 'bridge')
    const veth = ['type', 'veth', 'peer', 'name', 'theirs2']
    await lab.run(pin, ...add, 'theirs', 'master', 'br0', ...veth)
    expect(await auditOnce()).to.equal(0)
    await hosts[0]!.dataplane.close()
    await hosts[0]!.dataplane.start()
    expect(await auditOnce()).to.equal(0)
    const names = (await lab.json(pin, 'ip', 'link')).map(({ ifname }) => ifname)
    expect(names).to.include.members([...foreign, 'theirs', 'theirs2'])
    expect(await reach()).to.equal(true)
  })

  it('puts a pin back that somebody took away, and goes on', async () => {
    const pin = hosts[0]!.pin('uber-net')
    await lab.run('/proc/self/ns/net', 'umount', pin)
    expect(await auditOnce()).to.equal(0)
    expect(await hosts[0]!.dataplane.overlays()).to.deep.equal(['uber-net'])
    expect(await reach()).to.equal(true)
  })

  it('recreates a veth pair that was removed in its container, with all that the engine had set', async () => {
    const engineMade = ['ip', 'link', 'add', 'eth1', 'type', 'bridge']
    await lab.run(near.netns, ...engineMade)
    const seen = async (): Promise<object> => {
      const [link] = await lab.json(near.netns, 'ip', 'addr', 'show', 'eth0')
      const { ifname, address, mtu, group, operstate, ifalias, addr_info } = link!
      const addresses = addr_info!.map(({ local, prefixlen }) => ({ local, prefixlen }))
      return { ifname, address, mtu, group, operstate, ifalias, addresses }
    }
    const before = await seen()
    await lab.run(near.netns, 'ip', 'link', 'del', 'eth0')
    expect(await auditOnce()).to.equal(1)
    expect(await seen()).to.deep.equal(before)
    expect(await auditOnce()).to.equal(0)
    expect(await reach()).to.equal(true)
    expect(await lab.ping(far.netns, near.ip)).to.equal(true)
  })

  it('reports a veth pair that is gone with its container, and leaves one that nobody attached', async () => {
    const [here] = hosts as [LabHost]
    await lab.run(near.netns, 'ip', 'link', 'del', 'eth0')
    lab.remove(near.netns)
    const stray = endpointLink('stray', far.mac, { mtu: links.mtu })
    await here.dataplane.ensureEndpoint('uber-net', stray)
    const [report] = await reconciler.audit()
    expect(report).to.deep.include({ missing: [near.endpointId] })
    expect(reconciler.status().overlays[0]).to.deep.include({ missing: [near.endpointId] })
    const left = (await here.dataplane.dump('uber-net'))!.endpoints
    expect(left.map(({ endpointId }) => endpointId)).to.deep.equal(['stray'])
    await reconciler.detachEndpoint('uber-net', 'stray')
    await reconciler.detachEndpoint('uber-net', near.endpointId)
    const [after] = await reconciler.audit()
    expect(after).to.deep.include({ missing: [] })
  })
})
