import type { EndpointTraffic, Traffic } from '../../dataplane.ts'
import { type PortSource, linkLocal } from '../filter/port-filter.ts'
import { BpfMap, type BpfProgram } from './bpf-call.ts'
import {
  type MapName,
  mapShapes,
  portOfSource,
  portOfValue,
  portValue,
  sourceKey,
  stationKey,
  trafficOf,
} from './forwarding.ts'

/** The maps of one overlay's program, and the rows that each port has in them. */

export type Maps = Readonly<Record<MapName, BpfMap>>
export const mapNames = Object.keys(mapShapes) as MapName[]

/** A port of the bridge, and what the container behind it may send from. */
export interface Port extends PortSource {
  readonly index: number
}

type Row = ReturnType<BpfMap['entries']>[number]

/** The keys that each port has, by its index. */
interface PortRows {
  readonly sources: ReadonlyMap<number, readonly Row[]>
  readonly ports: ReadonlyMap<number, readonly Row[]>
}

export function readRows({ sources, ports }: Maps): PortRows {
  return {
    sources: Map.groupBy(sources.entries(), ({ key }) => portOfSource(key)),
    ports: Map.groupBy(ports.entries(), ({ value }) => portOfValue(value)),
  }
}

/** Removes the rows of ports that are gone. */
export function removeRowsBut(maps: Maps, rows: PortRows, live: ReadonlySet<number>): void {
  for (const name of ['sources', 'ports'] as const)
    for (const [index, some] of rows[name])
      if (!live.has(index)) maps[name].delete(some.map(({ key }) => key))
}

/** Writes what is missing of a port's rows and removes others. @returns what it did, in words. */
export function writeRows(
  { sources, ports }: Maps,
  rows: PortRows,
  name: string,
  port: Port,
): string[] {
  const { index, mac, ips } = port
  const keys = ips.map((ip) => sourceKey(index, mac, ip))
  if (ips.some((ip) => ip.includes(':'))) keys.push(sourceKey(index, mac, linkLocal(mac)))
  const writes = [
    difference(keys, rows.sources.get(index)),
    difference([stationKey(mac)], rows.ports.get(index)),
  ] as const
  sources.set(writes[0].missing, Buffer.alloc(mapShapes.sources.valueBytes))
  ports.set(writes[1].missing, portValue(index))
  sources.delete(writes[0].excess)
  ports.delete(writes[1].excess)
  const count = writes.reduce((sum, { missing, excess }) => sum + missing.length + excess.length, 0)
  return count === 0 ? [] : [`fast path of ${name} repaired`]
}

function difference(wanted: readonly Buffer[], rows: readonly Row[] = []) {
  const found = rows.map(({ key }) => key)
  return {
    missing: wanted.filter((key) => !found.some((other) => other.equals(key))),
    excess: found.filter((key) => !wanted.some((other) => other.equals(key))),
  }
}

export function createMaps(): Maps {
  const made: Partial<Record<MapName, BpfMap>> = {}
  try {
    for (const name of mapNames) made[name] = BpfMap.create(mapShapes[name])
    return made as Maps
  } catch (error) {
    for (const map of Object.values(made)) map.close()
    throw error
  }
}

/** The maps of a program; null when it has not all of them, as when it is not ours. */
export function openMaps({ mapIds }: BpfProgram): Maps | null {
  const found: Partial<Record<string, BpfMap>> = {}
  for (const id of mapIds) {
    const opened = BpfMap.open(id, Object.values(mapShapes))
    if (opened !== null) found[opened.name] = opened.map
  }
  const maps = Object.fromEntries(mapNames.map((name) => [name, found[mapShapes[name].name]]))
  if (mapNames.every((name) => maps[name] !== undefined)) return maps as Maps
  for (const map of Object.values(found)) map?.close()
  return null
}

/** What each port sent and received past the bridge, by its index. */
export function trafficByPort(maps: Maps): Map<number, EndpointTraffic> {
  const { sources, ports } = readRows(maps)
  const traffic = [...ports].map(([index, rows]) => {
    return [index, { sent: sum(sources.get(index)), received: sum(rows) }] as const
  })
  return new Map(traffic)
}

function sum(rows: readonly Row[] = []): Traffic {
  const traffic = rows.map(({ value }) => trafficOf(value))
  return {
    frames: traffic.reduce((total, { frames }) => total + frames, 0),
    bytes: traffic.reduce((total, { bytes }) => total + bytes, 0),
  }
}
