import { failure } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { ActualOverlay, Change, Dataplane, FailedChange, OverlayLinks } from './dataplane.ts'
import {
  type LocalEndpoint,
  type Rows,
  type Viewpoint,
  desiredRows,
  desiredRowsOf,
} from './desired.ts'
import { diff } from './diff.ts'
import type { PeerTable, Touched } from './peer-table.ts'

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
  readonly #fdb = new Map<Mac, Ip>()
  readonly #neighbours = new Map<Ip, Mac>()
  #touched: Touched = nothing()
  #refused: Touched = nothing()
  #unsure = true

  constructor(dataplane: Dataplane, peers: PeerTable, links: OverlayLinks) {
    this.#dataplane = dataplane
    this.#peers = peers
    this.links = links
  }

  /** Rows that the kernel is believed to have. */
  get counts(): { fdb: number; neighbours: number } {
    return { fdb: this.#fdb.size, neighbours: this.#neighbours.size }
  }

  /** Whether every row is believed to be as it should be. */
  get settled(): boolean {
    return !this.#unsure && isEmpty(this.#touched) && isEmpty(this.#refused)
  }

  /** Says that claims of these addresses changed. */
  touch(addresses: Touched): void {
    merge(this.#touched, addresses)
  }

  /** Says that the kernel may have lost rows, as when the VXLAN device was made anew. */
  forget(): void {
    this.#unsure = true
  }

  /**
   * Writes what changed since the last time, and tries again what was refused then. Fails with KERNEL
   * when rows are still not as they should be; the others are.
   */
  async write(): Promise<void> {
    if (this.#unsure) {
      await this.resync()
      return
    }
    const touched = this.#take()
    const desired = desiredRowsOf(this.#peers, this.#view(), touched)
    const changes = diff(desired, this.#believed(touched))
    if (changes.length > 0) this.#report(changes, await this.#apply(changes))
  }

  /**
   * Compares all rows with the kernel's and repairs. Fails as `write` does.
   * @returns what the kernel had, and the repair.
   */
  async resync(): Promise<{ actual: ActualOverlay; changes: Change[] }> {
    this.#unsure = true
    const actual = await this.#dataplane.dump(this.links.overlayId)
    if (actual === null) throw failure('KERNEL', `overlay ${this.links.overlayId} has no links`)
    this.#take()
    const desired = desiredRows(this.#peers, this.#view())
    const changes = diff(desired, actual)
    this.#believe(actual)
    const failed = await this.#apply(changes)
    // A stranger's second VTEP for a MAC has no place in what is believed; the wanted one has.
    if (failed.length === 0) this.#believe(desired)
    this.#report(changes, failed)
    return { actual, changes }
  }

  /** Leaves `unsure` set when the outcome is not known. What failed is as it was before. */
  async #apply(changes: Change[]): Promise<FailedChange[]> {
    this.#unsure = true
    const failed =
      changes.length === 0 ? [] : await this.#dataplane.apply(this.links.overlayId, changes)
    this.#unsure = false
    const refused = new Set(failed.map(({ change }) => describe(change)))
    for (const change of changes)
      if (refused.size === 0 || !refused.has(describe(change))) this.#note(change)
    for (const { change } of failed)
      if (change.kind === 'fdb') this.#refused.macs.add(change.mac)
      else this.#refused.ips.add(change.ip)
    return failed
  }

  #report(changes: readonly Change[], failed: readonly FailedChange[]): void {
    const [first] = failed
    if (first === undefined) return
    throw failure(
      'KERNEL',
      `overlay ${this.links.overlayId}: ${failed.length} of ${changes.length} rows failed, first ` +
        `${describe(first.change)}: ${first.error}`,
    )
  }

  #note(change: Change): void {
    const set = change.op === 'set'
    if (change.kind === 'neighbour') {
      if (set) this.#neighbours.set(change.ip, change.mac)
      else this.#neighbours.delete(change.ip)
    } else if (set) this.#fdb.set(change.mac, change.vtep)
    else if (this.#fdb.get(change.mac) === change.vtep) this.#fdb.delete(change.mac)
  }

  #believe(rows: Rows): void {
    this.#fdb.clear()
    this.#neighbours.clear()
    for (const { mac, vtep } of rows.fdb) this.#fdb.set(mac, vtep)
    for (const { ip, mac } of rows.neighbours) this.#neighbours.set(ip, mac)
  }

  #believed(addresses: Touched): Rows {
    return {
      fdb: [...addresses.macs].flatMap((mac) => {
        const vtep = this.#fdb.get(mac)
        return vtep === undefined ? [] : [{ mac, vtep }]
      }),
      neighbours: [...addresses.ips].flatMap((ip) => {
        const mac = this.#neighbours.get(ip)
        return mac === undefined ? [] : [{ ip, mac }]
      }),
    }
  }

  #take(): Touched {
    const touched = this.#touched
    merge(touched, this.#refused)
    this.#touched = nothing()
    this.#refused = nothing()
    return touched
  }

  #view(): Viewpoint {
    return { vni: this.links.vni, vtep: this.links.vtep, local: this.local }
  }
}

function describe(change: Change): string {
  const key =
    change.kind === 'fdb' ? `${change.mac} → ${change.vtep}` : `${change.ip} → ${change.mac}`
  return `${change.op} ${change.kind} ${key}`
}

function nothing(): Touched {
  return { ips: new Set(), macs: new Set() }
}

function isEmpty(touched: Touched): boolean {
  return touched.ips.size === 0 && touched.macs.size === 0
}

function merge(into: Touched, from: Touched): void {
  for (const ip of from.ips) into.ips.add(ip)
  for (const mac of from.macs) into.macs.add(mac)
}
