import {
  addressAt,
  blockOf,
  blockRange,
  geometryOf,
  isUsable,
  type OffsetRange,
  type PoolGeometry,
} from '../../net/pool-geometry.ts'
import { parsePoolKey, type PoolName } from '../../net/pool-key.ts'
import { partsOf } from '../../net/pool-parts.ts'
import type { PoolView } from '../../net/pool-view.ts'
import type { PoolSnapshot } from './pool-snapshot.ts'
import { Refused } from './section.ts'

/** Bounds on what one member has of one pool: what it is told of it must fit into one answer. */
export const maxBlocks = 256
export const maxLoans = 256
/** In one pool, by all members. */
const maxLoansOfPool = 384
const maxReserved = 96
/** Blocks that one command grants, at most. */
const maxGrants = 64

interface Loan {
  readonly to: number
  readonly grant: number
}

/**
 * One pool of the cluster: who holds it, who owns which block, which addresses are lent or set
 * aside. Members are numbers. A block has one owner; an address that is lent or set aside is
 * nobody's to hand out but its borrower's, no matter who owns its block.
 */
export class AgreedPool {
  readonly key: string
  readonly name: PoolName
  readonly geometry: PoolGeometry
  readonly auto: boolean
  /** By member the grant under which it holds the pool. */
  readonly holders = new Map<number, number>()
  readonly #owners = new Map<number, number>()
  /** By owner the grants of its blocks. */
  readonly #blocks = new Map<number, Map<number, number>>()
  readonly #loans = new Map<number, Loan>()
  readonly #reserved = new Map<number, Set<number>>()
  #gateway: number | null = null
  /**
   * Where the search for an unowned block goes on, so that a freed one rests. The first block, in
   * which people expect the gateway, comes last.
   */
  #next = 1

  constructor(key: string, auto: boolean) {
    this.key = key
    this.name = parsePoolKey(key)!
    const { kind, cidr } = this.name
    this.geometry = kind === 'engine' ? partsOf(cidr) : geometryOf(cidr)
    this.auto = auto
  }

  static restore(snapshot: PoolSnapshot): AgreedPool {
    const pool = new AgreedPool(snapshot.key, snapshot.auto)
    pool.#gateway = snapshot.gateway
    pool.#next = snapshot.next
    for (const [holder, grant] of snapshot.holders) pool.holders.set(holder, grant)
    for (const [offset, ...members] of snapshot.reserved) {
      pool.#reserved.set(offset!, new Set(members))
    }
    for (const [owner, ...granted] of snapshot.blocks) {
      for (let i = 0; i < granted.length; i += 2) pool.#own(granted[i]!, owner!, granted[i + 1]!)
    }
    for (const [offset, to, grant] of snapshot.loans) pool.#loans.set(offset, { to, grant })
    return pool
  }

