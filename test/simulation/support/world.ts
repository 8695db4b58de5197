/**
 * A cluster of many members in virtual time: real Cluster objects over a virtual network, with
 * hosts that crash, forget and come back, and a check of what each knows against what each owner
 * has put.
 */
import { testSignatures } from '../../support/log-signatures.ts'
import { type MemoryNetwork, type Transport, VirtualClock } from 'memberlist-js'
import { type Random, below, seededRandom } from '../../../src/base/random.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { Cluster, type Transition } from '../../../src/cluster/cluster.ts'
import type { ClusterOptions } from '../../../src/cluster/sync/options.ts'
import { type EndpointRecord, endpointRecord } from '../../../src/cluster/wire/endpoint-record.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { Peers } from '../../../src/peers/peers.ts'
import { macOfIp } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'
import type { GossipTransport } from '../../../src/cluster/gossip/gossip-transport.ts'
import { createMemberlistGossip } from '../../../src/cluster/gossip/memberlist-gossip.ts'
import { HostClock } from '../../support/virtual-clock.ts'
import { namesRecord } from '../../../src/wiring/records.ts'
import { Links, socketOf } from './links.ts'

/** A host: what survives a crash, and the plugin that runs on it. */
export class Host {
  readonly name: string
  readonly address: Ip
  readonly clock: HostClock
  /** The epoch on disk. */
  disk: number | undefined
  /** What its driver has put: the truth about this host. Survives a crash when the disk does. */
  readonly truth = new Map<string, EndpointRecord>()
  /** What listeners believe, by origin and key. */
  readonly believed = new Map<string, EndpointRecord>()
  /** What its data plane goes by. */
  peers = new Peers()
  cluster: Cluster | null = null
  /** Says goodbye at the moment. */
  leaving = false
  gossip: GossipTransport | null = null

