/** Rules about which cluster a member belongs to: who founds one, and which of two prevails. */
import type { Seed } from '../ports.ts'
import type { ClusterView } from '../requests.ts'

/** How much longer each further entry of JOIN waits for those before it, ms. */
export const foundingStepMs = 5000
/** How long a first host waits for gossip to find others at the most, ms. */
const maxSyncMs = 5000

interface FoundingState {
  readonly seeds: readonly Seed[]
  /** What live members said; null for one that was not heard yet. */
  readonly views: readonly (ClusterView | null)[]
  readonly isSynced: boolean
  readonly waitedMs: number
}

type FoundingStep =
  | { readonly kind: 'found' | 'wait'; readonly why: string }
  | { readonly kind: 'join'; readonly clusterId: string; readonly why: string }

/**
 * What a member without a state of its own does. A member that hears of a cluster joins it.
 * Otherwise the first entry of JOIN that is alive founds one, if it is this member; a later one
 * waits for those before it.
 */
export function foundingStep({ seeds, views, isSynced, waitedMs }: FoundingState): FoundingStep {
  const clusterId = prevailing(views.map((view) => view?.clusterId ?? ''))
  if (clusterId !== null) return { kind: 'join', clusterId, why: 'members that answer have one' }
  const rank = seeds.findIndex(({ isSelf }) => isSelf)
  if (seeds.length > 0 && rank < 0)
    return { kind: 'wait', why: 'no host in JOIN has a cluster yet, and this one is not in it' }
  if (views.includes(null)) return { kind: 'wait', why: 'not all members have answered' }
  const before = seeds.slice(0, Math.max(0, rank)).find(({ member }) => member !== null)
  if (before !== undefined) return { kind: 'wait', why: `${before.member} founds the cluster` }
  if (seeds.length === 0) return { kind: 'found', why: 'JOIN is empty' }
  const isPatient =
    rank === 0 ? isSynced || waitedMs >= maxSyncMs : waitedMs >= rank * foundingStepMs
  if (!isPatient) return { kind: 'wait', why: 'hosts that JOIN names first may still come' }
  return { kind: 'found', why: 'none that answers has a cluster and this is the first in JOIN' }
}

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
