import { type PoolKind, type PoolName, poolNameOf } from './pool-key.ts'

/** The engine compares the two only with each other; they must differ and never change. */
export const addressSpaces = { local: 'ts-overlay', global: 'ts-overlay-global' } as const

const spaces: Record<PoolKind, string> = {
  shared: addressSpaces.local,
  manager: addressSpaces.global,
  worker: `${addressSpaces.local}-swarm`,
  engine: '', // the engine's own
}
const kinds: readonly PoolKind[] = ['worker', 'manager', 'shared']

/** The id that the engine keeps for the pool: readable, and all there is to know of it. */
export function poolIdOf(name: PoolName): string {
  const overlay = name.overlay === null ? '' : `/${name.overlay}`
  return `${spaces[name.kind]}/${name.cidr}${overlay}`
}

/** Reads a pool id; null when it is not one of ours. */
export function parsePoolId(id: string): PoolName | null {
  const [space, base, length, overlay, ...rest] = id.split('/')
  const kind = kinds.find((kind) => spaces[kind] === space)
  if (kind === undefined || rest.length > 0) return null
  return poolNameOf(kind, `${base}/${length}`, overlay)
}
