import type { AddressSet } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { RowChange } from '../dataplane.ts'
import { type Rows, defaultDestination, vtepsByMac } from './desired-rows.ts'

/**
 * Rows that were in the kernel when this process started and that no peer has claimed yet. Their
 * members may be unknown only because gossip has just begun, or may be restarting themselves;
 * removing the rows would make the restart an outage for containers that never stopped. So a row
 * stays until a claim replaces it, or all claims behind its VTEP are known, or a deadline passes.
 */
export class StaleRows {
  readonly #fdb = new Map<Mac, Set<Ip>>()
  readonly #neighbours = new Map<Ip, Mac>()
  /** The VTEPs whose claims were all known at the previous sweep. */
  #known: ReadonlySet<Ip> = new Set()
  readonly #deadlineMs: number

  /** Protects the rows found in the kernel, until `deadlineMs` of the clock at the latest. */
  constructor({ fdb, neighbours }: Rows, deadlineMs: number) {
    this.#deadlineMs = deadlineMs
    for (const [mac, vteps] of vtepsByMac(fdb)) this.#fdb.set(mac, new Set(vteps))
    for (const { ip, mac } of neighbours) if (this.#fdb.has(mac)) this.#neighbours.set(ip, mac)
  }

  get isEmpty(): boolean {
    return this.#fdb.size === 0 && this.#neighbours.size === 0
  }

  /**
   * Ends the protection of addresses that a peer or a local endpoint claims now. Nobody claims the
   * default destination: each of its VTEPs stays until that is known.
   */
  releaseClaimed({ fdb, neighbours }: Rows, here: AddressSet): void {
    for (const { mac } of fdb) if (mac !== defaultDestination) this.#fdb.delete(mac)
    for (const { ip } of neighbours) this.#neighbours.delete(ip)
    for (const mac of here.macs) this.#fdb.delete(mac)
    for (const ip of here.ips) this.#neighbours.delete(ip)
  }

  /** Whether a change would remove a row that is protected. */
  protects(change: RowChange): boolean {
    if (change.op === 'set') return false
    if (change.kind === 'fdb') return this.#fdb.get(change.mac)?.has(change.vtep) ?? false
    return this.#neighbours.get(change.ip) === change.mac
  }

  /**
   * Ends the protection of rows to VTEPs for which `isKnown` holds now and held at the previous
   * sweep: claims take a moment to arrive here. @returns the addresses whose rows are not protected
   * any more.
   */
  sweep(nowMs: number, isKnown: (vtep: Ip) => boolean): AddressSet {
    const released: AddressSet = { ips: new Set(), macs: new Set() }
    const vteps = new Set([...this.#fdb.values()].flatMap((some) => [...some]))
    const known = new Set([...vteps].filter((vtep) => isKnown(vtep)))
    const isOver = nowMs >= this.#deadlineMs
    for (const [mac, some] of this.#fdb) {
      for (const vtep of some)
        if (isOver || (known.has(vtep) && this.#known.has(vtep))) {
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
