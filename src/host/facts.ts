import { readFile, readlink } from 'node:fs/promises'
import { networkInterfaces, release } from 'node:os'
import { basename } from 'node:path'
import { isSystemError } from '../base/errors.ts'

/** What of a host's kernel a busy overlay depends on. Null is what this host does not tell. */
export interface HostFacts {
  readonly kernel: string
  /** By name, as `sysctl` has them. */
  readonly sysctls: Readonly<Record<string, number | null>>
  /** The kernel's table of neighbours, which all containers of the host share. */
  readonly neighbours: { readonly entries: number; readonly fulls: number } | null
  /** Packets that were dropped because the queue of a processor was full. */
  readonly backlogDrops: number | null
  /** Datagrams that were dropped: no room in the receiver's buffer, or a wrong checksum. */
  readonly udp: { readonly bufferDrops: number; readonly checksumErrors: number } | null
  /** The driver of the link that the underlay is on; null for a virtual one. */
  readonly driver: string | null
}

/** Limits, and how much of them is used. */
const sysctlNames = [
  'net.ipv4.neigh.default.gc_thresh1',
  'net.ipv4.neigh.default.gc_thresh2',
  'net.ipv4.neigh.default.gc_thresh3',
  'net.core.netdev_max_backlog',
  'net.core.rmem_max',
  'net.netfilter.nf_conntrack_count',
  'net.netfilter.nf_conntrack_max',
] as const

/** Reads them; `address` is this host's on the underlay. */
export async function readHostFacts(address: string): Promise<HostFacts> {
  const links = Object.entries(networkInterfaces())
  const [device = null] = links.find(([, all]) => all?.some((one) => one.address === address)) ?? []
  const sysctls = sysctlNames.map(async (name) => {
    const text = await textOf(`/proc/sys/${name.replaceAll('.', '/')}`)
    return [name, text === null ? null : Number(text)] as const
  })
  const driver = device === null ? null : await linkOf(`/sys/class/net/${device}/device/driver`)
  return {
    kernel: release(),
    sysctls: Object.fromEntries(await Promise.all(sysctls)),
    neighbours: neighboursIn(await textOf('/proc/net/stat/arp_cache')),
    backlogDrops: backlogDropsIn(await textOf('/proc/net/softnet_stat')),
    udp: udpIn(await textOf('/proc/net/snmp')),
    driver,
  }
}

/**
 * /proc/net/stat/arp_cache: titles, then a line of hexadecimal numbers for each processor. The
 * number of entries is the table's on each line; the others are to be added up.
 */
export function neighboursIn(text: string | null): HostFacts['neighbours'] {
  const [titles, ...lines] = (text ?? '').trim().split('\n').map(wordsOf)
  const entries = titles?.indexOf('entries') ?? -1
  const fulls = titles?.indexOf('table_fulls') ?? -1
  if (entries < 0 || lines.length === 0) return null
  const hex = (word: string | undefined): number => Number.parseInt(word ?? '0', 16)
  return {
    entries: hex(lines[0]![entries]),
    fulls: fulls < 0 ? 0 : lines.reduce((sum, line) => sum + hex(line[fulls]), 0),
  }
}

/** /proc/net/softnet_stat: a line for each processor, the second number counts drops. */
export function backlogDropsIn(text: string | null): number | null {
  if (text === null) return null
  const lines = text.trim().split('\n').map(wordsOf)
  return lines.reduce((sum, line) => sum + Number.parseInt(line[1] ?? '0', 16), 0)
}

/** /proc/net/snmp: for each protocol a line of titles and one of numbers. */
export function udpIn(text: string | null): HostFacts['udp'] {
  const lines = (text ?? '').split('\n').filter((line) => line.startsWith('Udp:'))
  const [titles, values] = lines.map(wordsOf)
  if (titles === undefined || values === undefined) return null
  const valueOf = (title: string): number => Number(values[titles.indexOf(title)] ?? 0)
  return { bufferDrops: valueOf('RcvbufErrors'), checksumErrors: valueOf('InCsumErrors') }
}

function wordsOf(line: string): string[] {
  return line.trim().split(/\s+/)
}

async function textOf(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(nullIfAbsent)
}

async function linkOf(path: string): Promise<string | null> {
  return readlink(path).then(basename, nullIfAbsent)
}

function nullIfAbsent(error: unknown): null {
  if (isSystemError(error)) return null
  throw error
}
