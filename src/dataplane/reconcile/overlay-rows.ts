import { failure } from '../../base/errors.ts'
import { parseIpInCidr } from '../../net/cidr.ts'
import type { AddressSet } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type {
  ActualOverlay,
  Dataplane,
  EndpointLink,
  EndpointTraffic,
  FailedRowChange,
  FastPathStatus,
  FdbEntry,
  Neighbour,
  OverlayLinks,
  RowChange,
} from '../dataplane.ts'
import {
  type Addresses,
  type LocalOverlay,
  type PeerClaims,
  type Rows,
  addressesOf,
  defaultDestination,
  desiredRows,
  diff,
  vtepsByMac,
} from './desired-rows.ts'
import { StaleRows } from './stale-rows.ts'

/** Addresses of each kind that are written without yielding to other work: 2 to 3 ms. */
const maxSlice = 500

interface RowsParts {
  readonly dataplane: Dataplane
  readonly peers: PeerClaims
  /** Yields to other work. */
  readonly pause: () => Promise<void>
  /** Until when, by the clock, rows found at the start may stay unclaimed; null to remove them. */
  readonly staleDeadlineMs: number | null
}

interface WriteResult {
  readonly changes: readonly RowChange[]
  /** How many VTEPs became admitted, or no longer are. */
  readonly sources: number
  /** Which rows were refused and why; null when none was. They are tried again. */
  readonly failure: string | null
}

/**
 * The rows of one overlay on this host: a copy of the kernel's tables, and the dirty set of
 * addresses whose claims changed since the last write. Writing costs what has changed; only
 * `resync` reads the kernel. One write runs at a time, in the reconciler's queue; `markDirty` may
 * be called meanwhile.
 */
export class OverlayRows {
  links: OverlayLinks
  /** This host's endpoints by id. */
  readonly endpoints = new Map<string, EndpointLink>()
  /** Frames that the filter had dropped when the kernel was last read, by reason. */
  dropped: Readonly<Record<string, number>> = {}
  /** Frames that did not come from an admitted VTEP, as of then, of all overlays of the host. */
  tunnelDrops = 0
  /** What had passed the tunnel, as of then. */
  traffic: EndpointTraffic | null = null
  /** As of then; null before. */
  fastPath: FastPathStatus | null = null
  readonly #dataplane: Dataplane
  readonly #peers: PeerClaims
  readonly #pause: () => Promise<void>
  #fdb = new Map<Mac, readonly Ip[]>()
  #neighbours = new Map<Ip, Mac>()
  /** The VTEPs whose frames are admitted, according to the copy. */
  #sources: ReadonlySet<Ip> = new Set()
  #dirty: AddressSet = emptySet()
  #refused: AddressSet = emptySet()
  /** Null once the rows found at the start were adopted. */
  #staleDeadlineMs: number | null
  #stale: StaleRows | null = null
  #isValid = false

  constructor(parts: RowsParts, links: OverlayLinks) {
    this.#dataplane = parts.dataplane
    this.#peers = parts.peers
    this.#pause = parts.pause
    this.#staleDeadlineMs = parts.staleDeadlineMs
    this.links = links
  }

