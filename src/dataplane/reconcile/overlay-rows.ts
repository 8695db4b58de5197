import { failure } from '../../base/errors.ts'
import { parseIpInCidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type {
  ActualOverlay,
  RowChange,
  Dataplane,
  FailedRowChange,
  FdbEntry,
  Neighbour,
  OverlayLinks,
} from '../dataplane.ts'
import {
  type Addresses,
  type LocalEndpoint,
  type Rows,
  type OverlayView,
  addressesOf,
  desiredRows,
} from './desired.ts'
import { diff, vtepsByMac } from './diff.ts'
import { StaleRows } from './stale-rows.ts'
import type { PeerTable, AddressSet } from './peer-table.ts'

/** Addresses of each kind that are written in one go: 2 to 3 ms, then other work gets its turn. */
const maxSlice = 500

interface RowsParts {
  readonly dataplane: Dataplane
  readonly peers: PeerTable
  /** Lets other work have its turn. */
  readonly pause: () => Promise<void>
  /** Until when, by the clock, rows may be kept that an earlier life left; null to keep none. */
  readonly keepUntilMs: number | null
}

/** What was written. */
interface Written {
  readonly changes: readonly RowChange[]
  /** Which rows were refused and why, in words; null when none was. They are tried again. */
  readonly failure: string | null
}

/**
 * The rows of one overlay on this host: which the kernel is believed to have, and which addresses need a
 * look because a claim changed. Writing costs what has changed; only `resync` looks at everything. One
 * write runs at a time, which the reconciler's queue sees to; `touch` may be called meanwhile.
 */
export class OverlayRows {
  links: OverlayLinks
  /** This host's endpoints by id. */
  readonly local = new Map<string, LocalEndpoint>()
  readonly #dataplane: Dataplane
  readonly #peers: PeerTable
  readonly #pause: () => Promise<void>
  #fdb = new Map<Mac, readonly Ip[]>()
  #neighbours = new Map<Ip, Mac>()
  #touched: AddressSet = nothing()
  #refused: AddressSet = nothing()
  readonly #kept = new StaleRows()
  /** Until when, by the clock, rows may be kept that were there before us; null once they were looked at. */
  #keepUntilMs: number | null
  #unsure = true

  constructor(parts: RowsParts, links: OverlayLinks) {
    this.#dataplane = parts.dataplane
    this.#peers = parts.peers
    this.#pause = parts.pause
    this.#keepUntilMs = parts.keepUntilMs
    this.links = links
  }

  /** Addresses that the kernel is believed to have rows for. */
  get counts(): { fdb: number; neighbours: number } {
    return { fdb: this.#fdb.size, neighbours: this.#neighbours.size }
  }

  /** Whether every row is believed to be as it should be. */
  get settled(): boolean {
    return !this.#unsure && isEmpty(this.#touched) && isEmpty(this.#refused)
  }

  /** Whether it is not known what the kernel has. */
  get isInvalid(): boolean {
    return this.#unsure
  }

  /** Whether rows of an earlier life are kept that nobody has claimed yet. */
  get hasStaleRows(): boolean {
    return !this.#kept.isEmpty
  }

  /** Looks at those again, and touches what need not be kept any more. Whether there was any. */
  sweepStaleRows(now: number, isKnown: (vtep: Ip) => boolean): boolean {
    const released = this.#kept.releaseKnown(now, isKnown)
    this.markDirty(released)
    return !isEmpty(released)
  }

  /** Says that claims of these addresses changed. */
  markDirty(addresses: AddressSet): void {
    merge(this.#touched, addresses)
  }

  /** Says that the kernel may have lost rows, as when the VXLAN device was made anew. */
  invalidate(): void {
    this.#unsure = true
  }

  /**
   * Writes what changed since the last time, and tries again what was refused then. One row that is refused
   * does not keep the others from being written. Fails when it is not known what was written.
   * @returns which rows were refused and why, in words; null when none was.
   */
  async write(): Promise<string | null> {
    return (this.#unsure ? await this.resync() : await this.#writeTouched()).failure
  }

  /**
   * Compares all rows with the kernel's and repairs, as `write` does.
   * @returns what the kernel had, and the repair.
   */
  async resync(): Promise<Written & { readonly actual: ActualOverlay }> {
    this.#unsure = true
    const actual = await this.#dataplane.dump(this.links.overlayId)
    if (actual === null) throw failure('KERNEL', `overlay ${this.links.overlayId} has no links`)
    this.#believe(actual)
    if (this.#keepUntilMs !== null) this.#kept.adopt(actual, this.#keepUntilMs)
    this.#keepUntilMs = null
    const { ips, macs } = this.#peers.addresses(this.links.vni)
    for (const all of [ips, this.#neighbours.keys()])
      for (const ip of all) this.#touched.ips.add(ip)
    for (const all of [macs, this.#fdb.keys()]) for (const mac of all) this.#touched.macs.add(mac)
    return { actual, ...(await this.#writeTouched()) }
  }

  /** What is touched meanwhile is written too. */
  async #writeTouched(): Promise<Written> {
    merge(this.#touched, this.#refused)
    this.#refused = nothing()
    const done: RowChange[] = []
    const failed: FailedRowChange[] = []
    while (!isEmpty(this.#touched)) {
      const touched = this.#touched
      this.#touched = nothing()
      for (const slice of slices(touched)) {
        const desired = desiredRows(this.#peers, this.#view(), slice)
        if (this.hasStaleRows) this.#kept.releaseClaimed(desired, addressesOf(this.local.values()))
        const changes = diff(desired, this.#believed(slice)).filter(
          (change) => !this.#kept.protects(change),
        )
        if (changes.length === 0) {
          if (slice.isFull) await this.#pause()
          continue
        }
        const outcome = await this.#apply(changes)
        done.push(...outcome.done)
        failed.push(...outcome.failed)
      }
    }
    this.#unsure = false
    return { changes: done, failure: this.#failureOf(failed) }
  }

  /** When the outcome is not known this throws and leaves `unsure` set. */
  async #apply(changes: RowChange[]): Promise<{ done: RowChange[]; failed: FailedRowChange[] }> {
    this.#unsure = true
    const failed = await this.#dataplane.apply(this.links.overlayId, changes)
    const refused = new Set(failed.map(({ change }) => describe(change)))
    const done =
      refused.size === 0 ? changes : changes.filter((change) => !refused.has(describe(change)))
    for (const change of done) this.#note(change)
    for (const { change } of failed)
      if (change.kind === 'fdb') this.#refused.macs.add(change.mac)
      else this.#refused.ips.add(change.ip)
    return { done, failed }
  }

  /** The same words for the same rows, however many others were written: they are told once. */
  #failureOf([first, ...more]: readonly FailedRowChange[]): string | null {
    if (first === undefined) return null
    return (
      `overlay ${this.links.overlayId}: ${more.length + 1} rows failed, first ` +
      `${describe(first.change)}: ${first.error}`
    )
  }

  /** A set takes the place of the first VTEP that a MAC address has, as in the kernel. */
  #note(change: RowChange): void {
    const set = change.op === 'set'
    if (change.kind === 'neighbour') {
      if (set) this.#neighbours.set(change.ip, change.mac)
      else this.#neighbours.delete(change.ip)
      return
    }
    const others = (this.#fdb.get(change.mac) ?? []).filter((vtep) => vtep !== change.vtep)
    const vteps = set ? [change.vtep, ...others.slice(1)] : others
    if (vteps.length === 0) this.#fdb.delete(change.mac)
    else this.#fdb.set(change.mac, vteps)
  }

  #believe(rows: Rows): void {
    this.#fdb = vtepsByMac(rows.fdb)
    this.#neighbours = new Map(rows.neighbours.map(({ ip, mac }) => [ip, mac]))
  }

  #believed({ ips, macs }: Addresses): Rows {
    const fdb: FdbEntry[] = []
    const neighbours: Neighbour[] = []
    for (const mac of macs) for (const vtep of this.#fdb.get(mac) ?? []) fdb.push({ mac, vtep })
    for (const ip of ips) {
      const mac = this.#neighbours.get(ip)
      if (mac !== undefined) neighbours.push({ ip, mac })
    }
    return { fdb, neighbours }
  }

  #view(): OverlayView {
    const { vni, vtep, gateways } = this.links
    const bridge = gateways.flatMap((text) => parseIpInCidr(text) ?? [])
    return {
      vni,
      vtep,
      local: this.local,
      gateways: new Set(bridge.map(({ ip }) => ip)),
      subnets: bridge.map(({ cidr }) => cidr),
    }
  }
}

function describe(change: RowChange): string {
  const key =
    change.kind === 'fdb' ? `${change.mac} → ${change.vtep}` : `${change.ip} → ${change.mac}`
  return `${change.op} ${change.kind} ${key}`
}

function nothing(): AddressSet {
  return { ips: new Set(), macs: new Set() }
}

function isEmpty(touched: AddressSet): boolean {
  return touched.ips.size === 0 && touched.macs.size === 0
}

function merge(into: AddressSet, from: AddressSet): void {
  for (const ip of from.ips) into.ips.add(ip)
  for (const mac of from.macs) into.macs.add(mac)
}

function* slices({ ips, macs }: AddressSet): Generator<Addresses & { isFull: boolean }> {
  const [allIps, allMacs] = [[...ips], [...macs]]
  const count = Math.max(allIps.length, allMacs.length)
  for (let at = 0; at < count; at += maxSlice) {
    const end = at + maxSlice
    yield { ips: allIps.slice(at, end), macs: allMacs.slice(at, end), isFull: end <= count }
  }
}
