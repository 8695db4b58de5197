import { attempt } from '../../base/errors.ts'
import type { ActualEndpoint, Dataplane, EndpointLink } from '../dataplane.ts'
import type { OverlayRows } from './overlay-rows.ts'

/** How many things of each kind differed from what they should be. */
export interface Drift {
  /** Properties of bridge and VXLAN device. */
  readonly links: number
  /** Veth pairs that differed, or were gone although their container lives. */
  readonly endpoints: number
  readonly fdb: number
  readonly neighbours: number
  /** VTEPs that were admitted and should not be, or the other way round. */
  readonly sources: number
}

/** What an audit of one overlay found. All but what it names has been repaired. */
export interface AuditReport {
  readonly overlayId: string
  readonly drift: Drift
  /** Endpoints of this host whose veth pair and sandbox are gone, or that could not be repaired. */
  readonly missing: readonly string[]
  /** The first repair that failed, and why; null when none did. */
  readonly failure: string | null
}

/** What audits found since the start. */
export class AuditTotals {
  #drift: Drift = { links: 0, endpoints: 0, fdb: 0, neighbours: 0, sources: 0 }
  #audits = 0
  #lastAuditAt: string | null = null

  /** One overlay was audited. */
  addDrift({ links, endpoints, fdb, neighbours, sources }: Drift): void {
    this.#drift = {
      links: this.#drift.links + links,
      endpoints: this.#drift.endpoints + endpoints,
      fdb: this.#drift.fdb + fdb,
      neighbours: this.#drift.neighbours + neighbours,
      sources: this.#drift.sources + sources,
    }
  }

  /** All overlays were audited, by `wallMs` of the wall clock. */
  addAudit(wallMs: number): void {
    this.#audits++
    this.#lastAuditAt = new Date(wallMs).toISOString()
  }

  status(): { drift: Drift; audits: number; lastAuditAt: string | null } {
    return { drift: this.#drift, audits: this.#audits, lastAuditAt: this.#lastAuditAt }
  }
}

export function driftTotal(drift: Drift): number {
  return drift.links + drift.endpoints + drift.fdb + drift.neighbours + drift.sources
}

/**
 * Compares one overlay with the kernel and repairs it, from the outside in: links, rows, endpoints.
 * Rows that are only waiting to be written are written first and are no drift. Runs in the
 * overlay's queue.
 */
export async function auditOverlay(dataplane: Dataplane, rows: OverlayRows): Promise<AuditReport> {
  const { overlayId } = rows.links
  const { settled } = rows
  const links = await dataplane.ensureOverlay(rows.links)
  if (!settled && links.length === 0) await rows.write()
  const { actual, changes, sources, failure: refused } = await rows.resync()
  const present = new Map(actual.endpoints.map((endpoint) => [endpoint.endpointId, endpoint]))
  const missing: string[] = []
  let failure = refused
  let endpoints = 0
  for (const link of rows.endpoints.values()) {
    const { endpointId } = link
    if (matches(link, present.get(endpointId))) continue
    const outcome = await attempt(
      () => dataplane.restoreEndpoint(overlayId, link),
      (message) => {
        // The outcome is not known: all rows are compared again soon.
        rows.invalidate()
        failure ??= message
        return 'missing' as const
      },
    )
    if (outcome === 'repaired') endpoints++
    else if (outcome === 'missing') missing.push(endpointId)
  }
  const count = (kind: 'fdb' | 'neighbour'): number =>
    changes.filter((change) => change.kind === kind).length
  return {
    overlayId,
    drift: {
      links: links.length,
      endpoints,
      fdb: count('fdb'),
      neighbours: count('neighbour'),
      sources,
    },
    missing,
    failure,
  }
}

function matches(link: EndpointLink, actual: ActualEndpoint | undefined): boolean {
  if (actual?.portConfigured !== true) return false
  const own = new Set(link.addresses.map(({ ip }) => ip))
  const isFiltered = actual.ips === null || own.symmetricDifference(new Set(actual.ips)).size === 0
  return actual.mac === link.mac && actual.mtu === link.mtu && isFiltered
}
