/**
 * ts-overlay with and without its fast path, Docker's own overlay, a VXLAN made by hand and the
 * underlay alone, between containers on two hosts, taking turns in one run. With `-o encrypted`
 * where the kernel has WireGuard.
 *
 *     node --conditions=source bench/overlays.ts        ROUNDS=5 SECONDS=3 RUNS=15 PLOT=FILE.svg
 *
 * On the lab as root. On two machines of your own, which need iperf3, sockperf and Node, the plugin
 * in one cluster, a swarm of the two for Docker's own overlay, and root by ssh:
 *
 *     HOSTS=root@192.0.2.1,root@192.0.2.2 IMAGE=busybox node --conditions=source bench/overlays.ts
 *
 * There the plugin is as it was set, with or without the fast path.
 */
import { writeFileSync } from 'node:fs'
import { Lab } from '../test/support/lab/lab.ts'
import { figure, median, print, spread, table } from './figures.ts'
import { type BenchHost, labHost, sshHost } from './machines.ts'
import { barPlot } from './plot.ts'
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
const runs = Number(process.env['RUNS'] ?? 15)
const image = process.env['IMAGE'] ?? 'lab:latest'
const remote = process.env['HOSTS']?.split(',').map(sshHost)

const ours = 'ts-overlay'
const theirs = "Docker's overlay"

type Pair = readonly [client: BenchHost, server: BenchHost]

/** A network for the measurement: on which hosts, and how it is made; undefined where it cannot be. */
interface Network {
  readonly label: string
  readonly name: string
  readonly hosts: Pair
  readonly create: readonly string[]
}

const obstacle = await missingTools()
if (obstacle === null) await main()
else print(`overlays not measured: ${obstacle}`)

async function main(): Promise<void> {
  if (remote !== undefined) return measure(remote as unknown as Pair)
  await using lab = await Lab.create({ hosts: 4 })
  const [a, b, c, d] = [lab.host(1), lab.host(2), lab.host(3), lab.host(4)]
  // A swarm has the usual ports for itself.
  const ports = { GOSSIP_PORT: '7947', VXLAN_PORT: '4790' }
  for (const [first, second, more] of [
    [a, b, {}],
    [c, d, { FAST_PATH: 'off' }],
  ] as const) {
    await first.installPlugin({ ...ports, ...more })
    await second.installPlugin({ ...ports, ...more, JOIN: first.address })
    await first.pluginStatusWhen((status) => status.members.length === 2, 30_000)
  }
  await a.docker(['swarm', 'init', '--advertise-addr', a.address])
  const { stdout: token } = await a.docker(['swarm', 'join-token', '-q', 'worker'])
  await b.docker(['swarm', 'join', '--token', token.trim(), `${a.address}:2377`])
  await measure([labHost(a), labHost(b)], [labHost(c), labHost(d)])
  const { calls } = await a.pluginStatus()
  print('\nThe plugin’s calls on the first host, medians:')
  for (const [method, { count, medianMs }] of Object.entries(calls))
    print(`- ${method}: ${medianMs?.toFixed(2)} ms, ${count} times`)
}

async function measure(hosts: Pair, bridgeHosts?: Pair): Promise<void> {
  const plugin = ['-d', 'ts-overlay', '--ipam-driver', 'ts-overlay']
  const swarm = (await docker(hosts[0], 'info', '-f', '{{.Swarm.LocalNodeState}}')) === 'active'
  const encrypted = (await hosts[0].run(['sh', '-c', 'modprobe -q wireguard; echo $?'])) === '0'
  const networks: Network[] = [
    { label: ours, name: 'bench-ours', hosts, create: plugin },
    ...(bridgeHosts === undefined
      ? []
      : [
          { label: 'ts-overlay, bridge', name: 'bench-bridge', hosts: bridgeHosts, create: plugin },
        ]),
    ...(swarm
      ? [{ label: theirs, name: 'bench-theirs', hosts, create: ['-d', 'overlay', '--attachable'] }]
      : []),
    ...(encrypted
      ? [{ label: 'encrypted', name: 'bench-wg', hosts, create: [...plugin, '-o', 'encrypted'] }]
      : []),
  ]
  for (const { name, create, hosts: on } of networks)
    await docker(on[0], 'network', 'create', ...create, name)
  await measureStarts(networks.filter(({ hosts: on }) => on === hosts))
  const paths: Path[] = [underlay(hosts)]
  for (const network of networks) paths.push(await across(network))
  paths.push(await handMade(hosts))
  show(await takeTurns(paths, { rounds, seconds }))
  for (const { hosts: on, name } of networks) await clear(on, name)
  await clear(hosts)
}

/** `docker run --rm … true` on each network, the first container of it there, and without one. */
async function measureStarts(networks: readonly Network[]): Promise<void> {
  const each = [
    ...networks.map(({ name, label }) => ({ name, label })),
    { name: 'none', label: 'none' },
  ]
  const host = networks[0]!.hosts[0]
  const times = new Map(each.map(({ label }) => [label, [] as number[]]))
  for (let run = -1; run < runs; run++)
    for (const { name, label } of run % 2 === 0 ? each : each.toReversed()) {
      const started = performance.now()
      await docker(host, 'run', '--rm', '--network', name, image, 'true')
      if (run >= 0) times.get(label)!.push(performance.now() - started)
    }
  print(
    table(
      ['`docker run --rm --network … true`', `${runs} runs`],
      each.map(({ label }) => [label, spread(times.get(label)!, 'ms')]),
    ),
  )
  const above = (label: string): number => median(times.get(label)!) - median(times.get('none')!)
  if (!times.has(theirs)) return
  const ratio = above(ours) / above(theirs)
  figure('overlays: docker run above no network, ratio to overlay', ratio)
  print(
    `\nabove no network: ${above(ours).toFixed(0)} ms to ${above(theirs).toFixed(0)} ms: ${ratio.toFixed(2)}\n`,
  )
}

