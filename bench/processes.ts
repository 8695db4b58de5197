/**
 * Many whole plugins, each the process that ships in a network namespace of its own, with endpoints
 * on one overlay (root): what the last host's join costs, how fast a change and a death are in all
 * kernels, and what a process takes.
 *
 *     node --conditions=source bench/processes.ts        HOSTS=25 ENDPOINTS=2000 PLOT=FILE.svg
 *
 * It measures at 5, 10 and so on up to HOSTS members.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { pinName } from '../src/dataplane/linux/netlink/names.ts'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import { type PluginHost, PluginHosts } from '../test/netns/plugin-hosts.ts'
import { until } from '../test/support/lab/processes.ts'
import { figure, median, print, table } from './figures.ts'
import { barPlot } from './plot.ts'

const hostCount = Number(process.env['HOSTS'] ?? 25)
const endpointCount = Number(process.env['ENDPOINTS'] ?? 2000)
const changes = Number(process.env['RUNS'] ?? 10)
const idleMs = 10_000
const pollMs = 5
const patienceMs = 120_000
const subnet = '10.60.0.0/16'
/** In the cluster's rows; the smallest cluster has a tenth of the endpoints of the largest. */
const sizes = [5, 10, 15, 20, 25, 30, 40, 50].filter((size) => size < hostCount).concat(hostCount)

interface Measured {
  readonly members: number
  readonly endpoints: number
  readonly joinMs: number
  readonly changesMs: readonly number[]
  readonly deathMs: number
  readonly rssMb: readonly number[]
  /** Of one processor. */
  readonly cpuPercent: readonly number[]
  readonly wrongRows: number
}

const obstacle = NetnsLab.obstacle()
if (obstacle === null) await main()
else print(`processes not measured: ${obstacle}`)

async function main(): Promise<void> {
  const all = await PluginHosts.create(1, subnet)
  try {
    const measured: Measured[] = []
    for (const size of sizes) {
      while (all.hosts.length < size - 1) await populated(all)
      measured.push(await measure(all))
    }
    show(measured)
  } finally {
    await all.close()
  }
}

/** One more host, with its share of the endpoints. */
async function populated(all: PluginHosts): Promise<PluginHost> {
  const host = await all.add()
  for (const one of all.hosts.slice(all.hosts.length === 2 ? 0 : -1)) {
    await one.story.createNetwork()
    for (let i = 0; i < endpointCount / hostCount; i++) await one.story.start(`${one.name}-${i}`)
  }
  return host
}

async function measure(all: PluginHosts): Promise<Measured> {
  const started = performance.now()
  const last = await all.add()
  await last.story.createNetwork()
  await last.story.start(`${last.name}-0`)
  await rowsRight(all, [last])
  const joinMs = performance.now() - started
  for (let i = 1; i < endpointCount / hostCount; i++) await last.story.start(`${last.name}-${i}`)
  await rowsRight(all, all.hosts)
  const changesMs: number[] = []
  for (let i = 0; i < changes; i++) changesMs.push(await changeMs(all, `change-${i}`))
  await all.together()
  const before = all.hosts.map(cpuSeconds)
  await sleep(idleMs)
  const cpuPercent = all.hosts.map(
    (host, i) => ((cpuSeconds(host) - before[i]!) / idleMs) * 1000 * 100,
  )
  const rssMb = all.hosts.map(residentMb)
  const wrongRows = (await Promise.all(all.hosts.map((host) => wrongRowsOf(all, host)))).flat()
    .length
  const deathMs = await dyingMs(all, last)
  const endpoints = all.hosts.reduce((sum, { story }) => sum + story.containers.size, 0)
  return {
    members: all.hosts.length,
    endpoints,
    joinMs,
    changesMs,
    deathMs,
    rssMb,
    cpuPercent,
    wrongRows,
  }
}

/** From the answer to Join until the kernels of all others have the row. */
async function changeMs(all: PluginHosts, name: string): Promise<number> {
  const [first, ...others] = all.hosts
  const { endpointId } = await first!.story.start(name)
  const started = performance.now()
  const address = first!.story.containers.get(endpointId)!.split('/')[0]!
  const has = async (host: PluginHost): Promise<boolean> => (await neighbours(host)).has(address)
  for (const host of others)
    await until(() => has(host), `${host.name}: ${address}`, patienceMs, pollMs)
  const took = performance.now() - started
  await first!.story.stop(endpointId)
  return took
}

