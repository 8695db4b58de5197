import { type Clock, sleep } from '../../base/clock.ts'
import { failure, isBug } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import { Debounce, Every, Timeout } from '../../base/timers.ts'
import type { AddressSet } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { Vni } from '../../net/vni.ts'
import type { Dataplane, EndpointLink, OverlayLinks } from '../dataplane.ts'
import { type AuditReport, AuditTotals, type Drift, auditOverlay, driftTotal } from './audit.ts'
import { type PeerClaims, addressesOf, differsInSandbox } from './desired-rows.ts'
import { hostWatch } from './host-watch.ts'
import { OverlayRemover } from './overlay-remover.ts'
import { OverlayRows } from './overlay-rows.ts'
import { OverlayState, type OverlayStatus } from './overlay-state.ts'

/** Changes within that time are written together. */
const coalesceMs = 1
/** Reading 10,000 rows takes some 20 ms; every 30 s that is below a thousandth of a processor. */
const defaultAuditIntervalMs = 30_000
/**
 * A member that has not been heard of for that long after our start is not restarting, it is gone.
 */
const staleRowsMs = 10 * 60_000
/** Time for thousands of claims to get from the cluster to here. */
const sweepIntervalMs = 1000

interface ReconcilerParts {
  readonly dataplane: Dataplane
  readonly peers: PeerClaims
  readonly clock: Clock
  readonly logger: Logger
  readonly auditIntervalMs?: number
  /**
   * Whether all claims behind a VTEP are known: its member is synchronized, or gone. Until then
   * rows to it that were in the kernel at the start stay. Without this function, none do.
   */
  readonly isKnown?: (vtep: Ip) => boolean
}

/** The data plane's part of `/status`: plain JSON. */
export interface ReconcilerStatus {
  readonly overlays: readonly OverlayStatus[]
  /** What audits found wrong and repaired since the start. */
  readonly drift: Drift
  readonly audits: number
  readonly lastAuditAt: string | null
}

/**
 * Keeps the kernel in the desired state. It is told which claims changed (`peersChanged`) and what
 * this host has (`attach…`, `detach…`), and decides the order of writes: one queue per overlay. The
 * kernel is a cache: a write is the difference to a copy of its tables, and every `auditIntervalMs`
 * the copy is compared with a dump and both are repaired.
 *
 * A veth pair that is gone is recreated only inside its sandbox, where the engine had moved the
 * other end. Where that is impossible, the endpoint is reported as missing.
 */
