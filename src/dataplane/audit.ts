import type { ActualEndpoint, Dataplane } from './dataplane.ts'
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

/** What an audit of one overlay found. All but `missing` and `unknown` has been repaired. */
export interface AuditReport {
  readonly overlayId: string
  readonly drift: Drift
  /** Endpoints of this host whose veth pair is gone, and their container too, or it was not found. */
  readonly missing: readonly string[]
  /** Endpoints that have a veth pair of ours and were never attached. The driver knows what to do. */
  readonly unknown: readonly string[]
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
  const { actual, changes } = await rows.resync()
  const present = new Map(actual.endpoints.map((endpoint) => [endpoint.endpointId, endpoint]))
  const missing: string[] = []
  let endpoints = 0
  for (const wanted of rows.local.values()) {
    const { endpointId, mac, mtu, inside } = wanted
    const [found, link] = [present.get(endpointId), { endpointId, mac, mtu }]
    if (found !== undefined && isRight(wanted, found)) continue
    if (found !== undefined) {
      const { changed } = await dataplane.ensureEndpoint(overlayId, link)
      if (changed.length > 0) endpoints++
    } else if (inside !== undefined && (await dataplane.rewireEndpoint(overlayId, link, inside))) {
      endpoints++
    } else missing.push(endpointId)
  }
  const count = (kind: 'fdb' | 'neighbour'): number =>
    changes.filter((change) => change.kind === kind).length
  return {
    overlayId,
    drift: { links: links.length, endpoints, fdb: count('fdb'), neighbours: count('neighbour') },
    missing,
    unknown: [...present.keys()].filter((id) => !rows.local.has(id)),
  }
}

function isRight(wanted: LocalEndpoint, found: ActualEndpoint): boolean {
  return found.sound && found.mac === wanted.mac && found.mtu === wanted.mtu
}
