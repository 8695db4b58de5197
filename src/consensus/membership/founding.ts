/** Rules about which cluster a member belongs to: ids, and which of two clusters prevails. */

/**
 * Of the clusters that members belong to the one that most do, of equal ones the lower id; null
 * when there is none.
 */
export function prevailing(clusterIds: readonly string[]): string | null {
  const counts = new Map<string, number>()
  for (const id of clusterIds) if (id !== '') counts.set(id, (counts.get(id) ?? 0) + 1)
  const ranked = [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  return ranked[0]?.[0] ?? null
}

/**
 * A cluster's id: its origin, how often it was recovered, and which of several recoveries it is.
 */
export function newClusterId(origin: string, generation: number, nonce: string): string {
  return `${origin}.${generation}.${nonce}`
}

/** The id of the cluster that `recover` makes out of that one. */
export function recoveredId(clusterId: string, nonce: string): string {
  const { origin, generation } = partsOf(clusterId)
  return newClusterId(origin, generation + 1, nonce)
}

/** Whether `later` was recovered from `earlier`, or from one that was. */
export function isRecoveryOf(later: string, earlier: string): boolean {
  const [a, b] = [partsOf(earlier), partsOf(later)]
  return a.origin === b.origin && b.generation > a.generation
}

function partsOf(clusterId: string): { origin: string; generation: number } {
  const [origin = '', generation = '0'] = clusterId.split('.')
  return { origin, generation: Math.min(Number(generation) || 0, 1_000_000) }
}
