import { closeSync } from 'node:fs'
import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import { BpfMap, loadProgram, openProgram } from '../../src/dataplane/linux/bpf/bpf-call.ts'
import { mapShapes } from '../../src/dataplane/linux/bpf/forwarding.ts'
import { assemble, exit, moveValue } from '../../src/dataplane/linux/bpf/instructions.ts'
import {
  attachProgram,
  attachedProgram,
  detachProgram,
} from '../../src/dataplane/linux/bpf/traffic-control.ts'
import type { FastPathStatus, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { findLink } from '../../src/dataplane/linux/netlink/link.ts'
import { portNameOf, vxlanName } from '../../src/dataplane/linux/netlink/names.ts'
import type { NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { closeNetns, openNetns } from '../../src/dataplane/linux/netns/overlay-netns.ts'
import type { Ip } from '../../src/net/ip.ts'
import { endpointLink } from '../support/endpoint-link.ts'
import { watchCalls } from './kernel-calls.ts'
import { type LabContainer, type LabHost, LabUnderlay } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
const overlayId = 'uber-net'

describe('the fast path', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let near: LabHost
  let far: LabHost
  let links: OverlayLinks
  /** Two containers near, one far. */
  let a: LabContainer
  let b: LabContainer
  let c: LabContainer
  const opened: LinuxDataplane[] = []

  before(function () {
    if (obstacle !== null) this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    near = await underlay.addHost()
    far = await underlay.addHost()
    links = await near.links(overlayId, 5001)
    await near.dataplane.ensureOverlay(links)
    const there = await far.links(overlayId, 5001)
    await far.dataplane.ensureOverlay(there)
    a = await near.startContainer(links, '10.30.0.10' as Ip)
    b = await near.startContainer(links, '10.30.0.11' as Ip)
    c = await far.startContainer(there, '10.30.0.12' as Ip)
    await near.learn(c, far.vtep)
    for (const one of [a, b]) await far.learn(one, near.vtep)
  })

  afterEach(async () => {
    for (const dataplane of opened.splice(0)) await dataplane.close()
    for (const host of [near, far]) await host.close()
    lab.close()
  })

  const status = async (host = near): Promise<FastPathStatus> =>
    (await host.dataplane.dump(overlayId))!.fastPath

  const sentBy = async (container: LabContainer): Promise<number> =>
    (await status()).endpoints[container.endpointId]?.sent.frames ?? 0

  async function expectReach(note: string): Promise<void> {
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, c],
      [c, b],
    ] as const)
      expect(await lab.ping(from.netns, to.ip), `${note}: ${from.ip} to ${to.ip}`).to.equal(true)
  }

  function inOverlay<T>(visit: (socket: NetlinkSocket) => T): T {
    const netns = openNetns(near.pin(overlayId))
    try {
      return visit(netns.socket)
    } finally {
      closeNetns(netns)
    }
  }

  const names = (): string[] => [
    vxlanName,
    ...[a, b].map(({ endpointId }) => portNameOf(overlayId, endpointId)),
  ]
  /** The ids of the programs on the VXLAN device and on both ports. */
  const attached = (): (number | null)[] =>
    inOverlay((socket) =>
      names().map((name) => attachedProgram(socket, findLink(socket, name)!.index)),
    )

  /** Calls back with the maps of the program that is attached. */
  function withMaps(visit: (maps: ReadonlyMap<string, BpfMap>) => void): void {
    const program = openProgram(attached()[0]!)!
    const maps = program.mapIds.map((id) => BpfMap.open(id, Object.values(mapShapes))!)
    visit(new Map(maps.map(({ name, map }) => [name, map])))
    for (const { map } of maps) map.close()
    closeSync(program.fd)
  }

  async function restart(fastPath: boolean): Promise<LinuxDataplane> {
    await near.dataplane.close()
    const { netns: hostNetns, directory } = near
    const dataplane = new LinuxDataplane({ directory, hostNetns, logger: silentLogger, fastPath })
    opened.push(dataplane)
    await dataplane.start()
    return dataplane
  }

  const ensurePorts = async (dataplane: LinuxDataplane): Promise<string[]> => {
    const changed: string[] = []
    for (const { endpointId, mac, ip } of [a, b]) {
      const link = endpointLink(endpointId, mac, { ips: [ip], mtu: links.mtu })
      changed.push(...(await dataplane.ensureEndpoint(overlayId, link)).changed)
    }
    return changed
  }

  it('takes all IP between containers, here and there, and counts it', async () => {
    await expectReach('at first')
    const before = await sentBy(a)
    for (const to of [b, c]) expect(await lab.ping(a.netns, to.ip)).to.equal(true)
    expect((await sentBy(a)) - before).to.equal(2)
    const { reason, endpoints } = await status()
    expect(reason).to.equal(null)
    expect(endpoints[a.endpointId]!.received.frames).to.be.at.least(2)
    expect(await lab.ping(a.netns, '10.30.0.1'), 'the gateway, by the bridge').to.equal(true)
  })

  it('is one program on each link, and ends with the overlay', async () => {
    const [id] = attached()
    expect(attached()).to.deep.equal([id, id, id])
    expect(await near.dataplane.ensureOverlay(links)).to.deep.equal([])
    await near.dataplane.removeOverlay(overlayId)
    // The kernel releases programs of links a moment after the links.
    for (let wait = 0; wait < 100; wait++) {
      const left = openProgram(id!)
      if (left === null) break
      closeSync(left.fd)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(openProgram(id!)).to.equal(null)
  })

  it('is repaired where somebody removed or replaced it, and said to have been', async () => {
    const [id] = attached()
    inOverlay((socket) => {
      detachProgram(socket, findLink(socket, names()[1]!)!.index)
      const foreign = loadProgram('foreign', assemble([moveValue(0, -1), exit]))
      attachProgram(socket, findLink(socket, vxlanName)!.index, foreign.fd)
      closeSync(foreign.fd)
    })
    await expectReach('while it is not there')
    expect(await near.dataplane.ensureOverlay(links)).to.have.members([
      `fast path of ${vxlanName} repaired`,
      `fast path of ${names()[1]} repaired`,
    ])
    expect(attached()).to.deep.equal([id, id, id])
    expect(await near.dataplane.ensureOverlay(links)).to.deep.equal([])
  })

  it('has its rows written again that somebody removed', async () => {
    withMaps((maps) => {
      for (const map of maps.values()) map.delete(map.entries().map(({ key }) => key))
    })
    await expectReach('without rows')
    expect(await near.dataplane.ensureOverlay(links)).to.have.length(2)
    await near.dataplane.dump(overlayId)
    withMaps((maps) => {
      const counts = [...maps].map(([name, map]) => [name, map.entries().length])
      expect(Object.fromEntries(counts)).to.deep.equal({
        tso_sources: 2,
        tso_ports: 2,
        tso_peers: 1,
      })
    })
    await expectReach('with rows again')
  })

  it('goes on without the process, and is the same in the next one', async () => {
    const [id] = attached()
    const before = await sentBy(a)
    await near.dataplane.close()
    await expectReach('without the process')
    const dataplane = await restart(true)
    expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
    expect(await ensurePorts(dataplane)).to.deep.equal([])
    expect(attached()).to.deep.equal([id, id, id])
    const { endpoints } = (await dataplane.dump(overlayId))!.fastPath
    expect(endpoints[a.endpointId]!.sent.frames).to.be.at.least(before + 3)
  })

  it('goes where it is not wanted any more, and comes where it was not', async () => {
    const without = await restart(false)
    expect(await without.ensureOverlay(links)).to.deep.equal(['fast path removed'])
    expect(attached()).to.deep.equal([null, null, null])
    expect((await without.dump(overlayId))!.fastPath.reason).to.equal('FAST_PATH=off')
    await expectReach('by the bridge')
    await without.close()
    const again = await restart(true)
    expect(await again.ensureOverlay(links)).to.deep.equal(['fast path made'])
    await expectReach('in between')
    expect(await ensurePorts(again)).to.have.length(2)
    await expectReach('again')
    const [id] = attached()
    expect(attached()).to.deep.equal([id, id, id])
  })

  it('follows the VXLAN device that was made again', async () => {
    await near.dataplane.ensureOverlay({ ...links, vni: links.vni, mtu: 1400 })
    await near.learn(c, far.vtep)
    await expectReach('with another MTU')
    await lab.run(near.pin(overlayId), 'ip', 'link', 'del', vxlanName)
    expect(await near.dataplane.ensureOverlay(links)).to.include('fast path made')
    await near.learn(c, far.vtep)
    const before = await sentBy(a)
    await expectReach('with another device')
    expect(await sentBy(a)).to.be.above(before)
    const [id] = attached()
    expect(attached()).to.deep.equal([id, id, id])
  })

  it('has a container that goes here and comes there, at once', async () => {
    await expectReach('at first')
    await near.stopContainer(b)
    b = await far.startContainer(await far.links(overlayId, 5001), b.ip)
    await far.learn(b, near.vtep, 'remove')
    await near.learn(b, far.vtep)
    for (const from of [a, c]) expect(await lab.ping(from.netns, b.ip), from.ip).to.equal(true)
    await far.stopContainer(b)
    await near.learn(b, far.vtep, 'remove')
    b = await near.startContainer(links, b.ip)
    await far.learn(b, near.vtep)
    await expectReach('back')
  })

  it('is left out by a kernel that refuses it, which is said', async () => {
    await near.dataplane.close()
    const end = watchCalls('system calls', (call) => (call === 'bpf' ? 'EPERM' : null))
    const dataplane = await restart(true)
    end()
    expect(await dataplane.ensureOverlay(links)).to.deep.equal(['fast path removed'])
    const { reason } = (await dataplane.dump(overlayId))!.fastPath
    expect(reason).to.match(/bpf\(.*\): EPERM/)
    await expectReach('by the bridge')
  })

  it('fails nothing when a call fails, and is whole after the next audit', async () => {
    const { dataplane } = near
    const other = { ...(await near.links('other-net', 5002)) }
    const link = endpointLink('e', a.mac, { ips: [a.ip], mtu: other.mtu })
    let reached = true
    for (let nth = 1; reached; nth++) {
      let calls = 0
      const end = watchCalls('system calls', (call) =>
        call === 'bpf' && ++calls === nth ? 'ENOMEM' : null,
      )
      await dataplane.ensureOverlay(other)
      await dataplane.ensureEndpoint('other-net', link)
      end()
      reached = calls >= nth
      const { reason } = (await dataplane.dump('other-net'))!.fastPath
      expect(reason !== null, `call ${nth}: ${reason}`).to.equal(reached)
      expect(await dataplane.ensureOverlay(other)).to.deep.equal([])
      const { fastPath } = (await dataplane.dump('other-net'))!
      expect(fastPath.reason).to.equal(null)
      expect(Object.keys(fastPath.endpoints)).to.deep.equal(['e'])
      await dataplane.removeOverlay('other-net')
    }
  })

  it('has the verifier say why it refuses a program', () => {
    const work = (): unknown => loadProgram('wrong', assemble([exit]))
    expect(work).to.throw(/R0 !read_ok/)
  })
})