function underlay(hosts: Pair): Path {
  const [a, b] = hosts
  return {
    name: 'underlay',
    client: (command) => a.inside('host', command),
    server: (command) => b.inside('host', command),
    address: b.address,
    hosts,
  }
}

/** A container of the network on each host. */
async function across({ label, name, hosts }: Network): Promise<Path> {
  if (label !== theirs) for (const host of hosts) await usable(host, name)
  const [client, server] = await Promise.all(hosts.map((host) => start(host, name)))
  return {
    name: label,
    client: (command) => hosts[0].inside(client!.pid, command),
    server: (command) => hosts[1].inside(server!.pid, command),
    address: server!.address,
    hosts,
  }
}

/** Waits until the network is there; a swarm's comes to a worker with its first container. */
async function usable(host: BenchHost, name: string): Promise<void> {
  const look = `until docker network inspect ${name} > /dev/null 2>&1; do sleep 0.1; done`
  await host.run(['sh', '-c', look])
}

interface Started {
  readonly pid: number
  readonly address: string
}

async function start(host: BenchHost, network: string): Promise<Started> {
  const name = `${network}-container`
  await docker(host, 'run', '-d', '--name', name, '--network', network, image, 'sleep', '86400')
  const format = '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const [pid, address] = (await docker(host, 'inspect', '-f', format, name)).split(' ')
  return { pid: Number(pid), address: address! }
}

/** What one makes with `ip` and `bridge`: no filter, the FDB by hand. */
async function handMade(hosts: Pair): Promise<Path> {
  const started: Started[] = []
  for (const host of hosts) started.push(await start(host, 'none'))
  for (const [i, host] of hosts.entries()) {
    const [own, other] = [i + 1, 2 - i]
    const { pid } = started[i]!
    // In a namespace, as an overlay's: Docker's firewall drops what bridges of the host forward.
    const script = `
      ip netns add hand
      ip link add hand type vxlan id 77 dstport 4799 local ${host.address} nolearning
      ip link set hand netns hand
      ip link add handport mtu 1450 netns hand type veth peer name eth0 address 02:00:00:00:00:0${own} mtu 1450 netns ${pid}
      there="ip -n hand link"
      $there add handbr type bridge
      $there set hand master handbr mtu 1450 up
      $there set handport master handbr up
      $there set handbr up
      ip netns exec hand bridge fdb append 02:00:00:00:00:0${other} dev hand dst ${hosts[1 - i]!.address}
      in="nsenter --net=/proc/${pid}/ns/net ip"
      $in addr add 10.40.0.${own}/24 dev eth0
      $in link set eth0 up
      $in neigh add 10.40.0.${other} lladdr 02:00:00:00:00:0${other} dev eth0`
    await host.run(['sh', '-euc', script])
  }
  return {
    name: 'VXLAN by hand',
    client: (command) => hosts[0].inside(started[0]!.pid, command),
    server: (command) => hosts[1].inside(started[1]!.pid, command),
    address: '10.40.0.2',
    hosts,
  }
}

/** Removes the containers of that network, and the network; without a name what was made by hand. */
async function clear(hosts: Pair, network?: string): Promise<void> {
  for (const host of hosts)
    await host.run([
      'sh',
      '-c',
      `docker rm -f ${network ?? 'none'}-container
      ${network === undefined ? 'ip netns del hand' : ''}`,
    ])
  if (network !== undefined) await docker(hosts[0], 'network', 'rm', network)
}

async function docker(host: BenchHost, ...words: readonly string[]): Promise<string> {
  return host.run(['docker', ...words])
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
        ...names.map((name) => {
          const all = samples.get(name)!.map((one) => one[key])
          const [least, most] = [Math.min(...all), Math.max(...all)]
          return `${value(name, key, how).toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`
        }),
      ]),
    ),
  )
  const plot = process.env['PLOT']
  if (plot !== undefined) writeFileSync(plot, plotOf(names, samples))
  if (!samples.has(theirs)) return
  const ratio = (key: keyof Sample, how: 'least' | 'median'): number =>
    value(ours, key, how) / value(theirs, key, how)
  const own = (name: string): number =>
    value(name, 'udpLeast', 'least') - value('underlay', 'udpLeast', 'least')
  const figures = {
    'overlays: least UDP time, ratio to overlay': ratio('udpLeast', 'least'),
    'overlays: least TCP time, ratio to overlay': ratio('tcpLeast', 'least'),
    'overlays: own cost over the underlay, ratio to overlay': own(ours) / own(theirs),
    'overlays: small packets, ratio to overlay': ratio('smallPackets', 'median'),
    'overlays: one TCP stream, ratio to overlay': ratio('oneStream', 'median'),
    'overlays: connections, ratio to overlay': ratio('connections', 'median'),
    'overlays: CPU for a gigabyte, ratio to overlay': ratio('cpuPerGigabyte', 'median'),
  }
  print('')
  for (const [name, number] of Object.entries(figures)) {
    figure(name, number)
    print(`${name}: ${number.toFixed(2)}`)
  }
}

function plotOf(names: readonly string[], samples: ReadonlyMap<string, readonly Sample[]>): string {
  const groups = columns.map(([key, name, unit]) => ({
    name,
    unit,
    values: names.map((path) => samples.get(path)!.map((one) => one[key])),
  }))
  return barPlot(`Containers on two hosts, ${rounds} rounds of ${seconds} s`, names, groups)
}
