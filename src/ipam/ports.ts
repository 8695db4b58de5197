import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/** What a message between members may consist of. */
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
  /**
   * All or nothing, and on the disk when it resolves. Writes take effect in the order of the calls.
   */
  write(changes: readonly StoreChange[]): Promise<void>
}

/** A member of the cluster as failure detection sees it. Those that left are not listed. */
export interface MemberState {
  readonly name: string
  readonly state: 'alive' | 'suspect' | 'dead'
}

/** What this room asks of the cluster. */
export interface IpamCluster {
  readonly self: string
  /** The known members, self included. */
  members(): Iterable<MemberState>
  /** Sends a message and waits for its answer. Rejects when the member is away or late. */
  ask(member: string, message: Json, timeoutMs: number): Promise<Json>
  onAsk(handler: (from: string, message: Json) => Promise<Json>): void
  /** The endpoint of another member that has this address. */
  holderOf(poolKey: string, ip: Ip): { member: string; address: string } | null
  /** Tells the others of a swarm's pool that this manager allocates, or not any more. */
  publishSwarmPool(poolKey: string): void
  withdrawSwarmPool(poolKey: string): void
  /** Keys of the swarm's pools that other members publish. */
  swarmPools(): Iterable<string>
  /** Calls `listener` after members changed. */
  onMembers(listener: () => void): void
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

/**
 * What this member has of a pool, as agreed: blocks by index and loans by offset, each with its
 * grant.
 */
export interface PoolView {
  readonly pool: string
  /** Of two views the one with the larger index is newer. */
  readonly index: number
  /** The grant under which this member holds the pool; null when it does not. */
  readonly held: number | null
  readonly auto: boolean
  readonly gateway: Ip | null
  readonly reserved: readonly number[]
  /** Offsets in this member's own blocks that are lent to others. */
  readonly lent: readonly number[]
  readonly blocks: readonly (readonly [index: number, grant: number])[]
  readonly loans: readonly (readonly [offset: number, grant: number])[]
}

/** A block's or a loan's number and its grant. */
export type Granted = readonly [number: number, grant: number]

export interface Usage {
  readonly member: string
  readonly blocks: number
}

/** The wish for a pool of the cluster's choice. */
interface AutoPoolWish {
  readonly kind: 'shared' | 'books'
  readonly overlay: string | null
  readonly ipv6: boolean
  readonly sources: readonly { cidr: Cidr; length: number }[]
  /** Prefixes that it must not overlap, besides those of all pools. */
  readonly avoid: readonly Cidr[]
  /** Random, 32 bits: where the search begins. */
  readonly start: number
}

/**
 * What the cluster agrees on, as this room uses it. Every method rejects with QUORUM within
 * `timeoutMs`; the command may then still take effect later, which the grants make harmless.
 */
export interface IpamAgreement {
  /** This member's identity; every command carries it. */
  id: string
  /** Registers this member or renews its membership. */
  renew(timeoutMs: number): Promise<Outcome<unknown>>
  leave(timeoutMs: number): Promise<Outcome<unknown>>
  evict(
    names: readonly string[],
    lapsedMs: number | null,
    timeoutMs: number,
  ): Promise<Outcome<unknown>>
  tick(elapsedMs: number, timeoutMs: number): Promise<Outcome<unknown>>
  members(timeoutMs: number): Promise<{ name: string; id: string; silentMs: number }[]>
  /** All that this member has. What is not among it was not its own at `index`. */
  holdings(timeoutMs: number): Promise<{
    readonly known: boolean
    readonly index: number
    readonly pools: readonly PoolView[]
  }>
  holdPool(pool: string, timeoutMs: number): Promise<Outcome<PoolView>>
  choosePool(wish: AutoPoolWish, timeoutMs: number): Promise<Outcome<PoolView>>
  releasePool(pool: string, grant: number, timeoutMs: number): Promise<Outcome<unknown>>
  gateway(pool: string, wanted: Ip | null, timeoutMs: number): Promise<Outcome<PoolView>>
  reserve(pool: string, offset: number, timeoutMs: number): Promise<Outcome<PoolView>>
  unreserve(pool: string, offset: number, timeoutMs: number): Promise<Outcome<PoolView>>
  /** Until this member has `total` blocks with addresses from offset `first` to `last`. */
  claim(
    pool: string,
    wish: { total: number; first: number; last: number },
    timeoutMs: number,
  ): Promise<Outcome<{ view: PoolView; owners: readonly Usage[] }>>
  claimBlock(pool: string, block: number, timeoutMs: number): Promise<Outcome<PoolView>>
  release(
    pool: string,
    blocks: readonly Granted[],
    loans: readonly Granted[],
    timeoutMs: number,
  ): Promise<Outcome<PoolView>>
  lend(
    pool: string,
    offset: number,
    to: string,
    timeoutMs: number,
  ): Promise<Outcome<{ view: PoolView; grant: number }>>
  usage(pool: string, timeoutMs: number): Promise<readonly Usage[]>
  whoHas(pool: string, block: number, offset: number, timeoutMs: number): Promise<Possession>
}

/** Who owns the block of an address, who was lent it, and who set it aside. */
export interface Possession {
  readonly owner: string | null
  readonly borrower: string | null
  readonly reserver: string | null
}

/** What an operator can set. */
export interface IpamSettings {
  /** Where automatic pools come from, and how long their prefixes are. */
  readonly pools: readonly { cidr: Cidr; length: number }[]
  readonly scope: 'local' | 'global'
  /** After how long dead a member is evicted, ms; the same on all. */
  readonly forgetAfterMs: number
}

/** Everything this room is built from. */
export interface IpamPorts {
  readonly settings: IpamSettings
  readonly store: IpamStore
  readonly cluster: IpamCluster
  readonly agreement: IpamAgreement
  /** How this member stands to the voters. */
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
