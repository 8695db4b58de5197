import { type Clock, type Timer, sleep } from '../../base/clock.ts'
import { failure, isBug } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { Vni } from '../../net/vni.ts'
import { OverlayState } from './overlay-state.ts'
import { type AuditReport, auditOverlay, driftTotal } from './audit.ts'
import { AuditSchedule } from './audits.ts'
import type { Dataplane, OverlayLinks } from '../dataplane.ts'
import { type LocalEndpoint, addressesOf } from './desired.ts'
import { StaleRowSweeper } from './stale-rows.ts'
import { OverlayRows } from './overlay-rows.ts'
import { type Peer, PeerTable, type PeerTransition } from './peer-table.ts'
import { type ReconcilerStatus, overlayStatus } from './status.ts'
import { OverlayRemover } from './overlay-remover.ts'

/**
 * Keeps the kernel as it should be. It is told what other members have (`applyPeers`) and what this host
 * has (`attach…`, `detach…`), and owns the order in which the kernel hears of it: one queue per overlay.
 * The kernel is a cache: what is written is what differs from what is believed to be there, and every
 * `auditIntervalMs` the belief itself is checked against a dump and repaired.
 *
 * An endpoint's veth pair that is gone is made anew only inside its container, where the engine had moved
 * the other end. Where that cannot be, the endpoint is reported as missing.
 */

/** Changes within that time are written together. */
const coalesceMs = 1
/** Reading 10,000 rows back takes some 20 ms; every 30 s that is below a thousandth of a processor. */
const auditIntervalDefaultMs = 30_000
/** A member that has not been heard of for that long after our start is not restarting, it is gone. */
const keepRowsMs = 10 * 60_000

interface ReconcilerParts {
  readonly dataplane: Dataplane
  readonly clock: Clock
  readonly logger: Logger
  readonly auditIntervalMs?: number
  /**
   * Whether all is known that is behind a VTEP: its member has told everything, or is gone. Until then rows
   * to it that an earlier life left are kept. Without this, none are.
   */
  readonly isKnown?: (vtep: Ip) => boolean
}

export class Reconciler {
  readonly #dataplane: Dataplane
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #peers = new PeerTable()
  readonly #attached = new Map<string, OverlayState>()
  readonly #queue = new KeyedQueue()
  readonly #removals: OverlayRemover
  readonly #audits: AuditSchedule
  readonly #reviews: StaleRowSweeper | null
  readonly #dirty = new Set<string>()
  #flush: Timer | null = null
  #stopped = false

