import { isBug, messageOf } from '../../base/errors.ts'
import type { ActualEndpoint, Dataplane } from '../dataplane.ts'
import type { LocalEndpoint } from './desired.ts'
import type { OverlayRows } from './overlay-rows.ts'

/** How many things of each kind were not as they should be. */
export interface Drift {
  /** Properties of bridge and VXLAN device. */
  readonly links: number
  /** Veth pairs that were wrong, or gone although their container lives. */
  readonly endpoints: number
  readonly fdb: number
  readonly neighbours: number
}

/** What an audit of one overlay found. All but what it names has been repaired. */
export interface AuditReport {
  readonly overlayId: string
  readonly drift: Drift
  /** Endpoints of this host whose veth pair is gone, and their container too, or that cannot be repaired. */
  readonly missing: readonly string[]
  /** The first thing that could not be repaired, and why; null when all could. */
  readonly failure: string | null
}

export const noDrift: Drift = { links: 0, endpoints: 0, fdb: 0, neighbours: 0 }

export function addDrift(a: Drift, b: Drift): Drift {
  return {
    links: a.links + b.links,
    endpoints: a.endpoints + b.endpoints,
    fdb: a.fdb + b.fdb,
    neighbours: a.neighbours + b.neighbours,
  }
}

export function driftTotal(drift: Drift): number {
  return drift.links + drift.endpoints + drift.fdb + drift.neighbours
}

/**
 * Compares one overlay with the kernel, from the outside in: links, endpoints, rows; and repairs. What
 * is merely not written yet is written first and is no drift. Runs in the overlay's queue.
 */
export async function auditOverlay(dataplane: Dataplane, rows: OverlayRows): Promise<AuditReport> {
  const { overlayId } = rows.links
  const settled = rows.settled
  const links = await dataplane.ensureOverlay(rows.links)
  if (!settled && links.length === 0) await rows.write()
  const { actual, changes, failure: refused } = await rows.resync()
  const present = new Map(actual.endpoints.map((endpoint) => [endpoint.endpointId, endpoint]))
  const missing: string[] = []
  let failure = refused
  let endpoints = 0
  for (const wanted of rows.local.values()) {
    const { endpointId } = wanted
    try {
      const outcome = await putRight(dataplane, overlayId, wanted, present.get(endpointId))
      if (outcome === 'repaired') endpoints++
      else if (outcome === 'missing') missing.push(endpointId)
    } catch (error) {
      if (isBug(error)) throw error
      // What was done is not known; all of it is looked at again soon.
      rows.invalidate()
      missing.push(endpointId)
      failure ??= messageOf(error)
    }
  }
  const count = (kind: 'fdb' | 'neighbour'): number =>
    changes.filter((change) => change.kind === kind).length
  return {
    overlayId,
    drift: { links: links.length, endpoints, fdb: count('fdb'), neighbours: count('neighbour') },
    missing,
    failure,
  }
}

async function putRight(
  dataplane: Dataplane,
  overlayId: string,
  wanted: LocalEndpoint,
  found: ActualEndpoint | undefined,
): Promise<'right' | 'repaired' | 'missing'> {
  const { endpointId, mac, mtu, inside } = wanted
  const link = { endpointId, mac, mtu }
  if (found !== undefined && isRight(wanted, found)) return 'right'
  // It may have gone since it was found.
  const changed = found === undefined ? null : await dataplane.repairEndpoint(overlayId, link)
  if (changed !== null) return changed.length > 0 ? 'repaired' : 'right'
  const rewired =
    inside !== undefined && (await dataplane.recreateEndpoint(overlayId, link, inside))
  return rewired ? 'repaired' : 'missing'
}

function isRight(wanted: LocalEndpoint, found: ActualEndpoint): boolean {
  return found.portConfigured && found.mac === wanted.mac && found.mtu === wanted.mtu
}
