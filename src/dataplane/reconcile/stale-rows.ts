import type { Clock, Timer } from '../../base/clock.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { RowChange } from '../dataplane.ts'
import type { Rows } from './desired.ts'
import { vtepsByMac } from './diff.ts'
import type { AddressSet } from './peer-table.ts'

/**
 * Rows that an earlier life of this process left in the kernel and that nobody has claimed yet. The
 * members that they lead to may only not have been heard of yet, or be restarting themselves; taking the
 * rows away would make the restart an outage for containers that never stopped. So a row stays until a
 * claim takes its place, or it is known what is behind its VTEP, or time is up.
 */
export class StaleRows {
  readonly #fdb = new Map<Mac, Set<Ip>>()
  readonly #neighbours = new Map<Ip, Mac>()
  #known: ReadonlySet<Ip> = new Set()
  #untilMs = 0

  get isEmpty(): boolean {
    return this.#fdb.size === 0 && this.#neighbours.size === 0
  }

  /** Keeps what is found in the kernel, until `untilMs` of the clock at the latest. */
  adopt({ fdb, neighbours }: Rows, untilMs: number): void {
    this.#untilMs = untilMs
    for (const [mac, vteps] of vtepsByMac(fdb)) this.#fdb.set(mac, new Set(vteps))
    for (const { ip, mac } of neighbours) if (this.#fdb.has(mac)) this.#neighbours.set(ip, mac)
  }

  /** Rows that are claimed now, by a peer or by an endpoint of this host, are kept no more. */
  releaseClaimed({ fdb, neighbours }: Rows, here: AddressSet): void {
    for (const { mac } of fdb) this.#fdb.delete(mac)
    for (const { ip } of neighbours) this.#neighbours.delete(ip)
    for (const mac of here.macs) this.#fdb.delete(mac)
    for (const ip of here.ips) this.#neighbours.delete(ip)
  }

  /** Whether a change would take away a row that is kept. */
  protects(change: RowChange): boolean {
    if (change.op === 'set') return false
    if (change.kind === 'fdb') return this.#fdb.get(change.mac)?.has(change.vtep) ?? false
    return this.#neighbours.get(change.ip) === change.mac
  }

  /**
   * Lets go of rows to VTEPs of which `isKnown` holds now and held at the review before: claims take a
   * moment from the one to the other. @returns the addresses whose rows are not kept any more.
   */
  releaseKnown(now: number, isKnown: (vtep: Ip) => boolean): AddressSet {
    const released: AddressSet = { ips: new Set(), macs: new Set() }
    const vteps = new Set([...this.#fdb.values()].flatMap((some) => [...some]))
    const known = new Set([...vteps].filter((vtep) => isKnown(vtep)))
    for (const [mac, some] of this.#fdb) {
      for (const vtep of some)
        if (now >= this.#untilMs || (known.has(vtep) && this.#known.has(vtep))) {
          some.delete(vtep)
          released.macs.add(mac)
        }
      if (some.size === 0) this.#fdb.delete(mac)
    }
    for (const [ip, mac] of this.#neighbours)
      if (!this.#fdb.has(mac)) {
        this.#neighbours.delete(ip)
        released.ips.add(ip)
      }
    this.#known = known
    return released
  }
}

/** Time for thousands of claims to get from the cluster to here. */
const reviewMs = 1000

/** What a review needs of an overlay's rows. */
interface Reviewed {
  readonly hasStaleRows: boolean
  /** Whether something is not kept any more and has to be written. */
  sweepStaleRows(now: number, isKnown: (vtep: Ip) => boolean): boolean
}

interface ReviewParts {
  readonly clock: Clock
  readonly isKnown: (vtep: Ip) => boolean
  /** The overlays by id. */
  readonly overlays: () => Iterable<[string, Reviewed]>
  readonly onReleased: (overlayId: string) => void
}

/** Reviews the kept rows of all overlays again and again, until there are none. */
export class StaleRowSweeper {
  readonly #parts: ReviewParts
  #timer: Timer | null = null

  constructor(parts: ReviewParts) {
    this.#parts = parts
  }

  schedule(): void {
    this.#timer ??= this.#parts.clock.setTimeout(() => {
      this.#timer = null
      this.#review()
    }, reviewMs)
  }

  stop(): void {
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  #review(): void {
    const { clock, isKnown, overlays, onReleased } = this.#parts
    for (const [overlayId, rows] of overlays()) {
      if (rows.sweepStaleRows(clock.now(), isKnown)) onReleased(overlayId)
      if (rows.hasStaleRows) this.schedule()
    }
  }
}
