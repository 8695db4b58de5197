import { parsePoolKey, type PoolName } from '../../net/pool-key.ts'
import { assert } from '../../base/errors.ts'
import { geometryOf, type PoolGeometry } from '../../net/pool-geometry.ts'

/**
 * What can be voted on: a block of a pool, one address of a pool (lent by its block's owner), or the
 * pool itself. `number` is the block's index, the address's offset, or 0.
 */
export interface Item {
  readonly kind: 'block' | 'address' | 'pool'
  readonly poolKey: string
  readonly number: number
}

export function blockItem(poolKey: string, index: number): Item {
  return { kind: 'block', poolKey, number: index }
}

export function addressItem(poolKey: string, offset: number): Item {
  return { kind: 'address', poolKey, number: offset }
}

export function poolItem(poolKey: string): Item {
  return { kind: 'pool', poolKey, number: 0 }
}

/** The item as one string, for maps, messages and the store. */
export function itemKey(item: Item): string {
  return `${item.kind} ${item.number} ${item.poolKey}`
}

/** Reads an item's key; null for anything that is none. */
export function parseItemKey(key: string): Item | null {
  const match = /^(block|address|pool) (0|[1-9]\d{0,15}) (.+)$/.exec(key)
  if (match === null) return null
  const item = { kind: match[1] as Item['kind'], poolKey: match[3]!, number: Number(match[2]) }
  const pool = remembered.get(item.poolKey) ?? read(item.poolKey)
  if (pool === null) return null
  const { blockCount, span } = pool.geometry
  const limit = { block: blockCount, address: span, pool: 1 }[item.kind]
  return item.number < limit ? item : null
}

/** The pool that a key names. Throws when it names none: keys are checked where they come in. */
export function poolNameOf(poolKey: string): PoolName {
  return known(poolKey).name
}

export function geometryOfKey(poolKey: string): PoolGeometry {
  return known(poolKey).geometry
}

/** Keys read before: a message can name one pool a thousand times. More pools than this are read again. */
const rememberedMost = 1000
const remembered = new Map<string, { name: PoolName; geometry: PoolGeometry }>()

function known(poolKey: string): { name: PoolName; geometry: PoolGeometry } {
  const found = remembered.get(poolKey) ?? read(poolKey)
  assert(found !== null, `pool key ${poolKey}`)
  return found
}

function read(poolKey: string): { name: PoolName; geometry: PoolGeometry } | null {
  const name = parsePoolKey(poolKey)
  if (name === null) return null
  const entry = { name, geometry: geometryOf(name.cidr) }
  if (remembered.size >= rememberedMost) remembered.clear()
  remembered.set(poolKey, entry)
  return entry
}
