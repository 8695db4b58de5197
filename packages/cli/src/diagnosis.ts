import type { Command } from 'commander'
import type { AskedHost, PingReport } from '../../../src/wiring/diagnosis/diagnosis.ts'
import type { AdminSocket } from './admin-socket.ts'
import { add, exitCodes } from './command.ts'
import { type Check, checksOf, maxPinged, printChecks } from './doctor.ts'
import { pluginNames } from './engine-plugins.ts'
import { memberNamed } from './member-name.ts'
import { printJson } from './output.ts'
import { pingTroubles, printPing } from './ping.ts'
import { statusOf } from './status-view.ts'
import { endsOf } from './trace/ends.ts'
import { type Snapshots, firstWrong, hopsOf } from './trace/hops.ts'
import { printTrace } from './trace/print-trace.ts'

/** The commands for when something is wrong: `ping`, `trace`, `doctor`. */
export function addDiagnosis(program: Command): void {
  const ping = 'probe a host by gossip, UDP and TCP, and by VXLAN, small packets and full ones'
  add(program, 'ping <host>', ping, async ({ socket, options, args: [host] }) => {
    const member = memberNamed(await statusOf(socket), host!)
    tell(`probing ${member}`)
    const report = await pingOf(socket, member)
    if (options.json) printJson(report)
    else printPing(report)
    return pingTroubles(report).length === 0 ? exitCodes.ok : exitCodes.trouble
  })
  const trace =
    'walk the way between two containers, or hosts, and name the first hop that is wrong'
  add(program, 'trace <from> <to>', trace, async ({ socket, options, args: [from, to] }) => {
    const ends = endsOf(await statusOf(socket), from!, to!)
    const { overlayId, from: a, to: b } = ends
    const query = new URLSearchParams({ overlay: overlayId })
    for (const host of new Set([a.host, b.host])) query.append('member', host)
    for (const { ip } of [a, b]) if (ip !== null) query.append('ip', ip)
    tell(`asking ${[...new Set([a.host, b.host])].join(' and ')}`)
    const hops = hopsOf(ends, await socket.ask<Snapshots>('GET', `/snapshots?${query.toString()}`))
    if (options.json) printJson({ ...ends, hops, firstWrong: firstWrong(hops) })
    else printTrace(ends, hops)
    return firstWrong(hops) === null ? exitCodes.ok : exitCodes.trouble
  })
  const doctor = 'check host and cluster, with what to do'
  add(program, 'doctor', doctor, async ({ socket, options }) => {
    const checks = await allChecks(socket)
    if (options.json) printJson(checks)
    else printChecks(checks, { all: options.all ?? false })
    return checks.some(({ level }) => level === 'wrong') ? exitCodes.trouble : exitCodes.ok
  }).option('--all', 'also what is as it should be')
}

async function allChecks(socket: AdminSocket): Promise<Check[]> {
  const status = await statusOf(socket)
  tell('asking all hosts')
  const hosts = await socket.ask<Record<string, AskedHost | null>>('GET', '/hosts')
  const others = status.members.filter(
    ({ self, state }) => !self && (state === 'alive' || state === 'suspect'),
  )
  tell(`probing ${Math.min(others.length, maxPinged)} hosts`)
  const pings = others.slice(0, maxPinged).map(({ name }) => pingOf(socket, name))
  return checksOf({ status, hosts, pings: await Promise.all(pings), plugins: await pluginNames() })
}

function pingOf(socket: AdminSocket, host: string): Promise<PingReport> {
  return socket.ask<PingReport>('GET', `/ping/${encodeURIComponent(host)}`)
}

/** Progress, for a person who waits. */
function tell(step: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${step} …\n`)
}
