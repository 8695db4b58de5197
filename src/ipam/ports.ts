import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Granted, PoolView } from '../net/pool-view.ts'

export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** One change of the store; a null value deletes. */
export interface StoreChange {
  readonly table: string
  readonly key: string
  readonly value: unknown
}

/** What this room asks of the store. Its tables all begin with `ipam.`. */
export interface IpamStore {
  get<T>(table: string, key: string): T | undefined
  entries<T>(table: string): [string, T][]
  /** All or nothing, on the disk when it resolves. In the order of the calls. */
  write(changes: readonly StoreChange[]): Promise<void>
}

/** A member of the cluster as failure detection sees it. Those that left are not listed. */
export interface MemberState {
  readonly name: string
  readonly state: 'alive' | 'suspect' | 'dead'
}

/** An endpoint of another member; of a dead one `live` is false. */
export interface Claimant {
  readonly member: string
  readonly address: string
  readonly live: boolean
}

/** What this room asks of the cluster. */
export interface IpamCluster {
  readonly self: string
  members(): Iterable<MemberState>
  ask(member: string, message: Json, timeoutMs: number): Promise<Json>
  onAsk(handler: (from: string, message: Json) => Promise<Json>): void
  /** The endpoints of other members that have this address. */
  claimants(poolKey: string, ip: Ip): readonly Claimant[]
  /** Tells the others of a swarm's pool that this manager allocates, or not any more. */
  publishSwarmPool(poolKey: string): void
  withdrawSwarmPool(poolKey: string): void
  /** Keys of the swarm's pools that other members publish. */
  swarmPools(): Iterable<string>
}

/** Why the replicated state refuses a command; see `consensus/state`. */
export interface Refused {
  readonly code: string
  readonly member?: string
  readonly pool?: string
  readonly offset?: number
  readonly names?: readonly string[]
}

export type Outcome<T> = { readonly ok: T } | { readonly refused: Refused }

export interface Usage {
  readonly member: string
  readonly blocks: number
}

interface AutoPoolWish {
  readonly kind: 'shared' | 'manager'
  readonly overlay: string | null
  readonly ipv6: boolean
  readonly sources: readonly { cidr: Cidr; length: number }[]
  /** Prefixes that it must not overlap, besides those of all pools. */
  readonly avoid: readonly Cidr[]
  /** Random, 32 bits: where the search begins. */
  readonly start: number
}

/** Rejects with QUORUM within that time, ms. */
type Timed<T> = (timeoutMs: number) => Promise<T>
/** A command may still take effect after it rejected, which the grants make harmless. */
export type Command<T> = Timed<Outcome<T>>

/** What the cluster agrees on, as this room uses it. */
export interface IpamAgreement {
  /** This member's identity; every command carries it. */
  id: string
  renew(): Command<unknown>
  leave(): Command<unknown>
  evict(ids: readonly string[], lapsedMs: number | null): Command<unknown>
  tick(elapsedMs: number): Command<unknown>
  members(): Timed<{ name: string; id: string; silentMs: number }[]>
  /** All that this member has. What is not among it was not its own at `index`. */
  holdings(): Timed<{ readonly index: number; readonly pools: readonly PoolView[] }>
  holdPool(pool: string): Command<PoolView>
  choosePool(wish: AutoPoolWish): Command<PoolView>
  releasePool(pool: string, grant: number): Command<unknown>
  gateway(pool: string, wanted: Ip | null): Command<PoolView>
  reserve(pool: string, offset: number): Command<PoolView>
  unreserve(pool: string, offset: number): Command<PoolView>
  /** Until this member has `total` blocks with addresses from offset `first` to `last`. */
  claim(
    pool: string,
    wish: { total: number; first: number; last: number },
  ): Command<{ view: PoolView; owners: readonly Usage[] }>
  claimBlock(pool: string, block: number): Command<PoolView>
  release(pool: string, blocks: readonly Granted[], loans: readonly Granted[]): Command<PoolView>
  lend(pool: string, offset: number, to: string): Command<{ view: PoolView; grant: number }>
  usage(pool: string): Timed<readonly Usage[]>
  /** Who owns the block of an address, who was lent it, and who set it aside. */
  whoHas(
    pool: string,
    block: number,
    offset: number,
  ): Timed<{ owner: string | null; borrower: string | null; reserver: string | null }>
}

/** What an operator can set. */
export interface IpamSettings {
  /** Where automatic pools come from, and how long their prefixes are. */
  readonly pools: readonly { cidr: Cidr; length: number }[]
  readonly scope: 'local' | 'global'
  /** After how long dead a member is evicted, ms; the same on all. */
  readonly forgetAfterMs: number
}

export interface IpamPorts {
  readonly settings: IpamSettings
  readonly store: IpamStore
  readonly cluster: IpamCluster
  readonly agreement: IpamAgreement
  readonly consensus: {
    /** Names of those that vote; empty while this member does not know. */
    voters(): readonly string[]
    isLeader(): boolean
    /** Calls `listener` when this member came to belong to another cluster. */
    onClusterChange(listener: () => void): void
  }
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Prefixes that this host has routes to; automatic pools keep clear of them. */
  readonly hostRoutes?: () => Promise<readonly Cidr[]>
}
