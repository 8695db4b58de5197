import { closeSync, openSync } from 'node:fs'
import { expect } from 'chai'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import { type LabContainer, type LabHost, LabUnderlay } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'
import { PacketSocket } from './packet-socket.ts'
import { fragments, vxlanFrame } from './vxlan-fragments.ts'

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
    const before = await received()
    for (let i = 0; i < 3; i++) await lab.ping(stranger.netns, container.ip)
    return (await received()) - before
  }

  async function received(): Promise<number> {
    const [link] = await lab.json(container.netns, 'ip', '-statistics', 'link', 'show', 'eth0')
    return link!.stats64.rx.packets
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

  for (const family of ['vtep', 'vtep6'] as const)
    it(`drops frames that come in fragments, by ${family}`, async () => {
      if (family === 'vtep6') await host.dataplane.ensureOverlay({ ...links, vtep: host.vtep6 })
      const [device] = await lab.json(host.netns, 'ip', 'link', 'show', 'eth0')
      const netns = openSync(stranger.netns, 'r')
      const socket = new PacketSocket(netns, 'eth0')
      const way = { from: stranger[family], to: host[family], toMac: device!.address as Mac }
      const sent = async (firstBytes: number): Promise<number> => {
        const before = await received()
        const payload = vxlanFrame(vni, container)
        for (let id = 1; id <= 3; id++)
          for (const frame of fragments({ ...way, id, payload, firstBytes })) socket.send(frame)
        await lab.ping(stranger.netns, host.vtep)
        return (await received()) - before
      }
      try {
        expect(await sent(24)).to.equal(0)
        expect(await sent(8), 'the first without a VNI').to.equal(0)
        await host.dataplane.setTunnelSources('uber-net', [stranger[family]])
        expect(await sent(24), 'of a member').to.equal(3)
      } finally {
        socket.close()
        closeSync(netns)
      }
    })

  it('keeps frames of members out of connection tracking, both ways', async () => {
    const seen = (hook: string): string =>
      `chain ${hook} {\ntype filter hook ${hook} priority 0\nudp dport 4789 ct state != untracked counter name tracked\n}\n`
    const table = `table inet seen {\ncounter tracked {\n}\n${seen('input')}${seen('output')}}`
    await lab.run(host.netns, 'nft', table)
    await host.dataplane.setTunnelSources('uber-net', [stranger.vtep])
    await forge(stranger.vtep, host.vtep)
    const [device] = await lab.json(stranger.netns, 'ip', 'link', 'show', 'forged')
    const there = { ...container, ip: '10.30.0.99' as Ip, mac: device!.address as Mac }
    await host.learn(there, stranger.vtep)
    expect(await lab.ping(stranger.netns, container.ip)).to.equal(true)
    expect(await arrived()).to.be.at.least(3)
    expect(await counted()).to.equal(0)
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
