import type { AskedHost } from '../../../src/wiring/diagnosis/diagnosis.ts'
import type { Check, Level } from './doctor.ts'

/** What is compared with the other hosts. */
export interface Facts {
  readonly underlayMtus: readonly number[]
}

/** Used beyond this share of a limit, the limit is near. */
const nearLimit = 0.8
/** The least that a host of many containers needs; the kernel's defaults are below, or equal. */
const minBacklog = 1000
/** Links whose drivers have dropped or damaged VXLAN on port 4789, as their users report. */
const troubledDrivers: readonly string[] = ['vmxnet3']

/** All checks of one host. */
export function hostChecks(host: AskedHost, others: Facts): Check[] {
  const check = (what: string, level: Level, found: string, remedy: string | null): Check => {
    return { host: host.member, what, level, found, remedy: level === 'ok' ? null : remedy }
  }
  return [
    ...[kernel, firewall, engine, leftovers].map((rule) => check(...rule(host))),
    check(...mtu(host, others)),
    ...limits(host).map((found) => check(...found)),
    ...counters(host).map((found) => check(...found)),
  ]
}

type Found = readonly [what: string, level: Level, found: string, remedy: string | null]

function kernel({ features: { noFastPath }, facts }: AskedHost): Found {
  const version = facts === null ? 'kernel not known' : `Linux ${facts.kernel}`
  if (noFastPath === null) return ['kernel', 'ok', `${version}, with fast path`, null]
  const remedy = 'Linux 5.10 or newer with BPF; all works without, somewhat slower'
  return ['kernel', 'warning', `${version}, no fast path: ${noFastPath}`, remedy]
}

function firewall({ features: { filter } }: AskedHost): Found {
  if (filter === 'on') return ['firewall', 'ok', 'frames are filtered', null]
  const remedy = filter === 'off' ? 'remove FILTER=off' : 'modprobe nf_tables'
  return [
    'firewall',
    'warning',
    `frames are not filtered: ${filter}`,
    `${remedy}; start the plugin again`,
  ]
}

function engine({ engine: status }: AskedHost): Found {
  if (status === null) return ['engine', 'ok', 'not asked: ENGINE_API=off', null]
  if (status.connected) return ['engine', 'ok', `API ${status.apiVersion ?? '?'}`, null]
  const remedy = 'is dockerd running, and is its socket where ENGINE_SOCKET says?'
  return ['engine', 'wrong', status.failure ?? 'does not answer', remedy]
}

function leftovers({ leftovers: overlayIds }: AskedHost): Found {
  if (overlayIds.length === 0) return ['leftovers', 'ok', 'none in the kernel', null]
  const found = `namespaces of networks that are gone: ${overlayIds.join(', ')}`
  return ['leftovers', 'warning', found, 'nothing, if this is gone in some minutes; else report it']
}

function mtu({ underlayMtu, networks }: AskedHost, { underlayMtus }: Facts): Found {
  if (underlayMtu === null) {
    const remedy = 'set ADVERTISE_ADDR to an address that an interface of this host has'
    return ['MTU', 'wrong', 'no interface has this host’s address', remedy]
  }
  const large = networks.find((network) => network.mtu + 50 > underlayMtu)
  if (large !== undefined)
    return [
      'MTU',
      'wrong',
      `${large.overlayId} has ${large.mtu}, and ${underlayMtu} of the underlay leaves no room for it`,
      'set the link’s MTU as it was, or MTU on all hosts, and create the network again',
    ]
  const least = Math.min(...underlayMtus)
  if (underlayMtu > least)
    return [
      'MTU',
      'warning',
      `${underlayMtu}, and another host has ${least}`,
      'the same MTU on the underlay of all hosts, or MTU set to the smallest',
    ]
  return ['MTU', 'ok', `${underlayMtu}`, null]
}

/** Limits of the kernel that a busy host reaches. */
function limits({ facts, networks }: AskedHost): Found[] {
  if (facts === null) return []
  const { sysctls, neighbours } = facts
  const max = sysctls['net.ipv4.neigh.default.gc_thresh3'] ?? null
  const found: Found[] = []
  if (max !== null) found.push(neighbourTable(max, neighbours, mostNeighbours(networks)))
  const backlog = sysctls['net.core.netdev_max_backlog'] ?? null
  if (backlog !== null)
    found.push([
      'netdev_max_backlog',
      backlog < minBacklog ? 'warning' : 'ok',
      `${backlog}`,
      `sysctl -w net.core.netdev_max_backlog=${4 * minBacklog}`,
    ])
  const [used = null, most = null] = ['count', 'max'].map(
    (name) => sysctls[`net.netfilter.nf_conntrack_${name}`],
  )
  if (used !== null && most !== null)
    found.push([
      'conntrack',
      used > nearLimit * most ? 'wrong' : 'ok',
      `${used} of ${most} connections`,
      `sysctl -w net.netfilter.nf_conntrack_max=${2 * most}`,
    ])
  return found
}

/** The kernel has one table for all containers: each may know each other one of its network. */
function mostNeighbours(networks: AskedHost['networks']): number {
  return networks.reduce((sum, { endpoints, peers }) => sum + endpoints * (endpoints + peers), 0)
}

function neighbourTable(
  max: number,
  table: { readonly entries: number; readonly fulls: number } | null,
  most: number,
): Found {
  const what = 'neighbour table'
  const room = Math.max(4096, 2 ** Math.ceil(Math.log2(2 * Math.max(most, max))))
  const [one, two, three] = [room / 4, room / 2, room]
  const remedy = `sysctl -w ${[one, two, three].map((n, i) => `net.ipv4.neigh.default.gc_thresh${i + 1}=${n}`).join(' ')}, and in /etc/sysctl.d`
  const entries = table?.entries ?? 0
  const used = `${entries} of at most ${max} entries`
  if (entries > nearLimit * max)
    return [what, 'wrong', `${used}: it is full, or soon will be`, remedy]
  if ((table?.fulls ?? 0) > 0)
    return [what, 'warning', `${used}; it was full ${table!.fulls} times since the boot`, remedy]
  if (most > max) return [what, 'warning', `${used}; containers may need ${most}`, remedy]
  return [what, 'ok', used, null]
}

/** What was lost since the boot. Counters only grow: they warn, and are not wrong. */
function counters({ facts }: AskedHost): Found[] {
  if (facts === null) return []
  const { backlogDrops, udp, driver } = facts
  const counter = (what: string, count: number, text: string, remedy: string): Found => [
    what,
    count > 0 ? 'warning' : 'ok',
    `${count} ${text} since the boot`,
    remedy,
  ]
  const isTroubled = driver !== null && troubledDrivers.includes(driver)
  const offload = 'ethtool -K DEVICE tx-udp_tnl-segmentation off tx-checksum-ip-generic off'
  return [
    counter(
      'receive queue',
      backlogDrops ?? 0,
      'packets dropped',
      'raise net.core.netdev_max_backlog',
    ),
    counter(
      'socket buffers',
      udp?.bufferDrops ?? 0,
      'datagrams dropped',
      'raise net.core.rmem_max',
    ),
    counter('offload', udp?.checksumErrors ?? 0, 'datagrams with a wrong checksum', offload),
    [
      'link driver',
      isTroubled ? 'warning' : 'ok',
      driver ?? 'none of hardware',
      `if TCP between containers hangs while ping works: ${offload}, or another VXLAN_PORT`,
    ],
  ]
}
