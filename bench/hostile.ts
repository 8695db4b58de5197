/**
 * A machine on the underlay that has no token sends 10 MB/s of one kind of hostile traffic after the
 * other to a member: what the member's process does meanwhile. Three namespaces, the bundle that
 * ships, real sockets (root).
 *
 *     node --conditions=source bench/hostile.ts        FOR=8 (seconds of each kind)
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { PluginHosts, type PluginHost } from '../test/netns/plugin-hosts.ts'
import { until } from '../test/support/lab/processes.ts'
import { callUnixSocket } from '../test/support/lab/unix-http.ts'
import { figure, print, table } from './figures.ts'
import { hostileKinds } from './hostile-sender.ts'

const seconds = Number(process.env['FOR'] ?? 8)
const attacker = '192.0.2.66'
/** Between two questions whose answers show how late the event loop is, ms. */
const askEveryMs = 10
const lookEveryMs = 200

interface Outcome {
  readonly lagsMs: number[]
  readonly rssMb: number
  readonly suspicions: number
  readonly sentMb: number
  /** Of the main thread, part of one processor. */
  readonly load: number
}

const hosts = await PluginHosts.create(3, '10.60.0.0/24')
try {
  const [victim, observer, machine] = hosts.hosts as [PluginHost, PluginHost, PluginHost]
  await machine.kill()
  const isAlone = async (): Promise<boolean> => (await victim.alive()) === 2
  await until(isAlone, 'the end of the third member', 30_000, 100)
  await nsenter(machine, ['ip', 'addr', 'add', `${attacker}/24`, 'dev', 'eth0'])
  const rows: string[][] = []
  for (const kind of ['nothing', ...Object.keys(hostileKinds)]) {
    const { lagsMs, rssMb, suspicions, sentMb, load } = await underAttack(
      kind,
      victim,
      observer,
      machine,
    )
    const [p50, p99, most] = [0.5, 0.99, 1].map((part) => quantile(lagsMs, part))
    figure(`hostile: answer under ${kind}, p99`, p99!)
    figure('hostile: memory of the process', rssMb)
    figure('hostile: members that were suspected', suspicions)
    rows.push([
      kind,
      (sentMb / seconds).toFixed(1),
      load.toFixed(2),
      p50!.toFixed(1),
      p99!.toFixed(1),
      most!.toFixed(0),
      rssMb.toFixed(0),
      String(suspicions),
    ])
  }
  const heading = [
    'kind',
    'MB/s sent',
    'main thread, of a core',
    'answer p50, ms',
    'p99, ms',
    'most, ms',
    'RSS, MB',
    'suspected',
  ]
  print(table(heading, rows))
} finally {
  await hosts.close()
}

async function underAttack(
  kind: string,
  victim: PluginHost,
  observer: PluginHost,
  machine: PluginHost,
): Promise<Outcome> {
  const sender = kind === 'nothing' ? null : send(machine, kind, victim.address)
  const lagsMs: number[] = []
  let suspicions = 0
  let rssMb = 0
  const ranMs = await cpuMs(victim)
  const end = performance.now() + 1000 * seconds
  const ask = async (): Promise<void> => {
    while (performance.now() < end) {
      const asked = performance.now()
      await callUnixSocket(victim.plugin.socket, 'GET', '/healthz')
      lagsMs.push(performance.now() - asked)
      await sleep(askEveryMs)
    }
  }
  const look = async (): Promise<void> => {
    while (performance.now() < end) {
      for (const host of [victim, observer]) {
        const { members } = await host.plugin.status()
        const isPair = (name: string): boolean =>
          [victim, observer].some((one) => one.name === name)
        suspicions += members.filter(({ name, state }) => isPair(name) && state !== 'alive').length
      }
      rssMb = Math.max(rssMb, await residentMb(victim))
      await sleep(lookEveryMs)
    }
  }
  await Promise.all([ask(), look()])
  const load = ((await cpuMs(victim)) - ranMs) / 1000 / seconds
  return { lagsMs, rssMb, suspicions, load, sentMb: sender === null ? 0 : await sender.stop() }
}

function send(machine: PluginHost, kind: string, to: string): { stop(): Promise<number> } {
  const program = [process.execPath, '--conditions=source', 'bench/hostile-sender.ts']
  const args = [`--net=${machine.netns}`, ...program, kind, attacker, to]
  const child: ChildProcess = spawn('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const stop = async (): Promise<number> => {
    child.stdin!.end()
    await once(child, 'exit')
    return Number(said) / 1e6
  }
  return { stop }
}

async function nsenter(host: PluginHost, command: readonly string[]): Promise<void> {
  await once(spawn('nsenter', [`--net=${host.netns}`, ...command], { stdio: 'inherit' }), 'exit')
}

function procOf(host: PluginHost): string {
  return /^\/proc\/\d+/.exec(host.plugin.stateFile(''))![0]
}

async function cpuMs(host: PluginHost): Promise<number> {
  const [ranNs] = (await readFile(`${procOf(host)}/schedstat`, 'utf8')).split(' ')
  return Number(ranNs) / 1e6
}

async function residentMb(host: PluginHost): Promise<number> {
  const status = await readFile(`${procOf(host)}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1000
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
}