  constructor(parts: ReconcilerParts) {
    this.#dataplane = parts.dataplane
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#reviews = parts.isKnown === undefined ? null : this.#newReviews(parts.isKnown)
    this.#removals = new OverlayRemover(parts, this.#queue, (overlayId) =>
      this.#attached.has(overlayId),
    )
    const intervalMs = parts.auditIntervalMs ?? auditIntervalDefaultMs
    this.#audits = new AuditSchedule({ clock: parts.clock, intervalMs, audit: () => this.audit() })
  }

  /** Begins the audits. The data plane must have been started. */
  start(): void {
    this.#stopped = false
    this.#audits.start()
  }

  /** Ends audits and retries and waits for work under way. What was built stays in the kernel. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#flush !== null) this.#clock.clearTimeout(this.#flush)
    this.#flush = null
    this.#audits.stop()
    for (const attached of this.#attached.values()) attached.cancelRetry()
    this.#reviews?.stop()
    this.#removals.stop()
    await this.#queue.idle()
  }

  /** Takes over what changed among the other members' endpoints. The kernel follows within 1 ms or so. */
  applyPeers(transitions: readonly PeerTransition[]): void {
    const touched = this.#peers.apply(transitions)
    for (const [overlayId, { rows }] of this.#attached) {
      const addresses = touched.get(rows.links.vni)
      if (addresses === undefined) continue
      rows.markDirty(addresses)
      this.#markDirty(overlayId)
    }
  }

  /**
   * Makes the overlay's links and writes the rows of all known peers before it resolves. Rows that fail
   * do not fail it; they are tried again. Rejects as `Dataplane.ensureOverlay` does.
   */
  attachOverlay(links: OverlayLinks): Promise<void> {
    const { overlayId } = links
    return this.#run(overlayId, async () => {
      const changed = await this.#dataplane.ensureOverlay(links)
      if (changed.length > 0) this.#logger.info(`overlay ${overlayId}: ${changed.join(', ')}`)
      const attached = this.#attached.get(overlayId) ?? this.#newAttached(links)
      const moved = attached.rows.links.vni !== links.vni || attached.rows.links.vtep !== links.vtep
      if (changed.length > 0 || moved) attached.rows.invalidate()
      attached.rows.links = links
      this.#attached.set(overlayId, attached)
      await write(attached)
      if (attached.rows.hasStaleRows && !this.#stopped) this.#reviews?.schedule()
    })
  }

  /** Removes the overlay's links, also those of an earlier life. When it fails it is tried again later. */
  detachOverlay(overlayId: string): Promise<void> {
    return this.#queue.run(overlayId, async () => {
      this.#attached.get(overlayId)?.cancelRetry()
      this.#attached.delete(overlayId)
      await this.#removals.remove(overlayId)
    })
  }

  /** Makes or adopts the endpoint's veth pair. Fails with KERNEL when the overlay is not attached. */
  attachEndpoint(overlayId: string, endpoint: LocalEndpoint): Promise<{ sourceName: string }> {
    return this.#run(overlayId, async () => {
      const attached = this.#attached.get(overlayId)
      if (attached === undefined)
        throw failure('KERNEL', `overlay ${overlayId} is not attached; attach it first`)
      const { endpointId, mac, mtu } = endpoint
      const link = { endpointId, mac, mtu }
      const { sourceName } = await this.#dataplane.ensureEndpoint(overlayId, link)
      const before = attached.rows.local.get(endpointId)
      attached.rows.local.set(endpointId, endpoint)
      attached.rows.markDirty(addressesOf(before === undefined ? [endpoint] : [before, endpoint]))
      attached.missing = attached.missing.filter((id) => id !== endpointId)
      await write(attached)
      return { sourceName }
    })
  }

  /** Removes the endpoint's veth pair. Neither overlay nor endpoint need be known. */
  detachEndpoint(overlayId: string, endpointId: string): Promise<void> {
    return this.#run(overlayId, async () => {
      await this.#dataplane.removeEndpoint(overlayId, endpointId)
      const attached = this.#attached.get(overlayId)
      const endpoint = attached?.rows.local.get(endpointId)
      if (attached === undefined || endpoint === undefined) return
      attached.rows.local.delete(endpointId)
      attached.missing = attached.missing.filter((id) => id !== endpointId)
      attached.rows.markDirty(addressesOf([endpoint]))
      await write(attached)
    })
  }

  /** The peers that claim an address, the one that counts first, those not live last. */
  holders(vni: Vni, ip: Ip): Peer[] {
    return this.#peers.holders(vni, ip)
  }

  /** The same for a MAC address. */
  macHolders(vni: Vni, mac: Mac): Peer[] {
    return this.#peers.macHolders(vni, mac)
  }

  /** All peers of an overlay. */
  peers(vni: Vni): Peer[] {
    return this.#peers.peers(vni)
  }

  /** Compares every attached overlay with the kernel, repairs, and counts what was wrong. */
  async audit(): Promise<AuditReport[]> {
    const reports: AuditReport[] = []
    for (const overlayId of this.#attached.keys()) {
      if (this.#stopped) break
      const report = await this.#queue.run(overlayId, () => this.#auditOne(overlayId))
      if (report !== null) reports.push(report)
    }
    this.#audits.noteRound()
    return reports
  }

  status(): ReconcilerStatus {
    const overlays = [...this.#attached.values()].map(({ rows, missing, lastError }) =>
      overlayStatus(rows, this.#peers.count(rows.links.vni), { missing, lastError }),
    )
    return { overlays, ...this.#audits.figures }
  }

  /** Work in the overlay's queue. After a failure it is not known what the kernel has, and all of it is compared soon. */
  #run<T>(overlayId: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(overlayId, async () => {
      try {
        return await work()
      } catch (error) {
        const attached = this.#attached.get(overlayId)
        attached?.rows.invalidate()
        if (!isBug(error)) attached?.scheduleRetry()
        throw error
      }
    })
  }

  #newReviews(isKnown: (vtep: Ip) => boolean): StaleRowSweeper {
    const overlays = (): [string, OverlayRows][] =>
      [...this.#attached].map(([overlayId, { rows }]) => [overlayId, rows])
    const onReleased = (overlayId: string): void => this.#markDirty(overlayId)
    return new StaleRowSweeper({ clock: this.#clock, isKnown, overlays, onReleased })
  }

  #newAttached(links: OverlayLinks): OverlayState {
    const pause = (): Promise<void> => sleep(this.#clock, 0)
    const keepUntilMs = this.#reviews === null ? null : this.#clock.now() + keepRowsMs
    const [dataplane, peers] = [this.#dataplane, this.#peers]
    const rows = new OverlayRows({ dataplane, peers, pause, keepUntilMs }, links)
    const retry = (): void => this.#retry(links.overlayId, rows)
    return new OverlayState(rows, {
      clock: this.#clock,
      warn: (text) => this.#logger.warn(text),
      retry,
    })
  }

  #markDirty(overlayId: string): void {
    this.#dirty.add(overlayId)
    this.#flush ??= this.#clock.setTimeout(() => this.#flushDirty(), coalesceMs)
  }

  #flushDirty(): void {
    this.#flush = null
    const overlayIds = [...this.#dirty]
    this.#dirty.clear()
    for (const overlayId of overlayIds) this.#enqueueWrite(overlayId)
  }

  #retry(overlayId: string, rows: OverlayRows): void {
    if (this.#stopped) return
    if (rows.isInvalid) void this.#queue.run(overlayId, () => this.#auditOne(overlayId))
    else this.#enqueueWrite(overlayId)
  }

  #enqueueWrite(overlayId: string): void {
    void this.#queue.run(overlayId, async () => {
      const attached = this.#attached.get(overlayId)
      if (attached !== undefined) await write(attached)
    })
  }

  async #auditOne(overlayId: string): Promise<AuditReport | null> {
    const attached = this.#attached.get(overlayId)
    if (attached === undefined) return null
    const work = (): Promise<AuditReport> => auditOverlay(this.#dataplane, attached.rows)
    const report = await attached.attempt(work, ({ failure: what }) => what)
    if (report === null) return null
    attached.missing = report.missing
    this.#audits.noteDrift(report.drift)
    if (driftTotal(report.drift) > 0)
      this.#logger.warn(`overlay ${overlayId}: the kernel had drifted and was repaired`, {
        ...report.drift,
      })
    return report
  }
}

/** Writes what changed; what fails is noted and tried again later. */
async function write(attached: OverlayState): Promise<void> {
  await attached.attempt(
    () => attached.rows.write(),
    (failed) => failed,
  )
}
