import type { MemberStatus, OverlayStatus, PluginStatus } from '../../../src/wiring/status.ts'
import { printable } from '../../../src/base/printable.ts'
import { type Cell, ago, grouped, print, printTable, printWrapped, toned } from './output.ts'

/** The status of a plugin, which may be of another release: what is newer may be missing. */
export type Status = PluginStatus

/** What is wrong, in a line each: findings first, then hosts that do not answer. */
export function troublesOf(status: Status): string[] {
  const findings = status.findings.list.map(({ text, remedy }) => `${text}; ${remedy}`)
  const away = status.members
    .filter(({ state }) => state === 'dead' || state === 'suspect')
    .map(({ name, state, since }) => `${name} does not answer (${state} for ${ago(since)})`)
  const { leader, voters, missing } = status.consensus
  const quorum =
    leader === null && voters.length > 0
      ? [`no majority of the voters answers; missing: ${missing.join(', ') || 'unknown'}`]
      : []
  return [...findings, ...away, ...quorum]
}

/** Hosts, networks, and what is wrong. */
export function printStatus(status: Status): void {
  const troubles = troublesOf(status)
  print(headline(status, troubles))
  printMembers(status, { all: false })
  if (status.overlays.length > 0) printNetworks(status)
  for (const trouble of troubles) printWrapped(`! ${trouble}`, 'bad')
}

function headline({ member, members, overlays, version }: Status, troubles: string[]): string {
  const here = members.filter(({ state }) => state !== 'left')
  const counts = [
    counted(here.length, 'host'),
    counted(overlays.length, 'network'),
    counted(
      here.reduce((sum, { endpoints }) => sum + endpoints, 0),
      'container',
    ),
  ].join(', ')
  const text = `${printable(member)} (${version}): ${counts}`
  if (troubles.length === 0) return `${toned('OK', 'good')} on ${text}`
  return `${toned('TROUBLE', 'bad')} on ${text}; ${counted(troubles.length, 'finding')}`
}

/** One line for each host of the cluster; with `all`, those that have left, too. */
export function printMembers({ members }: Status, { all }: { readonly all: boolean }): void {
  const shown = members.filter(({ state }) => all || state !== 'left')
  printTable(
    ['HOST', 'ADDRESS', 'STATE', 'FOR', 'GOSSIP', 'VXLAN', 'NETWORKS', 'CONTAINERS'],
    shown.map((member) => [
      member.self ? `${member.name}*` : member.name,
      member.address,
      stateOf(member),
      member.since === undefined ? '-' : ago(member.since),
      typeof member.rttMs === 'number' ? `${member.rttMs.toFixed(1)} ms` : '-',
      tunnelOf(member),
      member.overlays ?? '-',
      member.endpoints ?? '-',
    ]),
  )
}

function stateOf({ state, paused }: MemberStatus): Cell {
  if (paused) return 'restarting'
  return state === 'alive' ? { text: state, tone: 'good' } : { text: state, tone: 'bad' }
}

function tunnelOf({ tunnel }: MemberStatus): Cell {
  if (tunnel === null || tunnel === undefined || tunnel.state === 'unknown') return '-'
  const { state, rttMs, bytes } = tunnel
  const round = rttMs === null ? '' : `${rttMs.toFixed(1)} ms`
  if (state === 'up') return bytes === null ? round : `${round}, ${bytes} B`
  return { text: { mtu: 'small only', loss: 'loses' }[state as 'mtu'] ?? state, tone: 'bad' }
}

/** One line for each network of this host. */
export function printNetworks({ overlays, members }: Status): void {
  const alive = members.filter(({ state }) => state === 'alive').length
  printTable(
    ['NETWORK', 'SUBNET', 'HOSTS', 'MTU', 'VNI', 'ADDRESSES'],
    overlays.map((overlay) => [
      nameOf(overlay),
      overlay.pools.join(' '),
      `${overlay.members?.length ?? '?'} of ${alive}`,
      overlay.mtu,
      overlay.vni,
      addressesOf(overlay),
    ]),
  )
}

/** The network's name where it is known, else the beginning of its id. */
export function nameOf(overlay: OverlayStatus & { readonly name?: string | null }): string {
  return overlay.name ?? overlay.networkId.slice(0, 12)
}

function addressesOf({ addresses }: OverlayStatus): string {
  if (addresses === null || addresses === undefined) return '-'
  return `${grouped(addresses.used)} of ${grouped(addresses.usable)}`
}

function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? '' : 's'}`
}
