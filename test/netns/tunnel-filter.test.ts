import { expect } from 'chai'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type LabContainer, type LabHost, LabUnderlay } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
const vni = 5001

describe('the filter on tunnels', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let stranger: LabHost
  let links: OverlayLinks
  let container: LabContainer

  before(function () {
    if (obstacle !== null) this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    host = await underlay.addHost()
    stranger = await underlay.addHost()
    links = await host.links('uber-net', vni)
    await host.dataplane.ensureOverlay(links)
    container = await host.startContainer(links, '10.30.0.10' as Ip)
  })

  afterEach(async () => {
    await host.close()
    await stranger.close()
    lab.close()
  })

  /** A VXLAN device made by hand, as anybody on the underlay can have one. @returns its namespace. */
  async function forge(vtep: Ip, to: Ip, id = vni): Promise<void> {
    const { netns } = stranger
    const device = [
      'type',
      'vxlan',
      'id',
      String(id),
      'dstport',
      '4789',
      'local',
      vtep,
      'remote',
      to,
    ]
    await lab.run(netns, 'ip', 'link', 'add', 'forged', ...device)
    await lab.run(netns, 'ip', 'addr', 'add', '10.30.0.99/16', 'dev', 'forged')
    await lab.run(netns, 'ip', 'link', 'set', 'forged', 'up')
    const neighbour = [container.ip, 'lladdr', container.mac, 'dev', 'forged', 'nud', 'permanent']
    await lab.run(netns, 'ip', 'neigh', 'add', ...neighbour)
  }

  /** Echo requests that reach the container, of three that the stranger sends. */
  async function arrived(): Promise<number> {
    const count = async (): Promise<number> => {
      const [link] = await lab.json(container.netns, 'ip', '-statistics', 'link', 'show', 'eth0')
      return link!.stats64.rx.packets
    }
    const before = await count()
    for (let i = 0; i < 3; i++) await lab.ping(stranger.netns, container.ip)
    return (await count()) - before
  }

  const counted = async (): Promise<number> => {
    const rules = await lab.run(host.netns, 'nft', '-j', 'list', 'counters')
    const { nftables } = JSON.parse(rules) as { nftables: { counter?: { packets: number } }[] }
    return nftables.reduce((sum, { counter }) => sum + (counter?.packets ?? 0), 0)
  }

  for (const family of ['vtep', 'vtep6'] as const)
    it(`drops frames from a host that is no peer, by ${family}, until it is one`, async () => {
      if (family === 'vtep6') {
        await host.dataplane.ensureOverlay({ ...links, vtep: host.vtep6 })
      }
      await forge(stranger[family], host[family])
      expect(await arrived()).to.equal(0)
      expect(await counted()).to.be.at.least(3)
      await host.dataplane.setTunnelSources('uber-net', [stranger[family]])
      expect(await arrived()).to.be.at.least(3)
      await host.dataplane.setTunnelSources('uber-net', [])
      expect(await arrived()).to.equal(0)
    })

  it("drops frames of one overlay from another's peer", async () => {
    await host.dataplane.ensureOverlay({ ...links, overlayId: 'other', vni: (vni + 1) as never })
    await host.dataplane.setTunnelSources('other', [stranger.vtep])
    await forge(stranger.vtep, host.vtep)
    expect(await arrived()).to.equal(0)
  })

  it('leaves tunnels of others on the same port alone', async () => {
    await forge(stranger.vtep, host.vtep, 77)
    await arrived()
    expect(await counted()).to.equal(0)
  })

  it('goes with the last overlay', async () => {
    await host.stopContainer(container)
    await host.dataplane.removeOverlay('uber-net')
    expect(await lab.run(host.netns, 'nft', 'list', 'ruleset')).to.equal('')
  })
})
