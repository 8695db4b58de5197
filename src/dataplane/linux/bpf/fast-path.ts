import { closeSync } from 'node:fs'
import { isBug, messageOf } from '../../../base/errors.ts'
import { type Mac, noMac } from '../../../net/mac.ts'
import type { EndpointTraffic, FdbEntry, RowChange } from '../../dataplane.ts'
import type { PortSource } from '../filter/port-filter.ts'
import { type Link, listLinks } from '../netlink/link.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { type BpfProgram, loadProgram, openProgram } from './bpf-call.ts'
import { type ForwardingConfig, forwardingProgram, mapShapes, stationKey } from './forwarding.ts'
import {
  type Maps,
  type Port,
  createMaps,
  mapNames,
  openMaps,
  readRows,
  removeRowsBut,
  trafficByPort,
  writeRows,
} from './maps.ts'
import { attachProgram, attachedProgram, detachProgram } from './traffic-control.ts'

const programName = 'tso_forward'
/** The links that run it: ports and the VXLAN device. */
const kinds: ReadonlySet<string> = new Set(['veth', 'vxlan'])

/** Whether fast paths are made. */
export interface FastPathMode {
  /** Why none is made; null when they are. */
  reason: string | null
  readonly warn: (message: string) => void
}

/**
 * The fast path of one overlay: one program on its VXLAN device and on each port of its bridge, and
 * the program's maps. Filters of the links hold the program and the program holds the maps, so that
 * all of it goes on without this process, is found again through a filter, and goes with the links.
 *
 * Where it is wanted, nothing here fails: frames that the program does not know take the bridge.
 * What the kernel refused is logged, and done at the next `ensure`.
 */
export class FastPath {
  readonly #socket: NetlinkSocket
  readonly #mode: FastPathMode
  readonly #ports = new Map<string, Port>()
  #maps: Maps | null = null
  #program: BpfProgram | null = null
  /** What the program was made for. */
  #config = ''
  #isDetached = false
  /** What failed since the last `ensure` that succeeded; null when nothing did. */
  #failure: string | null = null

  /** `socket` is of the overlay's namespace. */
  constructor(socket: NetlinkSocket, mode: FastPathMode) {
    this.#socket = socket
    this.#mode = mode
  }

  /** Why frames take the bridge, or some of them may; null when nothing is amiss. */
  get reason(): string | null {
    return this.#mode.reason ?? this.#failure
  }

  /**
   * Makes or repairs the program, where it is attached and the rows of all ports; removes what an
   * earlier process left where none is wanted. @returns what differed unexpectedly, in words.
   */
  ensure(config: ForwardingConfig): string[] {
    if (this.#mode.reason !== null) return this.#detachOnce()
    const failed = this.#failure !== null
    this.#failure = null
    const changed = this.#attempt(() => {
      const links = this.#links()
      const { maps, isNew } = this.#ensureProgram(config, links)
      const rows = readRows(maps)
      removeRowsBut(maps, rows, new Set(links.map(({ index }) => index)))
      const known = new Set([config.vxlan, ...[...this.#ports.values()].map(({ index }) => index)])
      const found = links.flatMap(({ index, name }) =>
        this.#attach(index, known.has(index)) && !isNew ? [`fast path of ${name} repaired`] : [],
      )
      for (const [name, port] of this.#ports) found.push(...writeRows(maps, rows, name, port))
      return isNew ? ['fast path made', ...found] : found
    })
    return failed ? [] : changed
  }

  /** A port may send from these addresses, and what is for its MAC address is for it. */
  setPort({ index, name }: { index: number; name: string }, source: PortSource): string[] {
    const port = { index, ...source }
    this.#ports.set(name, port)
    return this.#attempt(() => {
      const maps = this.#maps
      if (maps === null || this.#program === null) return []
      const changed = writeRows(maps, readRows(maps), name, port)
      return this.#attach(index, true) ? [`fast path of ${name} repaired`] : changed
    })
  }

  /** Removes the rows of a port before it goes; it may be gone. */
  removePort(name: string): void {
    this.#ports.delete(name)
    this.#attempt(() => {
      if (this.#maps === null) return []
      const others = listLinks(this.#socket).filter((link) => link.name !== name)
      const live = new Set(others.map(({ index }) => index))
      removeRowsBut(this.#maps, readRows(this.#maps), live)
      return []
    })
  }

  /** The FDB of the VXLAN device was changed so. */
  noteFdb(changes: readonly RowChange[]): void {
    this.#attempt(() => {
      const macs = { set: [] as Buffer[], remove: [] as Buffer[] }
      for (const change of changes)
        if (change.kind === 'fdb' && change.mac !== noMac)
          macs[change.op].push(stationKey(change.mac))
      this.#maps?.peers.set(macs.set, Buffer.alloc(mapShapes.peers.valueBytes))
      this.#maps?.peers.delete(macs.remove)
      return []
    })
  }

  /** Has `peers` be the MAC addresses of the FDB again, without the default destination. */
  syncFdb(fdb: readonly FdbEntry[]): void {
    this.#attempt(() => {
      if (this.#maps === null) return []
      const { peers } = this.#maps
      const excess = new Map(peers.entries().map(({ key }) => [key.toString('latin1'), key]))
      const missing = new Set<Mac>()
      for (const { mac } of fdb)
        if (mac !== noMac && !excess.delete(stationKey(mac).toString('latin1'))) missing.add(mac)
      peers.set([...missing].map(stationKey), Buffer.alloc(mapShapes.peers.valueBytes))
      peers.delete([...excess.values()])
      return []
    })
  }

