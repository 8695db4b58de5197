/**
 * How long the data plane takes, against the kernel of this machine: `node --conditions=source
 * bench/dataplane.ts` as root. Everything is made in namespaces of its own and removed at the end.
 */
import { systemClock } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import type { OverlayLinks } from '../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../src/dataplane/linux/linux-dataplane.ts'
import type { Peer } from '../src/net/endpoint.ts'
import type { PeerTransition } from '../src/peers/peers.ts'
import { PeeredReconciler } from '../test/support/peered-reconciler.ts'
import { type Ip, ipFromInteger, ipToInteger } from '../src/net/ip.ts'
import { macOfIp } from '../src/net/mac.ts'
import type { Vni } from '../src/net/vni.ts'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import { endpointLink } from '../test/support/endpoint-link.ts'

const peersCount = 10_000
const endpointsCount = 100
const rounds = 7
const recordsAtOnce = 500

const vni = 5001 as Vni
const links: OverlayLinks = {
  overlayId: 'bench',
  vni,
  mtu: 1450,
  vtep: '192.0.2.1' as Ip,
  port: 4789,
  gateways: ['10.0.0.1/8'],
}

const addressAt = (offset: number): Ip =>
  ipFromInteger(ipToInteger('10.0.0.2' as Ip) + BigInt(offset), 32)

function peerAt(i: number, vtep: Ip): Peer {
  const ip = addressAt(i)
  return {
    vni,
    origin: `member-${i % 200}`,
    endpointId: `endpoint-${i}`,
    ips: [ip],
    mac: macOfIp(ip),
    vtep,
    claimedAt: 1,
    live: true,
  }
}

interface Row {
  readonly what: string
  readonly wall: number[]
  /** Of this process, in and out of the kernel: says more than the wall's on a busy machine. */
  readonly cpu: number[]
}

const rows: Row[] = []

/** Times `work` under the name `what`. */
async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const [start, used] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const took = performance.now() - start
  const { user, system } = process.cpuUsage(used)
  let row = rows.find((other) => other.what === what)
  if (row === undefined) {
    row = { what, wall: [], cpu: [] }
    rows.push(row)
  }
  row.wall.push(took)
  row.cpu.push((user + system) / 1000)
  return result
}

async function endpoints(dataplane: LinuxDataplane): Promise<void> {
  const ids = Array.from({ length: endpointsCount }, (_, i) => i)
  for (const i of ids) {
    const link = endpointLink(`local-${i}`, macOfIp(addressAt(1_000_000 + i)))
    await timed('ensureEndpoint, new', () => dataplane.ensureEndpoint('bench', link))
    await timed('ensureEndpoint, there', () => dataplane.ensureEndpoint('bench', link))
  }
  for (const i of ids.slice(0, 20))
    await timed('removeEndpoint', () => dataplane.removeEndpoint('bench', `local-${i}`))
  for (let round = 0; round < rounds; round++)
    await timed(`dump, ${endpointsCount - 20} endpoints`, () => dataplane.dump('bench'))
}

async function peers(dataplane: LinuxDataplane): Promise<void> {
  const first = Array.from({ length: peersCount }, (_, i) => peerAt(i, '192.0.2.2' as Ip))
  const second = first.map((peer) => ({ ...peer, vtep: '192.0.2.3' as Ip }))
  const arriving = first.map((next) => ({ previous: null, next }))
  const moving = first.map((previous, i) => ({ previous, next: second[i]! }))
  const leaving = second.map((previous) => ({ previous, next: null }))
  for (let round = 0; round < rounds; round++) {
    const reconciler = new PeeredReconciler({ dataplane, clock: systemClock, logger: silentLogger })
    await timed('10,000 peers: table only', () => feed(reconciler, arriving))
    await timed('10,000 peers: attachOverlay', () => reconciler.attachOverlay(links))
    await timed('10,000 peers: attachOverlay again', () => reconciler.attachOverlay(links))
    await timed('10,000 peers: audit, nothing wrong', () => reconciler.audit())
    await timed('10,000 peers: all move, until in the kernel', async () => {
      await feed(reconciler, moving)
      await settled(reconciler)
    })
    await timed('1 peer moves, until in the kernel', async () => {
      await feed(reconciler, [{ previous: second[0]!, next: first[0]! }])
      await settled(reconciler)
    })
    await timed('10,000 peers: all go, until gone', async () => {
      await feed(reconciler, leaving)
      await settled(reconciler)
    })
    await reconciler.stop()
  }
}