export class Reconciler {
  readonly #parts: ReconcilerParts
  readonly #overlays = new Map<string, OverlayState>()
  readonly #queue = new KeyedQueue()
  readonly #remover: OverlayRemover
  readonly #timers: readonly Every[]
  readonly #flush: Debounce
  readonly #sweep: Timeout
  readonly #dirty = new Set<string>()
  #stopped = false
  readonly #totals = new AuditTotals()

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    const { clock, auditIntervalMs = defaultAuditIntervalMs } = parts
    const isWanted = (overlayId: string): boolean => this.#overlays.has(overlayId)
    this.#remover = new OverlayRemover({ ...parts, queue: this.#queue, isWanted })
    const audit = async (): Promise<void> => void (await this.audit())
    const audits = new Every({ clock, intervalMs: auditIntervalMs, run: audit })
    this.#timers = [audits, hostWatch({ ...parts, repair: audit })]
    this.#flush = new Debounce({ clock, delayMs: coalesceMs, run: () => this.#flushDirty() })
    this.#sweep = new Timeout(clock, () => this.#sweepStaleRows())
  }

  /** Begins the audits. The data plane must have been started. */
  start(): void {
    for (const timer of this.#timers) timer.start()
  }

  /** Ends audits and retries and waits for work under way. What was built stays in the kernel. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#flush.stop()
    for (const timer of this.#timers) timer.stop()
    for (const overlay of this.#overlays.values()) overlay.cancelRetry()
    this.#sweep.stop()
    this.#remover.stop()
    await this.#queue.idle()
  }

  /** Claims of these addresses changed. The kernel follows within 1 ms or so. */
  peersChanged(changed: ReadonlyMap<Vni, AddressSet>): void {
    for (const [overlayId, { rows }] of this.#overlays) {
      const addresses = changed.get(rows.links.vni)
      if (addresses === undefined) continue
      rows.markDirty(addresses)
      this.#markDirty(overlayId)
    }
  }

  /**
   * Creates the overlay's links and writes the rows of all known peers before it resolves. Rows
   * that fail do not fail it; they are tried again. Rejects as `Dataplane.ensureOverlay` does.
   */
  attachOverlay(links: OverlayLinks): Promise<void> {
    const { overlayId } = links
    return this.#run(overlayId, async () => {
      const changed = await this.#parts.dataplane.ensureOverlay(links)
      if (changed.length > 0) this.#parts.logger.info(`overlay ${overlayId}: ${changed.join(', ')}`)
      const overlay = this.#overlays.get(overlayId) ?? this.#newOverlay(links)
      const { rows } = overlay
      const moved = rows.links.vni !== links.vni || rows.links.vtep !== links.vtep
      if (changed.length > 0 || moved) rows.invalidate()
      rows.links = links
      this.#overlays.set(overlayId, overlay)
      await write(overlay)
      this.#scheduleSweep(rows)
    })
  }

  /** Removes the overlay's links, also those of an earlier process. A failure is retried later. */
  detachOverlay(overlayId: string): Promise<void> {
    return this.#queue.run(overlayId, async () => {
      this.#overlays.get(overlayId)?.cancelRetry()
      this.#overlays.delete(overlayId)
      await this.#remover.remove(overlayId)
    })
  }

  /**
   * Creates or adopts the endpoint's veth pair. Fails with KERNEL when the overlay is not attached.
   */
  attachEndpoint(overlayId: string, link: EndpointLink): Promise<{ sourceName: string }> {
    return this.#run(overlayId, async () => {
      const overlay = this.#overlays.get(overlayId)
      if (overlay === undefined)
        throw failure('KERNEL', `overlay ${overlayId} is not attached; attach it first`)
      const { sourceName } = await this.#parts.dataplane.ensureEndpoint(overlayId, link)
      const { rows } = overlay
      const before = rows.endpoints.get(link.endpointId)
      rows.endpoints.set(link.endpointId, link)
      rows.markDirty(addressesOf(before === undefined ? [link] : [before, link]))
      overlay.missing = overlay.missing.filter((id) => id !== link.endpointId)
      await write(overlay)
      if (differsInSandbox(before, link))
        await this.#parts.dataplane.configureInSandbox(overlayId, link)
      return { sourceName }
    })
  }

  /** Removes the endpoint's veth pair. Neither overlay nor endpoint need be known. */
  detachEndpoint(overlayId: string, endpointId: string): Promise<void> {
    return this.#run(overlayId, async () => {
      await this.#parts.dataplane.removeEndpoint(overlayId, endpointId)
      const overlay = this.#overlays.get(overlayId)
      const link = overlay?.rows.endpoints.get(endpointId)
      if (overlay === undefined || link === undefined) return
      overlay.rows.endpoints.delete(endpointId)
      overlay.missing = overlay.missing.filter((id) => id !== endpointId)
      overlay.rows.markDirty(addressesOf([link]))
      await write(overlay)
    })
  }

  /** The overlays that have a namespace on this host, attached or not. */
  overlays(): Promise<string[]> {
    return this.#parts.dataplane.overlays()
  }

  /** Where the container's ends of an overlay's links are, by endpoint id. */
  async linkLocations(overlayId: string): Promise<ReadonlyMap<string, 'hostNetns' | 'sandbox'>> {
    const actual = await this.#parts.dataplane.dump(overlayId)
    const endpoints = actual?.endpoints ?? []
    return new Map(
      endpoints.map((link) => [link.endpointId, link.inHostNetns ? 'hostNetns' : 'sandbox']),
    )
  }

  /** Compares every attached overlay with the kernel, repairs, and counts what was wrong. */
  async audit(): Promise<AuditReport[]> {
    const reports: AuditReport[] = []
    for (const overlayId of this.#overlays.keys()) {
      if (this.#stopped) break
      const report = await this.#queue.run(overlayId, () => this.#auditOne(overlayId))
      if (report !== null) reports.push(report)
    }
    this.#totals.addAudit(this.#parts.clock.wall())
    return reports
  }

  status(): ReconcilerStatus {
    const { peers } = this.#parts
    return {
      overlays: Array.from(this.#overlays.values(), (overlay) =>
        overlay.status(peers.count(overlay.rows.links.vni)),
      ),
      ...this.#totals.status(),
    }
  }

  /**
   * Work in the overlay's queue. After a failure the kernel's state is not known, and all is
   * compared soon.
   */
  #run<T>(overlayId: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(overlayId, async () => {
      try {
        return await work()
      } catch (error) {
        const overlay = this.#overlays.get(overlayId)
        overlay?.rows.invalidate()
        if (!isBug(error)) overlay?.scheduleRetry()
        throw error
      }
    })
  }

  #newOverlay(links: OverlayLinks): OverlayState {
    const { dataplane, peers, clock, logger, isKnown } = this.#parts
    const pause = (): Promise<void> => sleep(clock, 0)
    const staleDeadlineMs = isKnown === undefined ? null : clock.now() + staleRowsMs
    const rows = new OverlayRows({ dataplane, peers, pause, staleDeadlineMs }, links)
    const retry = (): void => this.#retry(links.overlayId, rows)
    return new OverlayState(rows, { clock, warn: (text) => logger.warn(text), retry })
  }

  #markDirty(overlayId: string): void {
    this.#dirty.add(overlayId)
    this.#flush.trigger()
  }

  #flushDirty(): void {
    const overlayIds = [...this.#dirty]
    this.#dirty.clear()
    for (const overlayId of overlayIds) this.#enqueueWrite(overlayId)
  }

  #sweepStaleRows(): void {
    const { clock, isKnown = () => true } = this.#parts
    for (const [overlayId, { rows }] of this.#overlays) {
      if (rows.sweepStaleRows(clock.now(), isKnown)) this.#markDirty(overlayId)
      this.#scheduleSweep(rows)
    }
  }

  /** Stale rows are adopted when the kernel is first read, which may be at a retry. */
  #scheduleSweep(rows: OverlayRows): void {
    if (rows.hasStaleRows && !this.#stopped) this.#sweep.setIfIdle(sweepIntervalMs)
  }

  #retry(overlayId: string, rows: OverlayRows): void {
    if (this.#stopped) return
    if (rows.isValid) this.#enqueueWrite(overlayId)
    else void this.#queue.run(overlayId, () => this.#auditOne(overlayId))
  }

  #enqueueWrite(overlayId: string): void {
    void this.#queue.run(overlayId, async () => {
      const overlay = this.#overlays.get(overlayId)
      if (overlay !== undefined) await write(overlay)
    })
  }

  async #auditOne(overlayId: string): Promise<AuditReport | null> {
    const overlay = this.#overlays.get(overlayId)
    if (overlay === undefined) return null
    const { dataplane, logger } = this.#parts
    const report = await overlay.attempt(
      () => auditOverlay(dataplane, overlay.rows),
      ({ failure: message }) => message,
    )
    this.#scheduleSweep(overlay.rows)
    if (report === null) return null
    overlay.missing = report.missing
    this.#totals.addDrift(report.drift)
    if (driftTotal(report.drift) > 0)
      logger.warn(`overlay ${overlayId}: the kernel had drifted and was repaired`, {
        event: 'drift-repaired',
        ...report.drift,
      })
    return report
  }
}

/** Writes what changed; a failure is noted and retried. */
async function write(overlay: OverlayState): Promise<void> {
  await overlay.attempt(
    () => overlay.rows.write(),
    (message) => message,
  )
}