  /** What each port sent and received past the bridge, by its index. */
  traffic(): Map<number, EndpointTraffic> {
    const traffic = new Map<number, EndpointTraffic>()
    this.#attempt(() => {
      if (this.#maps === null) return []
      for (const [index, one] of trafficByPort(this.#maps)) traffic.set(index, one)
      return []
    })
    return traffic
  }

  /** Closes descriptors; what is attached stays. */
  close(): void {
    if (this.#program !== null) closeSync(this.#program.fd)
    for (const map of Object.values(this.#maps ?? {})) map.close()
    this.#program = null
    this.#maps = null
  }

  #attempt(work: () => string[]): string[] {
    try {
      return work()
    } catch (error) {
      if (isBug(error)) throw error
      this.#failure = messageOf(error)
      this.#mode.warn(`frames may take the bridge instead of the fast path: ${this.#failure}`)
      return []
    }
  }

  /** Takes over maps and program of an earlier process where they are as this one makes them. */
  #ensureProgram(config: ForwardingConfig, links: readonly Link[]): { maps: Maps; isNew: boolean } {
    const text = JSON.stringify(config)
    if (this.#maps !== null && this.#program !== null && this.#config === text)
      return { maps: this.#maps, isNew: false }
    const attached = this.#program ?? this.#findProgram(links)
    const maps = this.#maps ?? (attached === null ? null : openMaps(attached)) ?? createMaps()
    this.#maps = maps
    const fds = { sources: maps.sources.fd, ports: maps.ports.fd, peers: maps.peers.fd }
    const fresh = loadProgram(programName, forwardingProgram(config, fds))
    const isSame =
      attached?.tag === fresh.tag &&
      mapNames.every((name) => attached.mapIds.includes(maps[name].id))
    this.#program = isSame ? attached : fresh
    const other = isSame ? fresh : attached
    if (other !== null) closeSync(other.fd)
    this.#config = text
    return { maps, isNew: !isSame }
  }

  #findProgram(links: readonly Link[]): BpfProgram | null {
    for (const { index } of links) {
      const id = attachedProgram(this.#socket, index)
      const program = id === null ? null : openProgram(id)
      if (program !== null) return program
    }
    return null
  }

  /**
   * Has the link run the program if it is known or runs another of ours. @returns whether it did
   * not.
   */
  #attach(index: number, isKnown: boolean): boolean {
    const id = attachedProgram(this.#socket, index)
    if (this.#program === null || id === this.#program.id || (id === null && !isKnown)) return false
    attachProgram(this.#socket, index, this.#program.fd)
    return true
  }

  /** Removes what an earlier process left. */
  #detachOnce(): string[] {
    if (this.#isDetached) return []
    const attached = this.#links().filter(({ index }) => attachedProgram(this.#socket, index))
    for (const { index } of attached) detachProgram(this.#socket, index)
    this.#isDetached = true
    return attached.length === 0 ? [] : ['fast path removed']
  }

  #links(): Link[] {
    return listLinks(this.#socket).filter(({ kind }) => kinds.has(kind))
  }
}
