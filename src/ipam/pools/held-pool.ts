import { type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import { type Cidr, cidrContains } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { PoolNotice, StoreChange } from '../ports.ts'
import { tables } from '../tables.ts'
import { addressItem, blockItem, itemKey } from '../voting/items.ts'
import { type Lease, LeaseTable } from '../addresses/lease-table.ts'
import {
  blockOf,
  blockRange,
  geometryOf,
  offsetOf,
  type OffsetRange,
  type PoolGeometry,
  rangeSize,
  subRange,
} from '../../net/pool-geometry.ts'

/** A pool's row in the store. */
export interface PoolRow {
  /** Wall clock, ms. */
  readonly since: number
  readonly auto: boolean
  readonly gateway: Ip | null
  readonly reserved: readonly Ip[]
  /** `--ip-range` of this host's network. */
  readonly subPool: Cidr | null
  readonly networkId: string | null
}

/**
 * What this host has of one pool: the engine's wishes, the blocks it owns and the addresses it handed out. A pool that is not
 * `held` any more stays while blocks of it cannot be given back, because addresses in them are lent.
 *
 * Changes take effect in memory at once and return the rows to write.
 */
export class HeldPool {
  readonly key: string
  readonly name: PoolName
  readonly geometry: PoolGeometry
  readonly leases = new LeaseTable()
  /** By index the wall clock since when we own the block, ms. */
  readonly #blocks = new Map<number, number>()
  #row: PoolRow | null
  #ranges: readonly OffsetRange[] | null = null
  /** Requests for an automatic address that wait for a block. */
  waiting = 0
  /** Offsets that requests for a certain address are busy with. */
  readonly wishes = new Set<number>()

  constructor(name: PoolName, row: PoolRow | null) {
    this.key = poolKeyOf(name)
    this.name = name
    this.geometry = geometryOf(name.cidr)
    this.#row = row
  }

  get held(): boolean {
    return this.#row !== null
  }

  get row(): PoolRow | null {
    return this.#row
  }

  /** What the others are told about the pool; null when we do not hold it. */
  get notice(): PoolNotice | null {
    if (this.#row === null) return null
    const { gateway, reserved, auto, since } = this.#row
    return { poolKey: this.key, gateway, reserved, auto, since }
  }

  /** Changes what the engine wishes of the pool; null lets go of it. */
  set(row: PoolRow | null): StoreChange {
    this.#row = row
    this.#ranges = null
    return { table: tables.pools, key: this.key, value: row }
  }

  blocks(): ReadonlyMap<number, number> {
    return this.#blocks
  }

  ownsBlock(index: number): boolean {
    return this.#blocks.has(index)
  }

  ownsOffset(offset: number): boolean {
    return this.#blocks.has(blockOf(this.geometry, offset))
  }

  own(index: number, since: number): StoreChange {
    this.#blocks.set(index, since)
    this.#ranges = null
    return { table: tables.blocks, key: itemKey(blockItem(this.key, index)), value: { since } }
  }

  disown(index: number): StoreChange {
    this.#blocks.delete(index)
    this.#ranges = null
    return { table: tables.blocks, key: itemKey(blockItem(this.key, index)), value: null }
  }

  lease(offset: number, lease: Lease): StoreChange {
    this.leases.take(offset, lease)
    return { table: tables.leases, key: itemKey(addressItem(this.key, offset)), value: lease }
  }

  /** Frees an address; `now` is the time on our clock, ms. */
  unlease(offset: number, now: number): StoreChange {
    this.leases.drop(offset, now)
    return { table: tables.leases, key: itemKey(addressItem(this.key, offset)), value: null }
  }

  /** Undoes the handing out of `lease`: the address has `before` again. Nothing when it is not that lease's any more. */
  unlet(offset: number, lease: Lease, before: Lease | undefined, now: number): StoreChange[] {
    if (this.leases.get(offset) !== lease) return []
    return [before === undefined ? this.unlease(offset, now) : this.lease(offset, before)]
  }

  /** Indices of our blocks that have a lease of ours in them. */
  usedBlocks(): Set<number> {
    const used = new Set<number>()
    for (const [offset] of this.leases.entries()) {
      const index = blockOf(this.geometry, offset)
      if (this.#blocks.has(index)) used.add(index)
    }
    return used
  }

  /** Where automatic addresses may come from on this host: the whole pool, or `--ip-range`. Null: nowhere. */
  get window(): OffsetRange | null {
    const sub = this.#row?.subPool ?? null
    return sub === null ? this.geometry : subRange(this.geometry, sub)
  }

  /** The parts of our blocks that automatic addresses may come from, ascending. */
  get ranges(): readonly OffsetRange[] {
    this.#ranges ??= this.#rangesNow()
    return this.#ranges
  }

  /** How many automatic addresses could be handed out without another block and without waking a resting one. */
  fresh(now: number): number {
    const capacity = this.ranges.reduce((sum, range) => sum + rangeSize(range), 0)
    return capacity - this.leases.size - this.leases.resting(now)
  }

  /** The offset of an address, or null when it is not in the part of the pool that is handed out. */
  offset(ip: Ip): number | null {
    return cidrContains(this.geometry.cidr, ip) ? offsetOf(this.geometry, ip) : null
  }

  #rangesNow(): OffsetRange[] {
    const { window } = this
    if (window === null) return []
    return [...this.#blocks.keys()]
      .sort((a, b) => a - b)
      .map((index) => blockRange(this.geometry, index, window))
      .filter((range) => range !== null)
  }
}
