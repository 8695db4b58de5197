import type { Ip } from './ip.ts'

/** A block's or a loan's number and its grant: the place in the log where it was given. */
export type Granted = readonly [number: number, grant: number]

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
  readonly blocks: readonly Granted[]
  /** Single addresses in others' blocks that the member was lent. */
  readonly loans: readonly Granted[]
}
