import { expect } from 'chai'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxTunnelProbes } from '../../src/dataplane/linux/probes/tunnel-probes.ts'
import type { Ip } from '../../src/net/ip.ts'
import { until } from '../support/lab/processes.ts'
import { type LabHost, LabUnderlay } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
const [vni, overlayId] = [5005, 'probed-net']

describe('probes through the tunnels', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let hosts: LabHost[]
  let links: OverlayLinks[]
  let probes: LinuxTunnelProbes[]
  let received: string[][]

  before(function () {
    if (obstacle !== null) this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    hosts = [await underlay.addHost(), await underlay.addHost()]
    links = await Promise.all(hosts.map((host) => host.links(overlayId, vni)))
    received = [[], []]
    for (const [index, host] of hosts.entries()) {
      await host.dataplane.ensureOverlay(links[index]!)
      await host.dataplane.setTunnelSources(overlayId, [hosts[1 - index]!.vtep])
    }
    probes = hosts.map((host, index) => {
      const { vtep, netns: hostNetns, directory } = host
      const own = new LinuxTunnelProbes({ directories: [directory], vtep, hostNetns })
      own.listen([overlayId, 'no such overlay'], (id, payload) => {
        received[index]!.push(
          `${id} ${payload.length} ${Buffer.from(payload).toString('utf8', 0, 5)}`,
        )
      })
      return own
    })
    for (const host of hosts) await lab.forwarding(host.pin(overlayId))
  })

  afterEach(async () => {
    for (const own of probes) own.close()
    for (const host of hosts) await host.close()
    lab.close()
  })

  const send = (from: number, vtep: Ip, packetBytes: number): void =>
    probes[from]!.send(
      { overlayId, vni: links[0]!.vni, vtep, port: 4789 },
      Buffer.from('hello'),
      packetBytes,
    )

  it('arrive in both directions, small and of the full size', async () => {
    send(0, hosts[1]!.vtep, 0)
    send(0, hosts[1]!.vtep, links[0]!.mtu)
    send(1, hosts[0]!.vtep, links[1]!.mtu)
    await until(() => received[1]!.length === 2 && received[0]!.length === 1, 'they arrive', 5000)
    expect(received[1]).to.deep.equal(['probed-net 5 hello', 'probed-net 1422 hello'])
    expect(received[0]).to.deep.equal(['probed-net 1422 hello'])
  })

  it('pass the filter on tunnels like frames of containers do', async () => {
    await hosts[1]!.dataplane.setTunnelSources(overlayId, [])
    send(0, hosts[1]!.vtep, 0)
    const isDropped = async (): Promise<boolean> => {
      const listed = await lab.run(hosts[1]!.netns, 'nft', '-j', 'list', 'counters')
      return listed.includes('"packets": 1')
    }
    await until(isDropped, 'it is dropped', 5000)
    await hosts[1]!.dataplane.setTunnelSources(overlayId, [hosts[0]!.vtep])
    send(0, hosts[1]!.vtep, 100)
    await until(() => received[1]!.length > 0, 'the second arrives', 5000)
    expect(received[1]).to.deep.equal(['probed-net 72 hello'])
  })

  it('do not keep the namespace of an overlay that is gone', async () => {
    probes[0]!.listen([], () => {})
    await hosts[0]!.dataplane.removeOverlay(overlayId)
    expect(await hosts[0]!.leftovers()).to.deep.equal([])
  })
})
