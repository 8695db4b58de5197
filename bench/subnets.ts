/**
 * Networks with two subnets, ts-overlay's and Docker's own overlay: within a subnet and between
 * two, across two hosts. On the lab as root; a row of the table is the least or the median.
 *
 *     node --conditions=source bench/subnets.ts        ROUNDS=5 SECONDS=3
 */
import { Lab } from '../test/support/lab/lab.ts'
import { figure, print, table } from './figures.ts'
import { type BenchHost, labHost } from './machines.ts'
import {
  type Path,
  type Sample,
  columns,
  leastOf,
  medianOf,
  missingTools,
  takeTurns,
} from './traffic.ts'

const rounds = Number(process.env['ROUNDS'] ?? 5)
const seconds = Number(process.env['SECONDS'] ?? 3)

type Pair = readonly [client: BenchHost, server: BenchHost]

const plugin = ['-d', 'ts-overlay', '--ipam-driver', 'ts-overlay']
const networks = [
  { label: 'ts-overlay', name: 'ours', net: '10.61', create: plugin },
  {
    label: "Docker's overlay",
    name: 'theirs',
    net: '10.62',
    create: ['-d', 'overlay', '--attachable'],
  },
] as const

const obstacle = await missingTools()
if (obstacle === null) await main()
else print(`several subnets not measured: ${obstacle}`)

async function main(): Promise<void> {
  await using lab = await Lab.create({ hosts: 2 })
  const [a, b] = [lab.host(1), lab.host(2)]
  // A swarm has the usual ports for itself.
  const ports = { GOSSIP_PORT: '7947', VXLAN_PORT: '4790' }
  await a.installPlugin(ports)
  await b.installPlugin({ ...ports, JOIN: a.address })
  await a.pluginStatusWhen((status) => status.members.length === 2, 30_000)
  await a.docker(['swarm', 'init', '--advertise-addr', a.address])
  const { stdout: token } = await a.docker(['swarm', 'join-token', '-q', 'worker'])
  await b.docker(['swarm', 'join', '--token', token.trim(), `${a.address}:2377`])
  const hosts: Pair = [labHost(a), labHost(b)]
  const paths: Path[] = []
  for (const network of networks) paths.push(...(await pathsOf(hosts, network)))
  show(await takeTurns(paths, { rounds, seconds }))
}

/** From a container of the first subnet on one host to one of each subnet on the other. */
async function pathsOf(
  hosts: Pair,
  { label, name, net, create }: (typeof networks)[number],
): Promise<Path[]> {
  const [near, far] = hosts
  const subnets = ['--subnet', `${net}.1.0/24`, '--subnet', `${net}.2.0/24`]
  await near.run(['docker', 'network', 'create', ...create, ...subnets, name])
  const client = await start(near, name, `${net}.1.10`)
  if (name === 'ours')
    await far.run([
      'sh',
      '-c',
      `until docker network inspect ${name} >/dev/null; do sleep 0.1; done`,
    ])
  const paths: Path[] = []
  for (const [where, address] of [
    ['within a subnet', `${net}.1.20`],
    ['between two', `${net}.2.20`],
  ] as const) {
    const server = await start(far, name, address)
    const inside = (host: BenchHost, pid: number) => (command: readonly string[]) =>
      host.inside(pid, command)
    const ends = { client: inside(near, client), server: inside(far, server) }
    paths.push({ name: `${label}, ${where}`, ...ends, address, hosts })
  }
  return paths
}

/** The process of a container with that address. */
async function start(host: BenchHost, network: string, address: string): Promise<number> {
  const run = ['run', '-d', '--network', network, '--ip', address, 'lab:latest', 'sleep', '86400']
  const id = await host.run(['docker', ...run])
  return Number(await host.run(['docker', 'inspect', '-f', '{{.State.Pid}}', id]))
}

function show(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const names = [...samples.keys()]
  const value = (name: string, key: keyof Sample, how: 'least' | 'median'): number =>
    (how === 'least' ? leastOf : medianOf)(samples.get(name)!, key)
  print(
    table(
      [`${rounds} rounds of ${seconds} s, in turn`, ...names],
      columns.map(([key, what, unit, how]) => [
        `${what}, ${unit}`,
        ...names.map((name) => value(name, key, how).toFixed(2)),
      ]),
    ),
  )
  const [within, between, , theirs] = names as [string, string, string, string]
  const ratio = (key: keyof Sample, how: 'least' | 'median', to: string): number =>
    value(between, key, how) / value(to, key, how)
  for (const [name, number] of Object.entries({
    'subnets: least UDP time between two, ratio to within one': ratio('udpLeast', 'least', within),
    'subnets: least UDP time between two, ratio to overlay': ratio('udpLeast', 'least', theirs),
    'subnets: one TCP stream between two, ratio to overlay': ratio('oneStream', 'median', theirs),
  })) {
    figure(name, number)
    print(`${name}: ${number.toFixed(2)}`)
  }
}
