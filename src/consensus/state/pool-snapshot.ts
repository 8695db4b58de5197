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
