/**
 * What names cost, against the kernel of this machine: `node --conditions=source bench/names.ts` as
 * root. A DNS query that we answer and one that we forward, each beside one that goes straight to a
 * stand-in for the engine's resolver, and the processor time of idle sandboxes.
 */
import { systemClock, sleep } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import type { TableChange } from '../src/names/name-table.ts'
import type { Ip } from '../src/net/ip.ts'
import type { Vni } from '../src/net/vni.ts'
import { ResolverThread } from '../src/wiring/names/resolver-thread.ts'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import { DnsClient, EngineResolver } from '../test/netns/sandbox-dns.ts'
import { figure, median, print, spread, table } from './figures.ts'

const queries = 1000
const warmUps = 200
const sandboxes = 200
const idleMs = 10_000
const vni = 1 as Vni
/** So many names in the table, as of a large cluster. */
const endpoints = 10_000

const names: TableChange[] = [
  { kind: 'network', vni, value: 'net' },
  { kind: 'sandbox', sandbox: 's0', value: [vni] },
  ...Array.from({ length: endpoints }, (_, i): TableChange[] => {
    const ips = [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` as Ip]
    return [
      { kind: 'addresses', key: `e${i}`, value: { vni, ips, isRemote: true } },
      { kind: 'names', key: `e${i}`, value: [`web${i}`, `alias${i}`] },
    ]
  }).flat(),
]

async function timed(client: DnsClient, name: (i: number) => string): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < queries + warmUps; i++) {
    const started = performance.now()
    await client.ask(name(i))
    times.push(performance.now() - started)
  }
  return times.slice(warmUps)
}

/** Milliseconds of processor time in a second. */
async function idleCpu(): Promise<number> {
  const before = process.cpuUsage()
  await sleep(systemClock, idleMs)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) / 1000 / idleMs) * 1000
}

function percentile(times: readonly number[], part: number): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * part)]!
}

async function main(): Promise<void> {
  const lab = await NetnsLab.create()
  const path = await lab.namespace('s0')
  const answers = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [`local${i}`, '10.0.0.1']),
  )
  const engine = new EngineResolver(path, answers)
  await engine.start()
  const client = new DnsClient(path)
  const thread = new ResolverThread(
    new URL('../src/resolver.ts', import.meta.url),
    { sandboxDirectory: lab.directory, processName: 'bench', auditIntervalMs: 30_000 },
    silentLogger,
  )
  const local = (i: number): string => `local${i % 10}`
  const obstacle = await thread.start()
  if (obstacle !== null) throw new Error(obstacle)
  thread.apply(names)
  const straight: number[] = []
  const own: number[] = []
  const forwarded: number[] = []
  for (let round = 0; round < 3; round++) {
    straight.push(...(await timed(client, local)))
    await thread.attach('s0')
    own.push(...(await timed(client, (i) => `web${(i * 7) % endpoints}`)))
    forwarded.push(...(await timed(client, local)))
    await thread.detach('s0')
  }
  const kinds = { 'straight to the engine': straight, 'own name': own, forwarded }
  print(
    table(
      ['DNS query', 'median (least–most)', 'p95'],
      Object.entries(kinds).map(([kind, times]) => {
        return [kind, spread(times, 'ms', 2), `${percentile(times, 0.95).toFixed(2)} ms`]
      }),
    ),
  )
  figure('names: DNS query, own name', median(own))
  figure('names: DNS query, added by forwarding', median(forwarded) - median(straight))
  client.close()
  engine.stop()
  const without = await idleCpu()
  for (let i = 1; i <= sandboxes; i++) await lab.namespace(`s${i}`)
  const started = performance.now()
  for (let i = 1; i <= sandboxes; i++) await thread.attach(`s${i}`)
  const attachMs = (performance.now() - started) / sandboxes
  const idle = (await idleCpu()) - without
  const closing = performance.now()
  await thread.close()
  const closeMs = (performance.now() - closing) / sandboxes
  print('')
  print(
    table(
      [`${sandboxes} sandboxes`, ''],
      [
        ['attach, each', `${attachMs.toFixed(2)} ms`],
        ['idle, all', `${(idle / 10).toFixed(1)} % of a core`],
        ['close, each', `${closeMs.toFixed(2)} ms`],
      ],
    ),
  )
  figure('names: 200 idle sandboxes, CPU', idle / 10)
  lab.close()
}

// Neither the clock nor the thread keeps the process.
setInterval(() => {}, 1_000_000)
await main()
process.exit(0)
