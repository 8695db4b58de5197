import type { PingSeries, TunnelPing } from '../../../src/paths/tunnel-ping.ts'
import type { PingReport } from '../../../src/wiring/diagnosis/diagnosis.ts'
import { printable } from '../../../src/base/printable.ts'
import { type Cell, print, printTable } from './output.ts'
import { type Trouble, printTroubles } from './status-view.ts'

const gossipPort = 'is the port GOSSIP_PORT (7946) open between the two, for'
const vxlanPort = 'is the UDP port VXLAN_PORT (4789) open both ways? "trace" looks at both hosts'
const errors = 'look for errors and drops on the links between the hosts: ip -s link'

/** What is wrong with the ways to a member. */
export function pingTroubles({ member, gossip, vxlan }: PingReport): Trouble[] {
  return [
    ...lostOn(member, 'gossip by UDP', gossip.udp, `${gossipPort} UDP?`),
    ...lostOn(member, 'gossip by TCP', gossip.tcp, `${gossipPort} TCP?`),
    ...vxlan.flatMap((tunnel) => [
      ...lostOn(member, `VXLAN of ${tunnel.overlayId}`, tunnel.small, vxlanPort),
      ...holeIn(member, tunnel),
    ]),
  ]
}

function lostOn(
  member: string,
  way: string,
  { sent, rttMs }: PingSeries,
  remedy: string,
): Trouble[] {
  const lost = sent - rttMs.length
  if (lost === 0) return []
  if (lost === sent) return [{ text: `${way} with ${member} does not work`, remedy }]
  return [{ text: `${way} with ${member} loses packets: ${lost} of ${sent}`, remedy: errors }]
}

function holeIn(member: string, { overlayId, mtu, small, full, largestBytes }: TunnelPing) {
  if (small.rttMs.length === 0 || full.rttMs.length > 0) return []
  const passing = largestBytes === null ? 'no large ones' : `at most ${largestBytes} bytes`
  const text = `packets of ${mtu} bytes on ${overlayId} do not reach ${member}, ${passing} do`
  const remedy =
    'repair what carries less between the hosts, or set MTU on all and create the network again'
  return [{ text, remedy }]
}

export function printPing(report: PingReport): void {
  const { member, address, state, gossip, vxlan } = report
  print(printable(`${member} (${address}), ${state}`))
  printTable(
    ['WAY', 'BYTES', 'LOST', 'MIN', 'MEAN', 'MAX'],
    [
      ['gossip, UDP', '-', ...cellsOf(gossip.udp)],
      ['gossip, TCP', '-', ...cellsOf(gossip.tcp)],
      ...vxlan.flatMap(({ overlayId, mtu, small, full }) => [
        [`VXLAN, ${overlayId}`, 'small', ...cellsOf(small)],
        [`VXLAN, ${overlayId}`, mtu, ...cellsOf(full)],
      ]),
    ],
  )
  if (vxlan.length === 0)
    print('VXLAN was not probed: no network that is not encrypted has containers on both hosts')
  printTroubles(pingTroubles(report))
}

function cellsOf({ sent, rttMs }: PingSeries): Cell[] {
  const lost = sent - rttMs.length
  const share = `${lost} of ${sent}`
  if (rttMs.length === 0) return [{ text: share, tone: 'bad' }, '-', '-', '-']
  const mean = rttMs.reduce((sum, ms) => sum + ms, 0) / rttMs.length
  const times = [Math.min(...rttMs), mean, Math.max(...rttMs)].map((ms) => `${ms.toFixed(1)} ms`)
  return [lost === 0 ? share : { text: share, tone: 'bad' }, ...times]
}
