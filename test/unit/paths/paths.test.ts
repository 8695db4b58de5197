import { expect } from 'chai'
import { Findings } from '../../../src/base/findings.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { Paths, type Target, type TunnelProbes } from '../../../src/paths/paths.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** A packet between two hosts; the network decides whether it arrives. */
interface Packet {
  readonly from: string
  readonly to: string
  readonly overlayId: string
  readonly bytes: number
}

const mtu = 1450

/** Hosts with their paths, and a network between them that takes 2 ms. */
class World {
  readonly clock = new VirtualClock()
  readonly hosts = new Map<string, Host>()
  isLost: (packet: Packet) => boolean = () => false

  add(member: string, overlays: readonly string[] = ['net']): Host {
    const host = new Host(this, member, overlays)
    this.hosts.set(member, host)
    return host
  }
}

class Host implements TunnelProbes {
  readonly world: World
  readonly member: string
  readonly vtep: Ip
  readonly overlays: readonly string[]
  readonly findings: Findings
  readonly paths: Paths
  sent = 0
  isSilent = false
  onPacket: (overlayId: string, payload: Uint8Array) => void = () => {}

  constructor(world: World, member: string, overlays: readonly string[]) {
    const { clock } = world
    this.world = world
    this.member = member
    this.overlays = overlays
    this.vtep = `192.0.2.${world.hosts.size + 1}` as Ip
    this.findings = new Findings(clock, silentLogger)
    this.paths = new Paths({
      clock,
      random: seededRandom(world.hosts.size + 1),
      findings: this.findings.room('paths'),
      probes: this,
      self: { member, vtep: this.vtep, port: 4789 },
      targets: () => this.#targets(),
      ask: async (other) => {
        const asked = world.hosts.get(other)!
        if (asked.isSilent) throw new Error('away')
        return asked.paths.heardFrom(member)
      },
    })
    this.paths.start()
  }

  listen(_overlays: readonly string[], onPacket: Host['onPacket']): void {
    this.onPacket = onPacket
  }

  send({ member: to, overlayId }: Target, payload: Uint8Array, bytes: number): void {
    const { clock, isLost, hosts } = this.world
    this.sent++
    if (isLost({ from: this.member, to, overlayId, bytes })) return
    clock.setTimeout(() => hosts.get(to)!.onPacket(overlayId, payload), 2)
  }

  close(): void {}

  /** `CODE: text` of each finding. */
  found(): string[] {
    return this.findings.status().list.map(({ code, text }) => `${code}: ${text}`)
  }

  #targets(): Target[] {
    const others = [...this.world.hosts.values()].filter((host) => host !== this)
    return others.flatMap(({ member, vtep, overlays }) =>
      overlays
        .filter((overlayId) => this.overlays.includes(overlayId))
        .map((overlayId) => ({ member, overlayId, vni: 7 as Vni, vtep, mtu, port: 4789 })),
    )
  }
}

/** Longer than a finding may take to start or to end. */
const noticedMs = 10_000

