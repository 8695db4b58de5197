import { expect } from 'chai'
import { Findings } from '../../../../src/base/findings.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { below, seededRandom } from '../../../../src/base/random.ts'
import { MemoryWireGuard } from '../../../../src/dataplane/memory/memory-wireguard.ts'
import { Encryption } from '../../../../src/dataplane/reconcile/encryption.ts'
import {
  type WireGuardKeys,
  newWireGuardKeys,
} from '../../../../src/dataplane/reconcile/key-rotation.ts'
import type { EncryptedMember } from '../../../../src/dataplane/reconcile/wireguard-peers.ts'
import type { WireGuardSlot } from '../../../../src/dataplane/wireguard.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const port = 51_820
const stepMs = 100
const presharedKey = (a: string, b: string): string => [a, b].sort().join()

/** Hosts that hear of each other's keys after up to a second. */
class World {
  readonly clock = new VirtualClock()
  readonly random = seededRandom(7)
  readonly hosts: Host[] = []
  /** UDP ports that a firewall between the hosts closes. */
  readonly closed = new Set<number>()

  constructor(hosts: number) {
    for (let n = 1; n <= hosts; n++) this.hosts.push(new Host(this, `192.0.2.${n}` as Ip))
  }

  async start(): Promise<void> {
    for (const host of this.hosts) await host.encryption.start()
    await this.clock.advance(5000)
  }

  async stop(): Promise<void> {
    for (const { encryption } of this.hosts) await encryption.stop()
  }

  /** Lets time pass; any host reaches any other all the while. @returns how often that was tried. */
  async pass(ms: number, until = () => false): Promise<number> {
    let tried = 0
    for (let passed = 0; passed < ms && !until(); passed += stepMs) {
      await this.clock.advance(stepMs)
      for (const from of this.hosts)
        for (const to of this.hosts)
          if (from !== to) {
            tried++
            expect(await from.reaches(to), `${from.vtep} reaches ${to.vtep}`).to.equal(true)
          }
    }
    return tried
  }
}

class Host {
  readonly vtep: Ip
  readonly wireGuard = new MemoryWireGuard()
  keys: WireGuardKeys = newWireGuardKeys()
  encryption: Encryption
  readonly #world: World
  /** What the others have told, as heard here. */
  readonly #heard = new Map<Ip, EncryptedMember>()

  constructor(world: World, vtep: Ip) {
    this.#world = world
    this.vtep = vtep
    this.wireGuard.handshake = (device, peer) => {
      const other = world.hosts.find((host) => host.vtep === peer.vtep)
      const answers = other?.answers(peer.endpoint.port, peer.publicKey, device.publicKey) ?? false
      return answers ? world.clock.wall() / 1000 : 0
    }
    this.encryption = this.#newProcess()
  }

  async restart(): Promise<void> {
    await this.encryption.stop()
    this.encryption = this.#newProcess()
    await this.encryption.start()
  }

