import { refusal } from '../../base/errors.ts'
import { type Cidr, cidrContains } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import {
  addressAt,
  blockOf,
  blockRange,
  geometryOf,
  isUsable,
  offsetOf,
  type OffsetRange,
  type PoolGeometry,
  rangeSize,
  subRange,
} from '../../net/pool-geometry.ts'
import { type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import type { Granted, PoolView } from '../../net/pool-view.ts'
import { type Lease, LeaseTable } from '../leases/lease-table.ts'
import type { StoreChange } from '../ports.ts'
import { rowKey, tables } from '../tables.ts'

/** A pool's row in the store. */
export interface PoolRow {
  /** Wall clock, ms, as in `Block`. */
  readonly since: number
  readonly auto: boolean
  /** Addresses that this host set aside (`--aux-address`). */
  readonly reserved: readonly Ip[]
  /** `--ip-range` of this host's network. */
  readonly subPool: Cidr | null
  readonly networkId: string | null
  /** The gateway that the engine was given on this host. */
  readonly gateway: Ip | null
  readonly agreed: Agreed
}

/** What the cluster has agreed on, as far as this host needs it without asking. */
type Agreed = Pick<PoolView, 'gateway' | 'reserved' | 'lent'>

export interface Block {
  readonly grant: number
  readonly since: number
}

export const nothingAgreed: Agreed = { gateway: null, reserved: [], lent: [] }

/**
 * What this host has of one pool: the engine's wishes, its blocks, the addresses that it handed
 * out. Changes take effect in memory at once and return the rows to write.
 */
export class LocalPool {
  readonly key: string
  readonly name: PoolName
  readonly geometry: PoolGeometry
  readonly leases = new LeaseTable()
  readonly #blocks = new Map<number, Block>()
  /** Blocks that are ours no more and whose release is not agreed on yet, with their grants. */
  readonly #releasing = new Map<number, number>()
  /** Loans that nobody here uses any more, until their return is agreed on. */
  readonly #returning = new Map<number, number>()
  #row: PoolRow | null
  #ranges: readonly OffsetRange[] | null = null
  /** The index of the newest view; what is older is not adopted. */
  #asOf = 0
  /** 0 while the cluster has not told in this run that we hold the pool. */
  grant = 0
  /** Requests for an automatic address that wait for a block. */
  waiting = 0
  readonly busy = new Set<number>()
  /** Offsets that this host does not set aside any more, until that is agreed on. */
  readonly unreserving = new Set<number>()

  constructor(name: PoolName, row: PoolRow | null) {
    this.key = poolKeyOf(name)
    this.name = name
    this.geometry = geometryOf(name.cidr)
    this.#row = row
  }

  /** Null while this host does not hold the pool. */
  get row(): PoolRow | null {
    return this.#row
  }

  get agreed(): Agreed {
    return this.#row?.agreed ?? nothingAgreed
  }

  /** Changes what the engine wishes of the pool; null lets go of it. */
  set(row: PoolRow | null): StoreChange {
    this.#row = row
    this.#ranges = null
    return { table: tables.pools, key: this.key, value: row }
  }

  withoutReserved(ip: Ip): StoreChange[] {
    const row = this.#row
    if (row === null || !row.reserved.includes(ip)) return []
    return [this.set({ ...row, reserved: row.reserved.filter((other) => other !== ip) })]
  }

  get blocks(): ReadonlyMap<number, Block> {
    return this.#blocks
  }

  /** What is to be released, once the disk has it: blocks and loans. */
  get owed(): { blocks: readonly Granted[]; loans: readonly Granted[] } {
    return { blocks: [...this.#releasing], loans: [...this.#returning] }
  }

  ownsOffset(offset: number): boolean {
    return this.#blocks.has(blockOf(this.geometry, offset))
  }

  own(index: number, block: Block): StoreChange {
    this.#blocks.set(index, block)
    this.#ranges = null
    return { table: tables.blocks, key: rowKey(index, this.key), value: block }
  }

  /** The block is not ours any more; the caller tells the cluster once that is on the disk. */
  giveUp(index: number): StoreChange {
    this.#releasing.set(index, this.#blocks.get(index)!.grant)
    return this.#disown(index)
  }

  nothing(index: number): PoolView {
    const none = { held: null, auto: false, blocks: [], loans: [] }
    return { pool: this.key, index, ...this.agreed, lent: [], ...none }
  }

  /**
   * Makes the cluster's view ours: grants whose answer was lost are taken, and blocks that are
   * `lost`, because this member was evicted, are dropped. A view older than another is not looked
   * at.
   */
  adopt(view: PoolView, since: number): { changes: StoreChange[]; lost: readonly number[] } {
    const changes: StoreChange[] = []
    if (view.index < this.#asOf || this.#row === null) return { changes, lost: [] }
    this.#asOf = view.index
    this.grant = view.held ?? 0
    const granted = new Map(view.blocks)
    for (const [index, grant] of this.#releasing) {
      if (granted.get(index) === grant) granted.delete(index)
      else this.#releasing.delete(index)
    }
    const lost = [...this.#blocks.keys()].filter((index) => !granted.has(index))
    for (const index of lost) changes.push(this.#disown(index))
    for (const [index, grant] of granted) {
      if (this.#blocks.get(index)?.grant !== grant) changes.push(this.own(index, { grant, since }))
    }
    const { reserved, lent } = view
    // A network keeps its gateway when the cluster has lost it; `Maintenance` tells it again.
    const agreed = { gateway: view.gateway ?? this.agreed.gateway, reserved, lent }
    if (JSON.stringify(agreed) !== JSON.stringify(this.agreed)) {
      changes.push(this.set({ ...this.#row, agreed }))
    }
    changes.push(...this.#adoptLoans(view.loans))
    return { changes, lost }
  }

  /** This member is a newcomer, perhaps in another cluster: it has no block and no loan. */
  loseAll(): StoreChange[] {
    this.#releasing.clear()
    this.#returning.clear()
    const { changes } = this.adopt({ ...this.nothing(Infinity), lent: this.agreed.lent }, 0)
    this.#asOf = 0
    return changes
  }

  lease(offset: number, lease: Lease): StoreChange {
    // A view from before this loan was granted must not take it away.
    if (lease.loan !== null) this.#asOf = Math.max(this.#asOf, lease.loan)
    this.leases.take(offset, lease)
    return { table: tables.leases, key: rowKey(offset, this.key), value: lease }
  }

  /** Frees an address; `now` is the time on our clock, ms. A loan goes back. */
  unlease(offset: number, now: number): StoreChange {
    const loan = this.leases.get(offset)?.loan ?? null
    if (loan !== null) this.#returning.set(offset, loan)
    this.leases.drop(offset, now)
    return { table: tables.leases, key: rowKey(offset, this.key), value: null }
  }

  /** Undoes `lease`, unless it was replaced: the address has `before` again. */
  revertLease(offset: number, lease: Lease, before: Lease | undefined, now: number): StoreChange[] {
    if (this.leases.get(offset) !== lease) return []
    return [before === undefined ? this.unlease(offset, now) : this.lease(offset, before)]
  }

  idleBlocks(): number[] {
    const offsets = [...Array.from(this.leases.entries(), ([offset]) => offset), ...this.busy]
    const used = new Set(offsets.map((offset) => blockOf(this.geometry, offset)))
    return [...this.#blocks.keys()].filter((index) => !used.has(index))
  }

  isSetAside(offset: number): boolean {
    const { gateway, reserved, lent } = this.agreed
    if (reserved.includes(offset) || lent.includes(offset)) return true
    return gateway !== null && this.offset(gateway) === offset
  }

  /** Where automatic addresses may come from: the whole pool, or `--ip-range`. Null: nowhere. */
  get window(): OffsetRange | null {
    const sub = this.#row?.subPool ?? null
    return sub === null ? this.geometry : subRange(this.geometry, sub)
  }

  /** The parts of our blocks that automatic addresses may come from, ascending. */
  get ranges(): readonly OffsetRange[] {
    const { window } = this
    if (window === null) return []
    this.#ranges ??= [...this.#blocks.keys()]
      .sort((a, b) => a - b)
      .map((index) => blockRange(this.geometry, index, window))
      .filter((range) => range !== null)
    return this.#ranges
  }

  /** How many automatic addresses there are without another block and without quarantine. */
  fresh(now: number): number {
    const capacity = this.ranges.reduce((sum, range) => sum + rangeSize(range), 0)
    return capacity - this.leases.size - this.leases.quarantined(now) - this.agreed.lent.length
  }

  /** Null when the address is not in the part of the pool that is handed out. */
  offset(ip: Ip): number | null {
    return cidrContains(this.geometry.cidr, ip) ? offsetOf(this.geometry, ip) : null
  }

  /** The offset of an address that was asked for; refuses one that no host can have. */
  usableOffset(ip: Ip): number {
    const offset = this.offset(ip)
    if (offset !== null && isUsable(this.geometry, offset)) return offset
    const choice = `${this.addressAt(this.geometry.first)} to ${this.addressAt(this.geometry.last)}`
    const what = `address ${ip} cannot be given to a host in pool ${this.key}`
    throw refusal('ADDRESS_OUT_OF_POOL', `${what}; choose one from ${choice}`)
  }

  addressAt(offset: number): Ip {
    return addressAt(this.geometry, offset)
  }

  #disown(index: number): StoreChange {
    this.#blocks.delete(index)
    this.#ranges = null
    return { table: tables.blocks, key: rowKey(index, this.key), value: null }
  }

  /** Leases keep only loans that stand; loans that no lease and no request here is for go back. */
  #adoptLoans(loans: readonly Granted[]): StoreChange[] {
    const changes: StoreChange[] = []
    const standing = new Map(loans)
    for (const [offset, grant] of this.#returning) {
      if (standing.get(offset) !== grant) this.#returning.delete(offset)
    }
    for (const [offset, lease] of this.leases.entries()) {
      if (lease.loan === null || standing.get(offset) === lease.loan) continue
      changes.push(this.lease(offset, { ...lease, loan: null }))
    }
    for (const [offset, grant] of loans) {
      const isUsed = this.leases.get(offset)?.loan === grant
      if (!isUsed && !this.busy.has(offset)) this.#returning.set(offset, grant)
    }
    return changes
  }
}
