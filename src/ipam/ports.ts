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
  /** All or nothing, and on the disk when it resolves. Writes take effect in the order of the calls. */
  write(changes: readonly StoreChange[]): Promise<void>
}

/** A member of the cluster as the failure detector sees it. Those that left or are forgotten are not listed. */
export interface MemberState {
  readonly name: string
  readonly state: 'alive' | 'suspect' | 'dead'
}

/** A block that a member publishes as its own. `since` is the owner's wall clock in ms. */
export interface BlockRecord {
  readonly owner: string
  readonly alive: boolean
  readonly poolKey: string
  readonly index: number
  readonly since: number
}

/** What a member tells the others about a pool it holds. */
export interface PoolNotice {
  readonly poolKey: string
  readonly gateway: Ip | null
  readonly reserved: readonly Ip[]
  /** Whether we chose the pool ourselves. */
  readonly auto: boolean
  /** Wall clock in ms. */
  readonly since: number
}

/** A pool that a member publishes as held. */
export interface PoolRecord extends PoolNotice {
  readonly member: string
  readonly alive: boolean
}

/** What this room asks of the cluster. Publishing and withdrawing do not wait and may be repeated. */
export interface IpamCluster {
  readonly self: string
  /** Whether we have no seeds, or have had the whole state of another member since this start. */
  synced(): boolean
  /** The known members, self included. */
  voters(): Iterable<MemberState>
  /** Sends a message and waits for its answer. Rejects when the member is away or late. */
  ask(member: string, message: Json, timeoutMs: number): Promise<Json>
  onAsk(handler: (from: string, message: Json) => Promise<Json>): void
  blocks(poolKey?: string): Iterable<BlockRecord>
  publishBlock(block: { poolKey: string; index: number; since: number }): void
  withdrawBlock(block: { poolKey: string; index: number }): void
  pools(): Iterable<PoolRecord>
  publishPool(pool: PoolNotice): void
  withdrawPool(poolKey: string): void
  /** The endpoint of another member that has this address. */
  holderOf(poolKey: string, ip: Ip): { member: string; address: string } | null
  /** Calls `listener` after members or records changed. */
  onChange(listener: () => void): void
}

/** What an operator can set. */
export interface IpamSettings {
  /** Where automatic pools come from, and how long their prefixes are. */
  readonly pools: readonly { cidr: Cidr; length: number }[]
  readonly scope: 'local' | 'global'
  /** After how long away the others have a member forgotten, ms; the same on all. */
  readonly forgetAfterMs: number
  /** After how long dead a voter loses its seat, ms; only simulations set it. */
  readonly vacateAfterMs?: number
}

/** Everything this room is built from. */
export interface IpamPorts {
  readonly settings: IpamSettings
  readonly store: IpamStore
  readonly cluster: IpamCluster
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Prefixes that this host has routes to; automatic pools keep clear of them. */
  readonly hostRoutes?: () => Promise<readonly Cidr[]>
}