describe('paths', () => {
  it('are up with a round trip and a size, and without findings', async () => {
    const world = new World()
    const [one, two] = [world.add('one'), world.add('two')]
    world.add('elsewhere', ['other'])
    await world.clock.advance(60_000)
    expect(one.paths.status('two')).to.deep.equal({ state: 'up', rttMs: 4, bytes: mtu })
    expect(one.paths.status('elsewhere')).to.equal(null)
    expect([...one.found(), ...two.found()]).to.deep.equal([])
  })

  const both = 'gossip with two works, VXLAN does not, in neither direction'
  const forth = 'VXLAN from one does not arrive at two; the other direction works'
  const cases: [name: string, isLost: World['isLost'], one: string[], two: string[]][] = [
    [
      'that are blocked both ways',
      () => true,
      [`TUNNEL_BLOCKED: ${both}`],
      [`TUNNEL_BLOCKED: ${both.replace('two', 'one')}`],
    ],
    [
      'that are blocked one way',
      ({ from }) => from === 'one',
      [`TUNNEL_ONE_WAY: ${forth}`],
      [`TUNNEL_ONE_WAY: ${forth}`],
    ],
    [
      'that do not carry full packets one way',
      ({ from, bytes }) => from === 'one' && bytes > 1350,
      ['TUNNEL_MTU: packets of 1450 bytes do not reach two, small ones do'],
      [],
    ],
  ]
  for (const [name, isLost, one, two] of cases)
    it(`${name} are found within ten seconds on the right hosts, and over within ten`, async () => {
      const world = new World()
      const hosts = [world.add('one'), world.add('two')]
      await world.clock.advance(noticedMs)
      world.isLost = isLost
      await world.clock.advance(noticedMs)
      expect(hosts.map((host) => host.found())).to.deep.equal([one, two])
      world.isLost = () => false
      await world.clock.advance(noticedMs)
      expect(hosts.map((host) => host.found())).to.deep.equal([[], []])
    })

  it('are probed when a person asks, and nothing is left of a probe', async () => {
    const world = new World()
    const [one] = [world.add('one'), world.add('two'), world.add('elsewhere', ['other'])]
    await world.clock.advance(2000)
    expect(one.paths.to('elsewhere')).to.deep.equal([])
    const [target] = one.paths.to('two')
    const asked = [100, mtu].map((bytes) => one.paths.probe(target!, bytes, 300))
    await world.clock.advance(1)
    world.isLost = ({ bytes }) => bytes > 1000
    const hole = one.paths.probe(target!, mtu, 300)
    await world.clock.advance(1000)
    expect(await Promise.all(asked)).to.deep.equal([4, 4])
    expect(await hole).to.equal(null)
  })

  it('that lose a fifth of the packets are found, one lost packet is not', async () => {
    const world = new World()
    const one = world.add('one')
    world.add('two')
    const random = seededRandom(5)
    let sent = 0
    world.isLost = () => ++sent === 40
    await world.clock.advance(30_000)
    expect(one.found()).to.deep.equal([])
    world.isLost = () => random.uint32() % 5 === 0
    const seen: string[] = []
    for (let waitedMs = 0; waitedMs < 2 * noticedMs; waitedMs += 1000) {
      await world.clock.advance(1000)
      seen.push(...one.found())
    }
    const isLoss = (text: string): boolean =>
      /^TUNNEL_LOSS: VXLAN to two and back loses packets: \d+ of/.test(text)
    expect(seen.filter(isLoss)).to.not.deep.equal([])
  })

  it('name the overlay when only one of several is concerned', async () => {
    const world = new World()
    const one = world.add('one', ['a', 'b'])
    world.add('two', ['a', 'b'])
    world.isLost = ({ from, overlayId }) => from === 'one' && overlayId === 'b'
    await world.clock.advance(noticedMs)
    expect(one.found()).to.deep.equal([`TUNNEL_ONE_WAY: ${forth}, on b only`])
    expect(one.paths.status('two')).to.include({ state: 'one-way' })
  })

  it('to a member that does not answer at all are no finding: that it is dead is one', async () => {
    const world = new World()
    const one = world.add('one')
    const two = world.add('two')
    two.isSilent = true
    world.isLost = () => true
    await world.clock.advance(noticedMs)
    expect(one.found()).to.deep.equal([])
    expect(one.paths.status('two')).to.include({ state: 'unknown' })
  })

  it('on which nothing is lost are probed seldom', async () => {
    const world = new World()
    const hosts = Array.from({ length: 25 }, (_, i) => world.add(`m${i}`))
    await world.clock.advance(60_000)
    const before = hosts.map(({ sent }) => sent)
    await world.clock.advance(60_000)
    // To each of 24, every four or five seconds, a small and a full one; and as many echoes.
    for (const [i, { sent }] of hosts.entries())
      expect((sent - before[i]!) / 60).to.be.within(19, 24)
  })

  it('are probed at once by the other side, too, when one has lost a probe', async () => {
    const world = new World()
    const [one, two] = [world.add('one'), world.add('two')]
    await world.clock.advance(31_500)
    // Of what two sent before, nothing is recent when one finds out.
    world.isLost = ({ from }) => from === 'one'
    const seen = new Set<string>()
    for (let waitedMs = 0; waitedMs < noticedMs; waitedMs += 100) {
      await world.clock.advance(100)
      for (const host of [one, two]) for (const text of host.found()) seen.add(text)
    }
    expect([...seen]).to.deep.equal([`TUNNEL_ONE_WAY: ${forth}`])
  })

  it('cost at most twenty probes and as many echoes a second, however many hosts there are', async () => {
    const world = new World()
    const one = world.add('one')
    for (let i = 0; i < 60; i++) world.add(`m${i}`)
    for (const host of world.hosts.values()) if (host !== one) host.paths.stop()
    await world.clock.advance(10_000)
    expect(one.sent).to.be.within(150, 200)
  })
})
