import { type Cidr, cidrsOverlap, parseCidr } from './cidr.ts'

/**
 * Who allocates a pool's addresses. `shared`: every member, from blocks of its own. `manager`: a
 * swarm manager alone, since swarm's managers have agreed already on who allocates. `worker`:
 * nobody here; a swarm worker's copy takes the addresses that the manager chose. `engine`: each
 * host's engine by its own IPAM driver, from this member's part (pool-parts.ts).
 */
export type PoolKind = 'shared' | 'manager' | 'worker' | 'engine'

/** A pool by its name: the prefix, the overlay it is kept apart for, and who allocates. */
export interface PoolName {
  readonly kind: PoolKind
  readonly cidr: Cidr
  readonly overlay: string | null
}

const prefixes: Record<PoolKind, string> = {
  shared: '',
  manager: 'global:',
  worker: 'swarm:',
  engine: 'engine:',
}
const kinds: readonly PoolKind[] = ['worker', 'manager', 'engine', 'shared']

/** The most characters of an overlay's id. */
export const maxOverlayIdLength = 63

/**
 * Whether `text` can be an overlay's id: it goes into pool keys, ids and messages, so no spaces.
 */
export function isOverlayId(text: string): boolean {
  return text.length <= maxOverlayIdLength && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)
}

/** The pool's key in the cluster: `10.10.0.0/16`, or `10.10.0.0/16 blue` when kept apart. */
export function poolKeyOf(name: PoolName): string {
  const overlay = name.overlay === null ? '' : ` ${name.overlay}`
  return `${prefixes[name.kind]}${name.cidr}${overlay}`
}

/** Reads a pool key; null for anything else. */
export function parsePoolKey(key: string): PoolName | null {
  const kind = kinds.find((kind) => key.startsWith(prefixes[kind]))!
  const [cidrText = '', overlay, ...rest] = key.slice(prefixes[kind].length).split(' ')
  return rest.length > 0 ? null : poolNameOf(kind, cidrText, overlay)
}

/** The key of the pool with that prefix that engines hand out from. */
export function enginePoolKey(cidr: Cidr): string {
  return poolKeyOf({ kind: 'engine', cidr, overlay: null })
}

/** The pool of that prefix and overlay; null when either is none. */
export function poolNameOf(
  kind: PoolKind,
  cidrText: string,
  overlay: string | undefined,
): PoolName | null {
  const cidr = parseCidr(cidrText)
  if (cidr === null || (overlay !== undefined && !isOverlayId(overlay))) return null
  return { kind, cidr, overlay: overlay ?? null }
}

/**
 * Whether two pools may not both be in the cluster. The same prefix is one pool that several hosts
 * share; different prefixes that overlap are not, unless they are kept apart for different
 * overlays. Nothing overlaps a pool that engines hand out from.
 */
export function poolsClash(a: PoolName, b: PoolName): boolean {
  if ((a.kind === 'engine') !== (b.kind === 'engine')) return cidrsOverlap(a.cidr, b.cidr)
  return a.overlay === b.overlay && a.cidr !== b.cidr && cidrsOverlap(a.cidr, b.cidr)
}