  constructor(index: number, clock: VirtualClock) {
    this.name = `host-${index}`
    this.address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` as Ip
    this.clock = new HostClock(clock)
  }
}

export interface WorldOptions {
  readonly seed: number
  readonly hosts: number
  readonly options?: Partial<ClusterOptions>
  /** How many addresses there are to choose from; few, and some are claimed twice. */
  readonly addresses?: number
}

export class World {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly links: Links
  readonly hosts: readonly Host[]
  readonly problems: string[] = []
  readonly #addresses: number
  readonly #options: Partial<ClusterOptions>
  /** Claims that their owner has replaced or deleted, each a number of its own. */
  readonly #retired = new Set<number>()
  #claims = 1_000_000_000

  constructor({ seed, hosts, options = {}, addresses = 1000 }: WorldOptions) {
    this.random = seededRandom(seed)
    this.links = new Links(this.clock, this.random)
    this.hosts = Array.from({ length: hosts }, (_, i) => new Host(i + 1, this.clock))
    this.#options = options
    this.#addresses = addresses
  }

  /** What memberlist-js runs on. */
  get memory(): MemoryNetwork {
    return this.links.network
  }

  get up(): Host[] {
    return this.hosts.filter((host) => host.cluster !== null)
  }

  /** Starts a host's plugin and has it join; does not wait. */
  async start(host: Host, seeds: readonly Host[]): Promise<void> {
    const { clock, name, address } = host
    const random = seededRandom(this.random.uint32())
    const gossip = this.#gossip(host, random)
    const cluster = new Cluster({
      name,
      address,
      clock,
      random,
      gossip,
      logger: silentLogger,
      records: [endpointRecord, namesRecord],
      epochStore: { load: () => host.disk, save: async (epoch) => void (host.disk = epoch) },
      options: this.#options,
      signatures: testSignatures(name),
    })
    host.gossip = gossip
    host.cluster = cluster
    host.believed.clear()
    host.peers = new Peers()
    cluster.onTransitions((batch) => this.#believe(host, batch))
    for (const record of host.truth.values()) cluster.put(endpointRecord, record)
    await cluster.start()
    cluster.join(seeds.map((seed) => seed.address)).catch(() => {})
  }

  #gossip(host: Host, random: Random): GossipTransport {
    const { clock, name } = host
    const transport = async (): Promise<Transport> => this.memory.transport(socketOf(host))
    const parts = { name, clock, random, label: 'simulation', transport }
    return this.links.over(createMemberlistGossip(parts))
  }

  /** Starts all hosts, the first as seed, and lets them find each other. */
  async startAll(): Promise<void> {
    const [first] = this.hosts
    for (const host of this.hosts) await this.start(host, host === first ? [] : [first!])
    await this.clock.advance(3000)
  }

  /** The plugin dies. Without the disk the host forgets its epoch and its endpoints. */
  async crash(host: Host, disk: 'kept' | 'lost'): Promise<void> {
    const cluster = host.cluster
    host.cluster = null
    await cluster?.close()
    if (disk === 'kept') return
    host.disk = undefined
    for (const record of host.truth.values()) this.#retired.add(record.claimedAt)
    host.truth.clear()
  }

  /** The plugin leaves and ends. Virtual time has to go on for the promise to settle. */
  async leave(host: Host): Promise<void> {
    const cluster = host.cluster
    if (cluster === null) return
    for (const record of host.truth.values()) this.#retired.add(record.claimedAt)
    host.truth.clear()
    await cluster.leave()
    if (host.cluster === cluster) host.cluster = null
    await cluster.close()
  }

  /** Creates or replaces an endpoint. */
  put(host: Host, slot = below(this.random, 40)): EndpointRecord {
    const serial = below(this.random, this.#addresses)
    const ip = `10.200.${serial >> 8}.${serial & 255}` as Ip
    const record: EndpointRecord = {
      kind: 'endpoint',
      vni: (5000 + (slot % 3)) as Vni,
      endpointId: slot.toString(16).padStart(16, '0'),
      ips: [ip],
      mac: macOfIp(ip),
      claimedAt: this.#claims++,
    }
    this.place(host, record)
    return record
  }

  /** Creates or replaces this endpoint. */
  place(host: Host, record: EndpointRecord): void {
    const key = endpointRecord.keyOf(record)
    const before = host.truth.get(key)
    if (before !== undefined) this.#retired.add(before.claimedAt)
    host.truth.set(key, record)
    host.cluster?.put(endpointRecord, record)
  }

  /** Deletes an endpoint; any one when no key is given. */
  remove(host: Host, key = [...host.truth.keys()][below(this.random, host.truth.size || 1)]): void {
    const before = key === undefined ? undefined : host.truth.get(key)
    if (key === undefined || before === undefined) return
    this.#retired.add(before.claimedAt)
    host.truth.delete(key)
    host.cluster?.remove(endpointRecord, key)
  }

  /** What a host sees of another's endpoints, by key. */
  seen(by: Host, origin: Host): Map<string, number> {
    const found = new Map<string, number>()
    for (const placed of by.cluster?.records(endpointRecord) ?? []) {
      if (placed.origin === origin.name)
        found.set(endpointRecord.keyOf(placed.record), placed.record.claimedAt)
    }
    return found
  }

  /** Whether a host sees a record as it is. */
  sees(by: Host, origin: Host, record: EndpointRecord): boolean {
    return (
      by.believed.get(`${origin.name} ${endpointRecord.keyOf(record)}`)?.claimedAt ===
      record.claimedAt
    )
  }

  /** Whether every running host knows all others as members. */
  acquainted(): boolean {
    const names = this.up.map(({ name }) => name)
    return this.up.every((host) => {
      const views = host.cluster!.members().filter(({ state }) => state === 'alive')
      return views.length === names.length && views.every(({ name }) => names.includes(name))
    })
  }

  /** Whether every running host has exactly the truth about every host. */
  converged(): boolean {
    return this.differences(1).length === 0
  }

  /**
   * Where a host's view, or what its listeners believe, is not the truth; at most `most` of them.
   */
  differences(most = 20): string[] {
    const found: string[] = []
    const truth = this.#truthByName()
    for (const host of this.up) {
      this.#compare(host, truth, found)
      this.#compareClaims(host, found)
      if (found.length >= most) break
    }
    return found.slice(0, most)
  }

  #truthByName(): Map<string, number> {
    const truth = new Map<string, number>()
    for (const owner of this.up) {
      for (const [key, record] of owner.truth) truth.set(`${owner.name} ${key}`, record.claimedAt)
    }
    return truth
  }

  #compare(host: Host, truth: ReadonlyMap<string, number>, found: string[]): void {
    const seen = new Map<string, number>()
    for (const { origin, record } of host.cluster!.records(endpointRecord)) {
      seen.set(`${origin} ${endpointRecord.keyOf(record)}`, record.claimedAt)
    }
    const report = (key: string, what: string): void => {
      found.push(`${host.name} of ${key}: ${what}`)
    }
    for (const [key, claim] of truth) {
      if (seen.get(key) !== claim) report(key, `sees ${seen.get(key)}, truth ${claim}`)
      const told = host.believed.get(key)?.claimedAt
      const own = key.startsWith(`${host.name} `)
      if (!own && told !== claim) report(key, `was told ${told}, truth ${claim}`)
    }
    for (const key of seen.keys()) if (!truth.has(key)) report(key, 'sees what is not')
    for (const key of host.believed.keys()) if (!truth.has(key)) report(key, 'was told what is not')
  }

  /**
   * Whether each address leads to the latest of those who claim it, and to nobody when nobody does.
   */
  #compareClaims(host: Host, found: string[]): void {
    const latest = new Map<string, EndpointRecord>()
    for (const owner of this.up) {
      for (const record of owner === host ? [] : owner.truth.values()) {
        const address = `${record.vni} ${record.ips[0]!}`
        const before = latest.get(address)
        if (before === undefined || before.claimedAt < record.claimedAt) latest.set(address, record)
      }
    }
    const vnis = new Set([...latest.values()].map(({ vni }) => vni))
    let known = 0
    for (const vni of vnis) known += [...host.peers.addresses(vni).ips].length
    if (known !== latest.size) found.push(`${host.name} has ${known} addresses of ${latest.size}`)
    for (const [address, { vni, ips, claimedAt }] of latest) {
      const first = host.peers.withIp(vni, ips[0]!)[0]?.claimedAt
      if (first !== claimedAt) found.push(`${host.name} of ${address}: ${first}, not ${claimedAt}`)
    }
  }

  /** Follows transitions as a data plane would, and notes what must never happen. */
  #believe(host: Host, batch: readonly Transition[]): void {
    host.peers.applyRecords(batch)
    for (const { origin, previous, next, live } of batch) {
      const record = next ?? previous
      if (!endpointRecord.is(record)) continue
      const key = `${origin} ${endpointRecord.keyOf(record)}`
      const before = host.believed.get(key)
      const told = endpointRecord.is(previous) ? previous.claimedAt : undefined
      if (before?.claimedAt !== told) {
        this.problems.push(`${host.name}: ${key} from ${told}, but believed ${before?.claimedAt}`)
      }
      if (endpointRecord.is(next)) {
        this.#noResurrection(host, key, next)
        host.believed.set(key, next)
      } else host.believed.delete(key)
      if (before !== undefined && live && this.#retired.has(before.claimedAt)) {
        this.#buried(host).add(before.claimedAt)
      }
    }
  }

  /** What a host has seen go because its owner said so must not come back to it. */
  #noResurrection(host: Host, key: string, next: EndpointRecord): void {
    if (!this.#buried(host).has(next.claimedAt)) return
    this.problems.push(`${host.name}: ${key} came back with ${next.claimedAt}`)
  }

  readonly #graves = new WeakMap<Cluster, Set<number>>()

  #buried(host: Host): Set<number> {
    const cluster = host.cluster
    if (cluster === null) return new Set()
    const graves = this.#graves.get(cluster) ?? new Set<number>()
    this.#graves.set(cluster, graves)
    return graves
  }
}
