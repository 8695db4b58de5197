import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { RowChange, FdbEntry, Neighbour } from '../dataplane.ts'
import type { Rows } from './desired.ts'

/**
 * The least that turns `actual` into `desired`. All sets come before all removes, and a row that changes
 * is set, not removed and set: there is no moment in which a wanted address leads nowhere.
 */
export function diff(desired: Rows, actual: Rows): RowChange[] {
  const fdb = diffFdb(desired.fdb, actual.fdb)
  const neighbours = diffNeighbours(desired.neighbours, actual.neighbours)
  return [...fdb.sets, ...neighbours.sets, ...fdb.removes, ...neighbours.removes]
}

/** The VTEPs of each MAC address, in the order of the entries. */
export function vtepsByMac(entries: readonly FdbEntry[]): Map<Mac, Ip[]> {
  const vteps = new Map<Mac, Ip[]>()
  for (const { mac, vtep } of entries) {
    const known = vteps.get(mac)
    if (known === undefined) vteps.set(mac, [vtep])
    else known.push(vtep)
  }
  return vteps
}

interface Changes {
  readonly sets: RowChange[]
  readonly removes: RowChange[]
}

/**
 * A MAC address may have several VTEPs that a stranger gave it (Linux allows it for the address of all
 * zeros, which means everybody). A set replaces the first of them, in the order of the dump; the others
 * have to be removed.
 */
function diffFdb(desired: readonly FdbEntry[], actual: readonly FdbEntry[]): Changes {
  const changes: Changes = { sets: [], removes: [] }
  const vteps = vtepsByMac(actual)
  for (const { mac, vtep } of desired) {
    const present = vteps.get(mac) ?? []
    vteps.delete(mac)
    const there = present.includes(vtep)
    if (!there) changes.sets.push({ op: 'set', kind: 'fdb', mac, vtep })
    const left = there ? present.filter((other) => other !== vtep) : present.slice(1)
    for (const other of left) changes.removes.push({ op: 'remove', kind: 'fdb', mac, vtep: other })
  }
  for (const [mac, left] of vteps)
    for (const vtep of left) changes.removes.push({ op: 'remove', kind: 'fdb', mac, vtep })
  return changes
}

function diffNeighbours(desired: readonly Neighbour[], actual: readonly Neighbour[]): Changes {
  const changes: Changes = { sets: [], removes: [] }
  const macs = new Map<Ip, Mac>(actual.map(({ ip, mac }) => [ip, mac]))
  for (const { ip, mac } of desired) {
    if (macs.get(ip) !== mac) changes.sets.push({ op: 'set', kind: 'neighbour', ip, mac })
    macs.delete(ip)
  }
  for (const [ip, mac] of macs) changes.removes.push({ op: 'remove', kind: 'neighbour', ip, mac })
  return changes
}