  /** Addresses that have rows, according to the copy. */
  get counts(): { fdb: number; neighbours: number } {
    return { fdb: this.#fdb.size, neighbours: this.#neighbours.size }
  }

  /** Whether every row is as desired, according to the copy. */
  get settled(): boolean {
    return this.#isValid && isEmpty(this.#dirty) && isEmpty(this.#refused)
  }

  /** Whether the copy is known to be the kernel's tables. */
  get isValid(): boolean {
    return this.#isValid
  }

  /** Whether rows found at the start are protected although nobody has claimed them yet. */
  get hasStaleRows(): boolean {
    return this.#stale !== null
  }

  /** Marks the addresses dirty whose stale rows need not stay. @returns whether there were any. */
  sweepStaleRows(nowMs: number, isKnown: (vtep: Ip) => boolean): boolean {
    if (this.#stale === null) return false
    const released = this.#stale.sweep(nowMs, isKnown)
    this.markDirty(released)
    if (this.#stale.isEmpty) this.#stale = null
    return !isEmpty(released)
  }

  /** The claims of these addresses changed. */
  markDirty(addresses: Addresses): void {
    addAll(this.#dirty, addresses)
    if (this.links.multicast === true) this.#dirty.macs.add(defaultDestination)
  }

  /** The kernel may have lost rows, as when the VXLAN device was recreated. */
  invalidate(): void {
    this.#isValid = false
  }

  /**
   * Writes the dirty set, and again what was refused the last time. A row that is refused does not
   * keep the others from being written. Fails when the outcome is not known.
   * @returns which rows were refused and why; null when none was.
   */
  async write(): Promise<string | null> {
    return (this.#isValid ? await this.#writeDirty() : await this.resync()).failure
  }

  /**
   * Compares all rows with the kernel's and repairs, as `write` does.
   * @returns what the kernel had, and the repair.
   */
  async resync(): Promise<WriteResult & { readonly actual: ActualOverlay }> {
    this.#isValid = false
    const actual = await this.#dataplane.dump(this.links.overlayId)
    if (actual === null) throw failure('KERNEL', `overlay ${this.links.overlayId} has no links`)
    this.dropped = actual.dropped
    this.tunnelDrops = actual.tunnelDrops
    this.traffic = actual.traffic
    this.fastPath = actual.fastPath
    this.#sources = new Set(actual.sources)
    this.#fdb = vtepsByMac(actual.fdb)
    this.#neighbours = new Map(actual.neighbours.map(({ ip, mac }) => [ip, mac]))
    if (this.#staleDeadlineMs !== null && actual.fdb.length > 0)
      this.#stale = new StaleRows(actual, this.#staleDeadlineMs)
    this.#staleDeadlineMs = null
    this.markDirty(this.#peers.addresses(this.links.vni))
    addAll(this.#dirty, { ips: this.#neighbours.keys(), macs: this.#fdb.keys() })
    return { actual, ...(await this.#writeDirty()) }
  }

  /** Includes what is marked meanwhile. */
  async #writeDirty(): Promise<WriteResult> {
    addAll(this.#dirty, this.#refused)
    this.#refused = emptySet()
    const done: RowChange[] = []
    const failed: FailedRowChange[] = []
    const sourcesBefore = this.#sources
    while (!isEmpty(this.#dirty)) {
      const dirty = this.#dirty
      this.#dirty = emptySet()
      for (const slice of slices(dirty)) {
        const changes = this.#changesOf(slice)
        if (changes.length > 0) {
          const outcome = await this.#apply(changes)
          done.push(...outcome.done)
          failed.push(...outcome.failed)
        } else if (slice.isFull) await this.#pause()
      }
    }
    await this.#admit(new Set([...this.#fdb.values()].flat()))
    this.#isValid = true
    const sources = sourcesBefore.symmetricDifference(this.#sources).size
    return { changes: done, sources, failure: this.#failureOf(failed) }
  }

  #changesOf(addresses: Addresses): RowChange[] {
    const desired = desiredRows(this.#peers, this.#overlay(), addresses)
    const changes = diff(desired, this.#actual(addresses))
    this.#stale?.releaseClaimed(desired, addressesOf(this.endpoints.values()))
    return changes.filter((change) => this.#stale?.protects(change) !== true)
  }

  /** When the outcome is not known this throws, and the copy stays invalid. */
  async #apply(changes: RowChange[]): Promise<{ done: RowChange[]; failed: FailedRowChange[] }> {
    this.#isValid = false
    const vteps = changes.flatMap((change) =>
      change.op === 'set' && change.kind === 'fdb' ? [change.vtep] : [],
    )
    await this.#admit(this.#sources.union(new Set(vteps)))
    const failed = await this.#dataplane.apply(this.links.overlayId, changes)
    const refused = new Set(failed.map(({ change }) => textOf(change)))
    const done =
      refused.size === 0 ? changes : changes.filter((change) => !refused.has(textOf(change)))
    for (const change of done) this.#note(change)
    for (const { change } of failed)
      if (change.kind === 'fdb') this.#refused.macs.add(change.mac)
      else this.#refused.ips.add(change.ip)
    return { done, failed }
  }

  /** A VTEP is admitted before the first row leads to it, and until the last one is removed. */
  async #admit(vteps: ReadonlySet<Ip>): Promise<void> {
    if (vteps.symmetricDifference(this.#sources).size === 0) return
    this.#isValid = false
    await this.#dataplane.setTunnelSources(this.links.overlayId, [...vteps])
    this.#sources = vteps
  }

  /**
   * The same text for the same rows, however many others were written, so that it is logged once.
   */
  #failureOf([first, ...more]: readonly FailedRowChange[]): string | null {
    if (first === undefined) return null
    return (
      `overlay ${this.links.overlayId}: ${more.length + 1} rows failed, first ` +
      `${textOf(first.change)}: ${first.error}`
    )
  }

  /** A set replaces the first VTEP, or none of the default destination's, as in the kernel. */
  #note(change: RowChange): void {
    const set = change.op === 'set'
    if (change.kind === 'neighbour') {
      if (set) this.#neighbours.set(change.ip, change.mac)
      else this.#neighbours.delete(change.ip)
      return
    }
    const others = (this.#fdb.get(change.mac) ?? []).filter((vtep) => vtep !== change.vtep)
    if (set && change.mac !== defaultDestination) others.shift()
    const vteps = set ? [change.vtep, ...others] : others
    if (vteps.length === 0) this.#fdb.delete(change.mac)
    else this.#fdb.set(change.mac, vteps)
  }

  /** The rows of some addresses, according to the copy. */
  #actual({ ips, macs }: Addresses): Rows {
    const fdb: FdbEntry[] = []
    const neighbours: Neighbour[] = []
    for (const mac of macs) for (const vtep of this.#fdb.get(mac) ?? []) fdb.push({ mac, vtep })
    for (const ip of ips) {
      const mac = this.#neighbours.get(ip)
      if (mac !== undefined) neighbours.push({ ip, mac })
    }
    return { fdb, neighbours }
  }

  #overlay(): LocalOverlay {
    const { vni, vtep, gateways, encrypted, multicast } = this.links
    const bridge = gateways.flatMap((text) => parseIpInCidr(text) ?? [])
    return {
      vni,
      vtep,
      endpoints: this.endpoints,
      gateways: new Set(bridge.map(({ ip }) => ip)),
      subnets: bridge.map(({ cidr }) => cidr),
      encrypted,
      multicast,
    }
  }
}

function textOf(change: RowChange): string {
  const key =
    change.kind === 'fdb' ? `${change.mac} → ${change.vtep}` : `${change.ip} → ${change.mac}`
  return `${change.op} ${change.kind} ${key}`
}

function emptySet(): AddressSet {
  return { ips: new Set(), macs: new Set() }
}

function isEmpty({ ips, macs }: AddressSet): boolean {
  return ips.size === 0 && macs.size === 0
}

function addAll(into: AddressSet, { ips, macs }: Addresses): void {
  for (const ip of ips) into.ips.add(ip)
  for (const mac of macs) into.macs.add(mac)
}

function* slices({ ips, macs }: AddressSet): Generator<Addresses & { isFull: boolean }> {
  const [allIps, allMacs] = [[...ips], [...macs]]
  const count = Math.max(allIps.length, allMacs.length)
  for (let at = 0; at < count; at += maxSlice) {
    const end = at + maxSlice
    yield { ips: allIps.slice(at, end), macs: allMacs.slice(at, end), isFull: end <= count }
  }
}