  snapshot(): PoolSnapshot {
    return {
      key: this.key,
      auto: this.auto,
      gateway: this.#gateway,
      next: this.#next,
      holders: [...this.holders],
      reserved: Array.from(this.#reserved, ([offset, members]) => [offset, ...members]),
      blocks: Array.from(this.#blocks, ([owner, grants]) => [owner, ...[...grants].flat()]),
      loans: Array.from(this.#loans, ([offset, { to, grant }]) => [offset, to, grant]),
    }
  }

  /** Whether nobody has anything of it. */
  get isEmpty(): boolean {
    return this.holders.size === 0 && this.#owners.size === 0 && this.#loans.size === 0
  }

  /** Whether that member has something of it. */
  concerns(member: number): boolean {
    if (this.holders.has(member) || this.#blocks.has(member)) return true
    for (const { to } of this.#loans.values()) if (to === member) return true
    return false
  }

  view(member: number, index: number): PoolView {
    const blocks = [...(this.#blocks.get(member) ?? [])]
    const loans: [number, number][] = []
    for (const [offset, { to, grant }] of this.#loans)
      if (to === member) loans.push([offset, grant])
    return {
      pool: this.key,
      index,
      held: this.holders.get(member) ?? null,
      auto: this.auto,
      gateway: this.#gateway === null ? null : addressAt(this.geometry, this.#gateway),
      reserved: [...this.#reserved.keys()],
      lent: this.#lentBy(member),
      blocks,
      loans,
    }
  }

  /**
   * Each time under a new grant, so that a late release ends no newer hold. A pool that nobody held
   * has no gateway any more, nor what was set aside.
   */
  hold(member: number, grant: number): void {
    if (this.holders.size === 0) {
      this.#gateway = null
      this.#reserved.clear()
    }
    this.holders.set(member, grant)
  }

  ownerOf(index: number): number | undefined {
    return this.#owners.get(index)
  }

  borrowerOf(offset: number): number | undefined {
    return this.#loans.get(offset)?.to
  }

  /** One of the members that set an address aside. */
  reserverOf(offset: number): number | undefined {
    return this.#reserved.get(offset)?.values().next().value
  }

  /** How many blocks each member owns. */
  *usage(): Iterable<[member: number, blocks: number]> {
    for (const [owner, grants] of this.#blocks) yield [owner, grants.size]
  }

  /**
   * Grants unowned blocks until the member has `total` with addresses in `within`, or none is left.
   */
  claim(member: number, total: number, within: OffsetRange, grant: number): void {
    const mine = this.#blocks.get(member) ?? new Map<number, number>()
    let had = 0
    for (const index of mine.keys()) if (blockRange(this.geometry, index, within) !== null) had++
    let wanted = Math.min(total - had, maxGrants, maxBlocks - mine.size)
    const first = blockOf(this.geometry, within.first)
    const count = blockOf(this.geometry, within.last) - first + 1
    const isInside = this.#next >= first && this.#next < first + count
    const from = isInside ? this.#next : first
    for (let step = 0; step < count && wanted > 0; step++) {
      const index = first + ((from - first + step) % count)
      if (this.#owners.has(index) || !this.#hasFree(index, within)) continue
      this.#own(index, member, grant)
      this.#next = (index + 1) % this.geometry.blockCount
      wanted--
    }
  }

  /** Grants this very block; one that the member owns already is fine. */
  claimBlock(member: number, index: number, grant: number): void {
    const owner = this.#owners.get(index)
    if (owner === member) return
    if (owner !== undefined) throw new Refused('OWNED')
    if ((this.#blocks.get(member)?.size ?? 0) >= maxBlocks) throw new Refused('QUOTA')
    this.#own(index, member, grant)
  }

  /** Takes back a block if it was given under that grant: a late release frees nothing newer. */
  releaseBlock(member: number, index: number, grant: number): void {
    const mine = this.#blocks.get(member)
    if (mine?.get(index) === grant) this.#disown(index, member)
  }

  releaseLoan(member: number, offset: number, grant: number): void {
    const loan = this.#loans.get(offset)
    if (loan?.to === member && loan.grant === grant) this.#loans.delete(offset)
  }

  /**
   * `owner` lends an address of its block, which it has made sure that nobody has. Gives the grant.
   */
  lend(owner: number, offset: number, to: number, grant: number): number {
    if (this.#owners.get(blockOf(this.geometry, offset)) !== owner) throw new Refused('OWNED')
    const loan = this.#loans.get(offset)
    if (loan?.to === to) return loan.grant
    if (loan !== undefined) throw new Refused('LENT')
    if (this.#isSetAside(offset)) throw new Refused('IN_USE')
    let borrowed = 0
    for (const loan of this.#loans.values()) if (loan.to === to) borrowed++
    if (this.#loans.size >= maxLoansOfPool || borrowed >= maxLoans) throw new Refused('QUOTA')
    this.#loans.set(offset, { to, grant })
    return grant
  }

  /** The gateway, for all members: the present one, else `wanted`, else the first that is free. */
  setGateway(wanted: number | null): void {
    if (this.#gateway !== null) {
      if (wanted === null || wanted === this.#gateway) return
      throw new Refused('OTHER_GATEWAY', { offset: this.#gateway })
    }
    if (wanted !== null) this.#checkFree(wanted, null)
    this.#gateway = wanted ?? this.#firstUnowned()
  }

  /** Sets an address aside; several members may set the same one aside. */
  reserve(member: number, offset: number): void {
    const known = this.#reserved.get(offset)
    if (offset === this.#gateway) throw new Refused('IN_USE', { offset })
    if (known === undefined) {
      this.#checkFree(offset, member)
      if (this.#reserved.size >= maxReserved) throw new Refused('QUOTA')
    }
    this.#reserved.set(offset, (known ?? new Set()).add(member))
  }

  unreserve(member: number, offset: number): void {
    const members = this.#reserved.get(offset)
    if (members?.delete(member) === true && members.size === 0) this.#reserved.delete(offset)
  }

  /** All that the member has of the pool is free. */
  drop(member: number): void {
    this.holders.delete(member)
    for (const index of this.#blocks.get(member)?.keys() ?? []) this.#disown(index, member)
    for (const [offset, { to }] of this.#loans) if (to === member) this.#loans.delete(offset)
    for (const offset of this.#reserved.keys()) this.unreserve(member, offset)
  }

  #own(index: number, member: number, grant: number): void {
    const mine = this.#blocks.get(member) ?? new Map<number, number>()
    this.#blocks.set(member, mine.set(index, grant))
    this.#owners.set(index, member)
  }

  #disown(index: number, member: number): void {
    const mine = this.#blocks.get(member)!
    mine.delete(index)
    if (mine.size === 0) this.#blocks.delete(member)
    this.#owners.delete(index)
  }

  #lentBy(member: number): number[] {
    const mine = this.#blocks.get(member)
    if (mine === undefined) return []
    const lent: number[] = []
    for (const [offset, { to }] of this.#loans) {
      if (to !== member && mine.has(blockOf(this.geometry, offset))) lent.push(offset)
    }
    return lent
  }

  #isSetAside(offset: number): boolean {
    return offset === this.#gateway || this.#reserved.has(offset)
  }

  /** Whether some address of the block, within that range, is neither lent nor set aside. */
  #hasFree(index: number, within: OffsetRange): boolean {
    const range = blockRange(this.geometry, index, within)
    if (range === null) return false
    for (let offset = range.first; offset <= range.last; offset++) {
      if (!this.#loans.has(offset) && !this.#isSetAside(offset)) return true
    }
    return false
  }

  /** Refuses an address that somebody but `member` may hand out, or has. */
  #checkFree(offset: number, member: number | null): void {
    if (!isUsable(this.geometry, offset)) throw new Refused('BAD_COMMAND')
    if (this.#isSetAside(offset)) throw new Refused('IN_USE', { offset })
    const borrower = this.#loans.get(offset)?.to
    if (borrower === member) return
    if (borrower !== undefined) throw new Refused('LENT')
    const owner = this.#owners.get(blockOf(this.geometry, offset))
    if (owner !== undefined && owner !== member) throw new Refused('OWNED')
  }

  #firstUnowned(): number {
    const { first, last } = this.geometry
    for (let offset = first; offset <= last; offset++) {
      const isOwned = this.#owners.has(blockOf(this.geometry, offset))
      if (!isOwned && !this.#loans.has(offset) && !this.#isSetAside(offset)) return offset
    }
    throw new Refused('NONE_LEFT')
  }
}
