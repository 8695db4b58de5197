/**
 * What encryption costs: a plain overlay, an encrypted one, and a plain one whose VXLAN is under
 * ESP as Docker's `--opt encrypted` has it (transport mode, AES-GCM with a tag of 64 bits), each
 * between two hosts that are namespaces. They take turns within one run. Needs iperf3 and a kernel
 * with WireGuard; on a stock kernel in an emulated machine the ratios are those of the emulation:
 *
 *     node --conditions=source bench/encryption.ts        as root; ROUNDS=5 SECONDS=2
 *     test/kernels/vm run 6.1 node_modules/.bin/node --conditions=source bench/encryption.ts
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { OverlayLinks } from '../src/dataplane/dataplane.ts'
import { newWireGuardKeys } from '../src/dataplane/reconcile/key-rotation.ts'
import type { Ip } from '../src/net/ip.ts'
import { withoutWireGuard } from '../test/kernels/without-wireguard.ts'
import { type LabContainer, type LabHost, LabUnderlay } from '../test/netns/lab-host.ts'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import { figure, median, print, spread, table } from './figures.ts'

const rounds = Number(process.env['ROUNDS'] ?? 5)
const seconds = Number(process.env['SECONDS'] ?? 2)

type Ends<T> = readonly [near: T, far: T]

interface Way {
  readonly name: string
  readonly mtu: number
  readonly containers: Ends<LabContainer>
}

const obstacle = NetnsLab.obstacle() ?? withoutWireGuard() ?? (await withoutIperf())
if (obstacle === null) await main()
else print(`encryption not measured: ${obstacle}`)

async function withoutIperf(): Promise<string | null> {
  return (await execa('iperf3', ['--version'], { reject: false })).failed ? 'no iperf3' : null
}

async function main(): Promise<void> {
  const lab = await NetnsLab.create()
  const hosts: LabHost[] = []
  const alive = setInterval(() => {}, 1000)
  try {
    const underlay = await LabUnderlay.create(lab)
    for (let i = 0; i < 4; i++) hosts.push(await underlay.addHost())
    const [a, b, c, d] = hosts as [LabHost, LabHost, LabHost, LabHost]
    await encrypt([a, b])
    await addEsp(lab, [c, d])
    const ways = [
      await overlay(lab, 'plain', 5001, [a, b], {}),
      await overlay(lab, 'WireGuard', 5002, [a, b], { encrypted: true, mtu: 1390 }),
      await overlay(lab, 'ESP, AES-GCM', 5003, [c, d], { mtu: 1424 }),
    ]
    show(ways, await takeTurns(ways))
  } finally {
    clearInterval(alive)
    for (const host of hosts) await host.close()
    lab.close()
  }
}

/** Two hosts that are WireGuard peers of each other. */
async function encrypt(ends: Ends<LabHost>): Promise<void> {
  const keys = ends.map(() => newWireGuardKeys())
  for (const [i, { dataplane, vtep }] of ends.entries())
    await dataplane.wireGuard.ensure({ ...keys[i]!, listenPort: 51_820, vtep, mtu: 1440 })
  for (const [i, { dataplane }] of ends.entries()) {
    const { vtep } = ends[1 - i]!
    const { publicKey } = keys[1 - i]!
    const endpoint = { ip: vtep, port: 51_820 }
    const shared = { presharedKey: null, keepaliveSeconds: 0 }
    await dataplane.wireGuard.setPeers(() => [{ publicKey, endpoint, vtep, ...shared }])
  }
}

/** States and policies for what goes to the port of VXLAN between two hosts, both ways. */
async function addEsp(lab: NetnsLab, ends: Ends<LabHost>): Promise<void> {
  const key = `0x${Buffer.alloc(20, 7).toString('hex')}`
  for (const [i, { netns, vtep }] of ends.entries()) {
    const other = ends[1 - i]!.vtep
    const ways = [
      { direction: 'out', from: vtep, to: other, spi: 0x101 + i },
      { direction: 'in', from: other, to: vtep, spi: 0x102 - i },
    ]
    const script = ways.flatMap(({ direction, from, to, spi }) => [
      `ip xfrm state add src ${from} dst ${to} proto esp spi ${spi} reqid 7 mode transport ` +
        `replay-window 128 flag esn aead 'rfc4106(gcm(aes))' ${key} 64`,
      `ip xfrm policy add src ${from} dst ${to} proto udp dport 4789 dir ${direction} ` +
        `tmpl src ${from} dst ${to} proto esp reqid 7 mode transport`,
    ])
    await lab.run(netns, 'sh', '-euc', script.join('\n'))
  }
}

async function overlay(
  lab: NetnsLab,
  name: string,
  vni: number,
  ends: Ends<LabHost>,
  how: Partial<OverlayLinks>,
): Promise<Way> {
  const containers: LabContainer[] = []
  let mtu = 0
  for (const [i, host] of ends.entries()) {
    const links = { ...(await host.links(name, vni)), ...how }
    mtu = links.mtu
    await host.dataplane.ensureOverlay(links)
    containers.push(await host.startContainer(links, `10.30.${vni - 5000}.${10 + i}` as Ip))
  }
  for (const [i, host] of ends.entries()) await host.learn(containers[1 - i]!, ends[1 - i]!.vtep)
  const [near, far] = containers as [LabContainer, LabContainer]
  // The first one may be lost to a handshake.
  await lab.ping(near.netns, far.ip)
  if (!(await lab.ping(near.netns, far.ip, mtu)))
    throw new Error(`${name}: a packet of ${mtu} bytes does not pass`)
  return { name, mtu, containers: [near, far] }
}

/** Megabits a second of one TCP stream, by way. */
async function takeTurns(ways: readonly Way[]): Promise<Map<Way, number[]>> {
  const rates = new Map(ways.map((way) => [way, [] as number[]]))
  for (let round = 0; round < rounds; round++)
    for (const way of round % 2 === 0 ? ways : ways.toReversed())
      rates.get(way)!.push(await streamRate(way.containers))
  return rates
}

async function streamRate([near, far]: Ends<LabContainer>): Promise<number> {
  const server = execa('nsenter', [`--net=${far.netns}`, 'iperf3', '--server', '--one-off'])
  for (let attempt = 0; ; attempt++) {
    await sleep(500)
    const client = ['iperf3', '--json', '--time', String(seconds), '--client', far.ip]
    const ran = await execa('nsenter', [`--net=${near.netns}`, ...client], { reject: false })
    if (ran.failed && attempt < 20) continue
    await server
    const { end } = JSON.parse(ran.stdout) as { end: { sum_received: { bits_per_second: number } } }
    return end.sum_received.bits_per_second / 1e6
  }
}

function show(ways: readonly Way[], rates: ReadonlyMap<Way, readonly number[]>): void {
  const plain = median(rates.get(ways[0]!)!)
  const rows = ways.map((way) => {
    const own = rates.get(way)!
    const ratio = median(own) / plain
    figure(`encryption: one TCP stream, ${way.name} to plain`, ratio)
    return [way.name, String(way.mtu), spread(own, 'Mb/s'), ratio.toFixed(3)]
  })
  print(table([`${rounds} rounds of ${seconds} s`, 'MTU', 'TCP, 1 stream', 'to plain'], rows))
}
