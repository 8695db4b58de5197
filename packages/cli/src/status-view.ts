import type { MemberStatus, OverlayStatus, PluginStatus } from '../../../src/wiring/status.ts'
import { printable } from '../../../src/base/printable.ts'
import type { AdminSocket } from './admin-socket.ts'
import { type Cell, ago, grouped, print, printTable, printWrapped, toned } from './output.ts'

/** The status of a plugin, which may be of another release: what is newer may be missing. */
export type Status = PluginStatus

export function statusOf(socket: AdminSocket): Promise<Status> {
  return socket.ask<Status>('GET', '/status')
}

/** Something wrong, and what to do. */
export interface Trouble {
  readonly text: string
  readonly remedy: string
}

/** What is wrong: findings first, then hosts that do not answer. */
export function troublesOf(status: Status): Trouble[] {
  const findings = status.findings.list.map(({ text, remedy }) => ({ text, remedy }))
  const away = status.members
    .filter(({ state }) => state === 'dead' || state === 'suspect')
    .map(({ name, state, since }) => ({
      text: `${name} does not answer (${state} for ${ago(since)})`,
      remedy: 'is the host up? If it is gone for good: evict',
    }))
  const { leader, voters, missing } = status.consensus
  const text = `no majority of the voters answers; missing: ${missing.join(', ') || 'unknown'}`
  const remedy = 'bring them back; if they are gone for good: recover'
  return [...findings, ...away, ...(leader === null && voters.length > 0 ? [{ text, remedy }] : [])]
}

export function printTroubles(troubles: readonly Trouble[]): void {
  for (const { text, remedy } of troubles) printWrapped(`! ${text}; ${remedy}`, 'bad')
}

/** Hosts, networks, and what is wrong. */
export function printStatus(status: Status): void {
  const troubles = troublesOf(status)
  print(headline(status, troubles))
  printMembers(status, { all: false })
  if (status.overlays.length > 0) printNetworks(status)
  printTroubles(troubles)
}

function headline(
  { member, members, overlays, version }: Status,
  troubles: readonly Trouble[],
): string {
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
