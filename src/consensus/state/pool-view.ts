import type { Ip } from '../../net/ip.ts'

/**
 * What one member has of a pool, and what is set aside in it. Blocks by index and loans by offset,
 * each with its grant: the place in the log of the command that gave it.
 */
export interface PoolView {
  readonly pool: string
  /** The state's place in the log: of two views the one with the larger is newer. */
  readonly index: number
  /** The grant under which the member holds the pool; null when only something of it is left. */
  readonly held: number | null
  readonly auto: boolean
  readonly gateway: Ip | null
  readonly reserved: readonly number[]
  /** Offsets in the member's own blocks that are lent to others. */
  readonly lent: readonly number[]
  readonly blocks: readonly (readonly [index: number, grant: number])[]
  /** Single addresses in others' blocks that the member was lent. */
  readonly loans: readonly (readonly [offset: number, grant: number])[]
}

/** A pool in a snapshot; lists of numbers, since there are a hundred thousand blocks. */
export interface PoolSnapshot {
  readonly key: string
  readonly auto: boolean
  readonly gateway: number | null
  readonly next: number
  readonly holders: readonly (readonly [member: number, grant: number])[]
  /** An offset, and the members that set it aside. */
  readonly reserved: readonly (readonly number[])[]
  /** A member, then index and grant of each of its blocks. */
  readonly blocks: readonly (readonly number[])[]
  readonly loans: readonly (readonly [offset: number, to: number, grant: number])[]
}
