import type { Transition } from '../cluster/cluster.ts'
import type { ClusterRecord } from '../cluster/wire/records.ts'
import type { Peer, PeerTransition } from '../dataplane/reconcile/peer-table.ts'

/**
 * The endpoints among the cluster's transitions, as the data plane takes them. An endpoint whose host
 * is gone is forgotten there like a deleted one: the cluster keeps it, and tells of it again if its host
 * returns.
 */
export function peerTransitions(batch: readonly Transition[]): PeerTransition[] {
  return batch.flatMap((transition) => {
    const previous = peerOf(transition, transition.previous)
    const next = peerOf(transition, transition.next)
    return previous === null && next === null ? [] : [{ previous, next }]
  })
}

function peerOf(transition: Transition, record: ClusterRecord | null): Peer | null {
  if (record?.kind !== 'endpoint') return null
  const { kind: _kind, ...endpoint } = record
  return { ...endpoint, origin: transition.origin, vtep: transition.address, live: transition.live }
}
