import { refusal } from '../base/errors.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'

/** The engine compares the two only with each other; they must differ and never change. */
export const addressSpaces = { local: 'ts-overlay', global: 'ts-overlay-global' } as const

/**
 * How a pool's addresses are kept. `shared`: one pool for the whole cluster, in blocks by vote.
 * `books`: a swarm manager's book, where Raft has already decided who allocates. `told`: a swarm
 * worker's copy, which takes the addresses that the manager chose.
 */
export type PoolKind = 'shared' | 'books' | 'told'

/** A pool by its name: the prefix, the overlay it is kept apart for, and how it is kept. */
export interface PoolName {
  readonly kind: PoolKind
  readonly cidr: Cidr
  readonly overlay: string | null
}

const prefixes: Record<PoolKind, string> = { shared: '', books: 'global:', told: 'swarm:' }
const spaces: Record<PoolKind, string> = {
  shared: addressSpaces.local,
  books: addressSpaces.global,
  told: `${addressSpaces.local}-swarm`,
}
const kinds: readonly PoolKind[] = ['told', 'books', 'shared']

/** Whether `text` can be an overlay's id: it goes into pool keys, ids and messages, so no spaces. */
export function isOverlayId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(text)
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
  return nameOf(kind, cidrText, overlay, rest)
}

/** The id that the engine keeps for the pool: readable, and all there is to know of it. */
export function poolIdOf(name: PoolName): string {
  const overlay = name.overlay === null ? '' : `/${name.overlay}`
  return `${spaces[name.kind]}/${name.cidr}${overlay}`
}

/** Reads a pool id; null when it is not one of ours. */
export function parsePoolId(id: string): PoolName | null {
  const [space, base, length, overlay, ...rest] = id.split('/')
  const kind = kinds.find((kind) => spaces[kind] === space)
  return kind === undefined ? null : nameOf(kind, `${base}/${length}`, overlay, rest)
}

/** As `parsePoolId`, but refuses what it cannot read. */
export function requirePoolId(id: string): PoolName {
  const name = parsePoolId(id)
  if (name === null) {
    throw refusal(
      'POOL_NOT_FOUND',
      `pool id ${JSON.stringify(id)} is none of ours; they look like ${spaces.shared}/10.10.0.0/16`,
    )
  }
  return name
}

function nameOf(
  kind: PoolKind,
  cidrText: string,
  overlay: string | undefined,
  rest: readonly string[],
): PoolName | null {
  const cidr = parseCidr(cidrText)
  if (cidr === null || rest.length > 0) return null
  if (overlay !== undefined && !isOverlayId(overlay)) return null
  return { kind, cidr, overlay: overlay ?? null }
}