/** As records arrive: some at a time. */
async function feed(reconciler: PeeredReconciler, transitions: PeerTransition[]): Promise<void> {
  for (let at = 0; at < transitions.length; at += recordsAtOnce) {
    reconciler.applyPeers(transitions.slice(at, at + recordsAtOnce))
    await new Promise(setImmediate)
  }
}

async function settled(reconciler: PeeredReconciler): Promise<void> {
  do await new Promise(setImmediate)
  while (!reconciler.status().overlays.every((overlay) => overlay.settled))
}

function print(): void {
  const line = (cells: readonly string[]): string =>
    `| ${cells[0]!.padEnd(44)} | ${cells
      .slice(1)
      .map((cell) => cell.padStart(10))
      .join(' | ')} |\n`
  process.stdout.write(line(['ms', 'runs', 'min', 'median', 'max', 'median CPU']))
  process.stdout.write(line(['---', '--:', '--:', '--:', '--:', '--:']))
  for (const { what, wall, cpu } of rows) {
    const cells = [0, 0.5, 1].map((share) => quantile(wall, share))
    process.stdout.write(line([what, String(wall.length), ...cells, quantile(cpu, 0.5)]))
  }
}

function quantile(times: readonly number[], share: number): string {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2)
}

/**
 * The processor time of each turn of the event loop while it watches: how long others have to wait.
 */
class Turns {
  readonly #ms: number[] = []
  #isOver = false
  #used = process.threadCpuUsage()

  constructor() {
    setImmediate(this.#turn)
  }

  /** Stops watching and tells. */
  print(): void {
    this.#isOver = true
    const long = this.#ms.filter((ms) => ms >= 1)
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(long, share))
    process.stdout.write(
      `turns of the event loop of 1 ms or more while peers came and went, ms of CPU: ${long.length} turns, ` +
        `median ${p50}, p99 ${p99}, max ${max}\n`,
    )
  }

  readonly #turn = (): void => {
    const { user, system } = process.threadCpuUsage(this.#used)
    this.#ms.push((user + system) / 1000)
    this.#used = process.threadCpuUsage()
    if (!this.#isOver) setImmediate(this.#turn)
  }
}

const obstacle = NetnsLab.obstacle()
if (obstacle !== null) {
  process.stdout.write(`data plane not measured: ${obstacle}\n`)
  process.exit(0)
}
const lab = await NetnsLab.create()
const directory = lab.folder('pins')
const hostNetns = await lab.namespace('host')
await lab.run(hostNetns, 'ip', 'addr', 'add', `${links.vtep}/24`, 'dev', 'lo')
// The clock's timers keep no process alive.
const alive = setInterval(() => {}, 1000)
try {
  const dataplane = new LinuxDataplane({ directory, logger: silentLogger, hostNetns })
  await timed('start', () => dataplane.start())
  for (let round = 0; round < rounds; round++) {
    await timed('ensureOverlay, new', () => dataplane.ensureOverlay(links))
    await timed('ensureOverlay, there', () => dataplane.ensureOverlay(links))
    await timed('removeOverlay', () => dataplane.removeOverlay('bench'))
  }
  await dataplane.ensureOverlay(links)
  await endpoints(dataplane)
  await peers(dataplane)
  await timed(`removeOverlay, ${endpointsCount - 20} endpoints`, () =>
    dataplane.removeOverlay('bench'),
  )
  print()
  await dataplane.ensureOverlay(links)
  const turns = new Turns()
  await peers(dataplane)
  turns.print()
  await dataplane.removeOverlay('bench')
  await dataplane.close()
} finally {
  clearInterval(alive)
  lab.close()
}
