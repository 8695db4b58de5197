import type { Transition } from '../../cluster/cluster.ts'
import { endpointRecord } from '../../cluster/wire/endpoint-record.ts'
import type { AnyRecord } from '../../cluster/wire/record-type.ts'
import type { Peer, PeerTransition } from '../../dataplane/reconcile/peer-table.ts'

/**
 * The endpoints among the cluster's transitions, as the data plane takes them. An endpoint whose
 * host is away counts there as deleted; the cluster keeps its record, and reports it again when the
 * host returns.
 */
export function peerTransitions(batch: readonly Transition[]): PeerTransition[] {
  return batch.flatMap((transition) => {
    const previous = peerOf(transition, transition.previous)
    const next = peerOf(transition, transition.next)
    return previous === null && next === null ? [] : [{ previous, next }]
  })
}

function peerOf(transition: Transition, record: AnyRecord | null): Peer | null {
  if (!endpointRecord.is(record)) return null
  const { kind: _kind, ...endpoint } = record
  return { ...endpoint, origin: transition.origin, vtep: transition.address, live: transition.live }
}