/** From a kill of the plugin and of its cable until no other kernel has a row of that host. */
async function dyingMs(all: PluginHosts, host: PluginHost): Promise<number> {
  const others = all.hosts.filter((one) => one !== host)
  const gone = addressesOf(host)
  const hasNone = async (one: PluginHost): Promise<boolean> => {
    const rows = await neighbours(one)
    return gone.every((address) => !rows.has(address))
  }
  const started = performance.now()
  await all.cable(host, 'down')
  for (const one of others)
    await until(() => hasNone(one), `${one.name}: without ${host.name}`, patienceMs, pollMs * 10)
  const took = performance.now() - started
  await all.cable(host, 'up')
  await all.together()
  await rowsRight(all, all.hosts)
  return took
}

async function rowsRight(all: PluginHosts, hosts: readonly PluginHost[]): Promise<void> {
  for (const host of hosts) {
    const isRight = async (): Promise<boolean> => (await wrongRowsOf(all, host)).length === 0
    await until(isRight, `${host.name}: all rows`, patienceMs, pollMs * 10)
  }
}

/** Addresses of other hosts that the kernel lacks, and those that it has too many. */
async function wrongRowsOf(all: PluginHosts, host: PluginHost): Promise<string[]> {
  const rows = await neighbours(host)
  const wanted = new Set(all.hosts.filter((one) => one !== host).flatMap(addressesOf))
  return [...rows]
    .filter((row) => !wanted.has(row))
    .concat([...wanted].filter((one) => !rows.has(one)))
}

function addressesOf({ story }: PluginHost): string[] {
  return [...story.containers.values()].map((address) => address.split('/')[0]!)
}

/** The IPv4 addresses of permanent neighbours in the overlay's namespace. */
async function neighbours({ plugin }: PluginHost): Promise<Set<string>> {
  const pin = plugin.stateFile(`netns/${pinName(subnet)}`)
  const said = await plugin.exec(
    'nsenter',
    `--net=${pin}`,
    'ip',
    '-4',
    'neigh',
    'show',
    'nud',
    'permanent',
  )
  return new Set(
    said
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ')[0]!),
  )
}

function procOf({ plugin }: PluginHost): string {
  return /^\/proc\/\d+/.exec(plugin.stateFile(''))![0]
}

/** proc(5): utime and stime, in hundredths of a second. */
function cpuSeconds(host: PluginHost): number {
  const fields = readFileSync(`${procOf(host)}/stat`, 'utf8')
    .split(') ')[1]!
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function residentMb(host: PluginHost): number {
  const status = readFileSync(`${procOf(host)}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1000
}

function show(measured: readonly Measured[]): void {
  const row = (name: string, cell: (one: Measured) => string): string[] => [
    name,
    ...measured.map(cell),
  ]
  const of = (values: readonly number[], digits: number): string =>
    `${median(values).toFixed(digits)} (${Math.max(...values).toFixed(digits)})`
  print(
    table(
      ['members', ...measured.map(({ members }) => String(members))],
      [
        row('endpoints', ({ endpoints }) => String(endpoints)),
        row('the last host: from its start to all rows, ms', ({ joinMs }) => joinMs.toFixed(0)),
        row('a new endpoint in all kernels, median (most), ms', (one) => of(one.changesMs, 0)),
        row('a cut cable: no row of the host, ms', ({ deathMs }) => deathMs.toFixed(0)),
        row('memory of a process, median (most), MB', ({ rssMb }) => of(rssMb, 0)),
        row('processor while idle, median (most), %', ({ cpuPercent }) => of(cpuPercent, 2)),
        row('rows that are wrong', ({ wrongRows }) => String(wrongRows)),
      ],
    ),
  )
  const most = measured.at(-1)!
  figure('processes: last host has all rows', most.joinMs)
  figure('processes: new endpoint in all kernels', median(most.changesMs))
  figure('processes: dead host in no kernel', most.deathMs)
  figure('processes: memory of a process', median(most.rssMb))
  figure('processes: idle processor of a process', median(most.cpuPercent))
  figure('processes: rows that are wrong', most.wrongRows)
  const plot = process.env['PLOT']
  if (plot === undefined) return
  const groups = [
    ['Join', 'ms', (one: Measured) => [one.joinMs]],
    ['New endpoint', 'ms', (one: Measured) => one.changesMs],
    ['Cut cable', 'ms', (one: Measured) => [one.deathMs]],
    ['Memory', 'MB', (one: Measured) => one.rssMb],
    ['Idle processor', '%', (one: Measured) => one.cpuPercent],
  ] as const
  writeFileSync(
    plot,
    barPlot(
      'Whole plugins on one machine',
      measured.map(({ members }) => `${members} members`),
      groups.map(([name, unit, values]) => ({
        name,
        unit,
        values: measured.map((one) => [...values(one)]),
      })),
    ),
  )
}