  /** Whether a device on that port has this key, and the other one as a peer. */
  answers(toPort: number, ownKey: string, otherKey: string): boolean {
    if (this.#world.closed.has(toPort)) return false
    return (['main', 'spare'] as WireGuardSlot[]).some((slot) => {
      const found = this.wireGuard.found(slot)
      return (
        found?.listenPort === toPort &&
        found.publicKey === ownKey &&
        found.peers.some(({ publicKey }) => publicKey === otherKey)
      )
    })
  }

  /** Whether a packet to the other host gets there now, by the device that is routed to. */
  async reaches(other: Host): Promise<boolean> {
    const slot = this.wireGuard.routed.includes(other.vtep) ? 'spare' : 'main'
    const from = await this.wireGuard.dump(slot)
    const peer = from?.peers.find(({ allowed }) => allowed.includes(`${other.vtep}/32`))
    if (from === null || peer === undefined) return false
    const back = await other.wireGuard.dump(peer.endpoint!.port === port ? 'main' : 'spare')
    const known = back?.peers.find(({ publicKey }) => publicKey === from.publicKey)
    return (
      other.answers(peer.endpoint!.port, peer.publicKey, from.publicKey) &&
      known?.presharedKey === peer.presharedKey
    )
  }

  #newProcess(): Encryption {
    const { clock, hosts, random } = this.#world
    return new Encryption({
      wireGuard: this.wireGuard,
      clock,
      logger: silentLogger,
      findings: new Findings(clock, silentLogger).room('encryption'),
      vtep: this.vtep,
      listenPort: port,
      mtu: async () => 1440,
      keys: async () => this.keys,
      saveKeys: async (keys) => void (this.keys = keys),
      isWanted: () => true,
      members: () => [...this.#heard.values()],
      presharedKey,
      isKnown: () => true,
      publish: (keys) => {
        for (const other of hosts)
          if (other !== this)
            clock.setTimeout(
              () => {
                if (keys !== null) other.#heard.set(this.vtep, { vtep: this.vtep, port, ...keys })
                other.encryption.changed()
              },
              1 + below(random, 1000),
            )
      },
    })
  }
}

describe('the replacement of a WireGuard key', () => {
  let world: World

  beforeEach(async () => {
    world = new World(3)
    await world.start()
  })
  afterEach(() => world.stop())

  const isOver = (): boolean => world.hosts.every(({ keys }) => keys.rotation === undefined)

  it('has each host reach each other all the while, and leaves nothing behind', async () => {
    const [a, b] = world.hosts
    const before = a!.keys.publicKey
    const next = await a!.encryption.rotate()
    expect(await world.pass(120_000, isOver)).to.be.greaterThan(1000)
    expect(a!.keys).to.deep.equal({ publicKey: next, privateKey: a!.keys.privateKey })
    await world.pass(5000)
    for (const host of world.hosts) {
      expect(await host.wireGuard.dump('spare')).to.equal(null)
      expect(host.encryption.status()?.rotation).to.equal(null)
    }
    const known = (await b!.wireGuard.dump())!.peers
    expect(known.map(({ publicKey }) => publicKey))
      .to.include(next)
      .and.not.include(before)
    expect(known.map(({ keepaliveSeconds }) => keepaliveSeconds)).to.deep.equal([0, 0])
  })

  it('sends by the new key on the way, on each side', async () => {
    const [a, b] = world.hosts
    await a!.encryption.rotate()
    await world.pass(5000)
    expect([...a!.wireGuard.routed].sort()).to.deep.equal(world.hosts.slice(1).map((h) => h.vtep))
    expect(b!.wireGuard.routed).to.deep.equal([a!.vtep])
    expect(a!.encryption.status()?.rotation).to.deep.include({ phase: 'moving', waiting: [] })
  })

  it('goes on after restarts at any time, of the host and of others', async () => {
    const [a, b] = world.hosts
    await a!.encryption.rotate()
    for (let n = 0; n < 30; n++) {
      await world.pass(n * 100)
      await (n % 2 === 0 ? a : b)!.restart()
    }
    await world.pass(120_000, isOver)
    expect(isOver()).to.equal(true)
  })

  it('is refused while another host replaces its key, or this one', async () => {
    const [a, b] = world.hosts
    await a!.encryption.rotate()
    await world.pass(3000)
    for (const host of [a!, b!]) {
      const refused = await host.encryption.rotate().catch((error: unknown) => error)
      expect(refused).to.have.property('code', 'BAD_REQUEST')
      expect((refused as Error).message).to.contain(a!.vtep)
    }
  })

  it('works on two hosts that begin in the same moment', async () => {
    const [a, b] = world.hosts
    const keys = [await a!.encryption.rotate(), await b!.encryption.rotate()]
    await world.pass(240_000, isOver)
    expect([a!.keys.publicKey, b!.keys.publicKey]).to.deep.equal(keys)
  })

  it('keeps the old key where the port of the spare device is closed', async () => {
    const [a] = world.hosts
    world.closed.add(port + 1)
    const before = a!.keys.publicKey
    await a!.encryption.rotate()
    await world.pass(10_000)
    expect(a!.encryption.status()?.rotation?.waiting).to.have.length(2)
    await world.pass(300_000, isOver)
    expect(a!.keys.publicKey).to.equal(before)
    await world.pass(5000)
    for (const host of world.hosts) expect(await host.wireGuard.dump('spare')).to.equal(null)
  })

  it('keeps the old key where another program has the port of the spare device', async () => {
    const [a, b] = world.hosts
    const ensure = b!.wireGuard.ensure.bind(b!.wireGuard)
    b!.wireGuard.ensure = async (device, slot) => {
      if (slot === 'spare') throw new Error('EADDRINUSE')
      return ensure(device, slot)
    }
    const before = a!.keys.publicKey
    await a!.encryption.rotate()
    await world.pass(300_000, isOver)
    expect(a!.keys.publicKey).to.equal(before)
  })

  it('is done at once on a host without an encrypted network', async () => {
    const [a] = world.hosts
    const before = a!.keys.publicKey
    await a!.encryption.stop()
    const alone = new World(1)
    await alone.hosts[0]!.encryption.rotate()
    await alone.pass(60_000, () => alone.hosts[0]!.keys.rotation === undefined)
    expect(alone.hosts[0]!.keys.publicKey).to.not.equal(before)
  })
})
