/**
 * Traffic between two hosts that are namespaces: past the bridge, by the bridge, over a VXLAN made
 * by hand, and over the underlay alone, taking turns.
 *
 *     node --conditions=source bench/paths.ts        as root; ROUNDS=5 SECONDS=2
 */
import { LabUnderlay, type LabHost } from '../test/netns/lab-host.ts'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import type { Ip } from '../src/net/ip.ts'
import { figure, print, table } from './figures.ts'
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
const seconds = Number(process.env['SECONDS'] ?? 2)

const obstacle = NetnsLab.obstacle() ?? (await missingTools())
if (obstacle !== null) {
  process.stdout.write(`paths not measured: ${obstacle}\n`)
  process.exit(0)
}
const lab = await NetnsLab.create()
const hosts: LabHost[] = []
const alive = setInterval(() => {}, 1000)
try {
  const underlay = await LabUnderlay.create(lab)
  for (let i = 0; i < 4; i++) hosts.push(await underlay.addHost(1500, i < 2))
  const [a, b, c, d] = hosts as [LabHost, LabHost, LabHost, LabHost]
  const byHand = await vxlanByHand(a, b)
  const paths: Path[] = [
    { name: 'underlay', client: inside(a.netns), server: inside(b.netns), address: b.vtep },
    await overlay('fast path', a, b, 5001),
    await overlay('bridge', c, d, 5002),
    byHand,
  ]
  show(await takeTurns(paths, { rounds, seconds }))
} finally {
  clearInterval(alive)
  for (const host of hosts) await host.close()
  lab.close()
}

/** Runs a command in the namespace. */
function inside(netns: string): Path['client'] {
  return (command) => ['nsenter', `--net=${netns}`, ...command]
}

/** An overlay of two hosts with a container on each, as the plugin makes it. */
async function overlay(name: string, near: LabHost, far: LabHost, vni: number): Promise<Path> {
  const ends = [
    { host: near, ip: '10.30.0.10' as Ip },
    { host: far, ip: '10.30.0.11' as Ip },
  ]
  const containers = []
  for (const { host, ip } of ends) {
    const links = await host.links(name, vni)
    await host.dataplane.ensureOverlay(links)
    containers.push(await host.startContainer(links, ip))
  }
  const [client, server] = containers
  await near.learn(server!, far.vtep)
  await far.learn(client!, near.vtep)
  return {
    name,
    client: inside(client!.netns),
    server: inside(server!.netns),
    address: server!.ip,
  }
}

/** What one makes with `ip` and `bridge`: no filter, the FDB by hand. */
async function vxlanByHand(near: LabHost, far: LabHost): Promise<Path> {
  const ends = [near, far]
  const containers: string[] = []
  const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02']
  for (const [i, host] of ends.entries()) {
    const other = 1 - i
    const container = await lab.namespace(`by-hand-${i}`)
    const ip = (...command: string[]) => lab.run(host.netns, 'ip', ...command)
    const inside = (...command: string[]) => lab.run(container, 'ip', ...command)
    const id = ['id', '77', 'dstport', '4799', 'local', host.vtep, 'nolearning']
    await ip('link', 'add', 'hand', 'type', 'vxlan', ...id)
    await ip('link', 'add', 'handbr', 'type', 'bridge')
    await ip('link', 'set', 'hand', 'master', 'handbr', 'mtu', '1450', 'up')
    const peer = ['peer', 'name', 'eth0', 'address', macs[i]!, 'mtu', '1450', 'netns', container]
    await ip('link', 'add', 'handport', 'mtu', '1450', 'type', 'veth', ...peer)
    await ip('link', 'set', 'handport', 'master', 'handbr', 'up')
    await ip('link', 'set', 'handbr', 'up')
    const row = [macs[other]!, 'dev', 'hand', 'dst', ends[other]!.vtep]
    await lab.run(host.netns, 'bridge', 'fdb', 'append', ...row)
    await inside('addr', 'add', `10.40.0.1${i}/24`, 'dev', 'eth0')
    await inside('link', 'set', 'eth0', 'up')
    await inside('neigh', 'add', `10.40.0.1${other}`, 'lladdr', macs[other]!, 'dev', 'eth0')
    containers.push(container)
  }
  for (const { netns } of ends) await lab.forwarding(netns)
  const [client, server] = containers.map(inside)
  return { name: 'VXLAN by hand', client: client!, server: server!, address: '10.40.0.11' }
}

function show(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const value = (name: string, key: keyof Sample, how: 'least' | 'median'): number =>
    (how === 'least' ? leastOf : medianOf)(samples.get(name)!, key)
  const names = [...samples.keys()]
  print(
    table(
      [`${rounds} rounds of ${seconds} s, in turn`, ...names],
      columns.map(([key, what, unit, how]) => [
        `${what}, ${unit}`,
        ...names.map((name) => value(name, key, how).toFixed(2)),
      ]),
    ),
  )
  const ratio = (key: keyof Sample, how: 'least' | 'median'): number =>
    value('fast path', key, how) / value('bridge', key, how)
  const own = (name: string): number =>
    value(name, 'udpLeast', 'least') - value('underlay', 'udpLeast', 'least')
  figure('paths: least one-way time, fast path to bridge', ratio('udpLeast', 'least'))
  figure('paths: own cost over the underlay, fast path to bridge', own('fast path') / own('bridge'))
  figure('paths: small packets, fast path to bridge', ratio('smallPackets', 'median'))
  figure('paths: one TCP stream, fast path to bridge', ratio('oneStream', 'median'))
  print(
    `\nfast path to bridge: least UDP ${ratio('udpLeast', 'least').toFixed(2)}, own cost ` +
      `${(own('fast path') / own('bridge')).toFixed(2)}, small packets ` +
      `${ratio('smallPackets', 'median').toFixed(2)}, one stream ${ratio('oneStream', 'median').toFixed(2)}`,
  )
}
