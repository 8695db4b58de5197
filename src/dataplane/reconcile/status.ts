import type { Ip } from '../../net/ip.ts'
import type { Vni } from '../../net/vni.ts'
import type { Drift } from './audit.ts'
import type { OverlayRows } from './overlay-rows.ts'

/** The data plane's part of `/status`: plain JSON. */
export interface ReconcilerStatus {
  readonly overlays: readonly OverlayStatus[]
  /** What audits found wrong and repaired since the start. */
  readonly drift: Drift
  readonly audits: number
  readonly lastAuditAt: string | null
}

interface OverlayStatus {
  readonly overlayId: string
  readonly vni: Vni
  readonly vtep: Ip
  readonly mtu: number
  /** Endpoints of this host. */
  readonly endpoints: number
  /** Endpoints of others, live or not. */
  readonly peers: number
  /** Rows that the kernel is believed to have. */
  readonly fdb: number
  readonly neighbours: number
  /** Whether all rows are believed to be as they should be. */
  readonly settled: boolean
  /** Endpoints of this host whose veth pair is gone. */
  readonly missing: readonly string[]
  /** Why the last write failed; null when it did not. */
  readonly lastError: string | null
}

/** One overlay's line of the status. */
export function overlayStatus(
  rows: OverlayRows,
  peers: number,
  trouble: Pick<OverlayStatus, 'missing' | 'lastError'>,
): OverlayStatus {
  const { overlayId, vni, vtep, mtu } = rows.links
  const { settled, counts } = rows
  return {
    overlayId,
    vni,
    vtep,
    mtu,
    endpoints: rows.local.size,
    peers,
    ...counts,
    settled,
    ...trouble,
  }
}
