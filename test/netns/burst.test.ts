import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Cluster } from '../../src/cluster/cluster.ts'
import { deltasOf } from '../../src/cluster/wire/delta-codec.ts'
import { oidOfName } from '../../src/cluster/log/digest.ts'
import { encodeFrame, encodeMessage } from '../../src/cluster/wire/frames.ts'
import type {
  GossipHooks,
  GossipTransport,
  JoinOutcome,
} from '../../src/cluster/gossip/gossip-transport.ts'
import { encodeMeta } from '../../src/cluster/wire/piggyback.ts'
import { OriginLog } from '../../src/cluster/log/origin-log.ts'
import { endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { encodeRecord } from '../../src/cluster/wire/record-type.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import type { Peer } from '../../src/dataplane/reconcile/peer-table.ts'
import { Reconciler } from '../../src/dataplane/reconcile/reconciler.ts'
import { type Ip, ipFromInteger } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import { peerTransitions } from '../../src/wiring/ports/peer-transitions.ts'
import { NetnsLab } from './netns-lab.ts'

/*
 * A burst of records: from the table of peers into the kernel, which is the data plane's part, and on its whole
 * way, with the messages as they come from the wire, the log and the transitions before that. How long it takes is
 * printed; what is asserted is processor time, the median of some rounds, since tests run on busy machines.
 */

const owners = 10
const recordsEach = 1000
const rounds = 7
const epoch = Date.UTC(2026, 0, 1)
const vni = 5001 as Vni
/** The size of one piece of a transfer. */
const maxBytes = 32 * 1024
/** As many as the cluster tells in one turn. */
const transitionsAtOnce = 500
/** Limits of processor time: of all, and of the longest turn of the event loop. */
interface Limits {
  readonly cpuMs: number
  readonly turnMs: number
}
/** Promised are 100 and 20. It takes 75 and 8 on a quiet machine, 107 and 11 with a dozen processes waiting for each processor. */
const dataplaneLimits: Limits = { cpuMs: 150, turnMs: 20 }
/** Likewise 130 to 175 and 12 to 17. */
const wholeLimits: Limits = { cpuMs: 260, turnMs: 30 }

const addressOf = (owner: number): Ip => `192.0.2.${10 + owner}` as Ip

/** The messages in which an owner tells all that it has. */
function messagesOf(owner: number): Uint8Array[] {
  const oid = oidOfName(`host-${owner}`)
  const log = new OriginLog(oid, epoch)
  for (let i = 0; i < recordsEach; i++) {
    const serial = owner * recordsEach + i
    const ip = ipFromInteger(BigInt(0x0a_00_00_02 + serial), 32)
    const endpointId = serial.toString(16).padStart(16, '0')
    const claimedAt = epoch / 1000 + i
    const kind = 'endpoint' as const
    const record = { kind, vni, endpointId, ips: [ip], mac: macOfIp(ip), claimedAt }
    const { id, value } = encodeRecord(endpointRecord, record)
    log.write(id, value, 0)
  }
  const ranges = [{ from: 0, to: log.head }]
  const deltas = deltasOf(log, ranges, { reset: null, repair: true, maxBytes })
  return [...deltas].map((delta) => encodeMessage(oid, [encodeFrame({ kind: 'delta', delta })]))
}

function peerAt(i: number): Peer {
  const ip = ipFromInteger(BigInt(0x0a_00_00_02 + i), 32)
  const owner = i % owners
  return {
    vni,
    origin: `host-${owner}`,
    endpointId: `endpoint-${i}`,
    ips: [ip],
    mac: macOfIp(ip),
    vtep: addressOf(owner),
    claimedAt: 1,
    live: true,
  }
}

/** A transport that hears only what the test says. */
class SilentGossip implements GossipTransport {
  readonly maxPacketPayload = 1350
  hooks: GossipHooks | null = null

  async start(hooks: GossipHooks): Promise<void> {
    this.hooks = hooks
  }

  async join(): Promise<JoinOutcome> {
    return { contacted: 0, own: 0, errors: [] }
  }

  updateMeta(): void {}
  sendUnreliable(): void {}
  async sendReliable(): Promise<void> {}
  async leave(): Promise<void> {}
  async close(): Promise<void> {}
}

async function listening(
  reconciler: Reconciler,
): Promise<{ cluster: Cluster; hooks: GossipHooks }> {
  const gossip = new SilentGossip()
  const cluster = new Cluster({
    name: 'us',
    address: '192.0.2.1' as Ip,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    gossip,
    records: [endpointRecord],
    epochStore: { load: () => undefined, save: async () => {} },
  })
  await cluster.start()
  await cluster.join([])
  cluster.onTransitions((batch) => reconciler.applyPeers(peerTransitions(batch)))
  const hooks = gossip.hooks!
  for (let owner = 0; owner < owners; owner++) {
    const host = addressOf(owner)
    const meta = encodeMeta({ epoch, address: host })
    hooks.onMember({ name: `host-${owner}`, host, port: 7946, state: 'alive', meta })
  }
  return { cluster, hooks }
}

/** Runs `work`; the processor time of all, and of each turn of the event loop meanwhile. */
async function measured(work: () => Promise<void>): Promise<{ wall: number; turns: number[] }> {
  const turns: number[] = []
  let used = process.threadCpuUsage()
  let isOver = false
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(used)
    turns.push((user + system) / 1000)
    used = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  const start = performance.now()
  await work()
  isOver = true
  return { wall: performance.now() - start, turns }
}

function quantile(list: readonly number[], share: number): number {
  const sorted = list.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

const obstacle = NetnsLab.obstacle()

describe('a burst of records', function () {
  this.timeout(60_000)

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`burst of records skipped: ${obstacle}\n`)
    this.skip()
  })

  it('brings 10,000 peers from the table into the kernel, and leaves the event loop free', async () => {
    const peers = Array.from({ length: owners * recordsEach }, (_, i) => peerAt(i))
    await inLab(async (dataplane) => {
      const figures = new Figures('10,000 peers from the table into the kernel')
      for (let round = 0; round < rounds; round++) {
        const reconciler = await attached(dataplane)
        figures.add(
          await measured(async () => {
            for (let i = 0; i < peers.length; i += transitionsAtOnce) {
              const batch = peers.slice(i, i + transitionsAtOnce)
              reconciler.applyPeers(batch.map((next) => ({ previous: null, next })))
              await new Promise(setImmediate)
            }
            await allThere(reconciler)
          }),
        )
        await expectAll(dataplane)
        await reconciler.stop()
        await dataplane.removeOverlay('burst')
      }
      figures.check(dataplaneLimits)
    })
  })

  it('and 10,000 records from the wire on', async () => {
    const arriving = Array.from({ length: owners }, (_, owner) => messagesOf(owner)).flat()
    await inLab(async (dataplane) => {
      const figures = new Figures('10,000 records from the wire into the kernel')
      for (let round = 0; round < rounds; round++) {
        const reconciler = await attached(dataplane)
        const { cluster, hooks } = await listening(reconciler)
        figures.add(
          await measured(async () => {
            for (const message of arriving) {
              hooks.onMessage(message)
              await new Promise(setImmediate)
            }
            await allThere(reconciler)
          }),
        )
        await expectAll(dataplane)
        await cluster.close()
        await reconciler.stop()
        await dataplane.removeOverlay('burst')
      }
      figures.check(wholeLimits)
    })
  })
})

/** Runs `work` with the data plane of a host of its own. */
async function inLab(work: (dataplane: LinuxDataplane) => Promise<void>): Promise<void> {
  const lab = await NetnsLab.create()
  const hostNetns = await lab.namespace('host')
  await lab.run(hostNetns, 'ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'lo')
  const directory = lab.folder('pins')
  const dataplane = new LinuxDataplane({ directory, logger: silentLogger, hostNetns })
  try {
    await dataplane.start()
    await work(dataplane)
  } finally {
    await dataplane.close()
    lab.close()
  }
}

/** A reconciler with the overlay, of which nobody is known yet. */
async function attached(dataplane: LinuxDataplane): Promise<Reconciler> {
  const reconciler = new Reconciler({ dataplane, clock: systemClock, logger: silentLogger })
  await reconciler.attachOverlay({
    overlayId: 'burst',
    vni,
    mtu: 1450,
    vtep: '192.0.2.1' as Ip,
    port: 4789,
    gateways: ['10.0.0.1/8'],
  })
  return reconciler
}

/** Waits until everything is in the kernel. */
async function allThere(reconciler: Reconciler): Promise<void> {
  for (;;) {
    const [overlay] = reconciler.status().overlays
    if (overlay!.settled && overlay!.peers === owners * recordsEach) return
    await new Promise(setImmediate)
  }
}

async function expectAll(dataplane: LinuxDataplane): Promise<void> {
  const { fdb, neighbours } = (await dataplane.dump('burst'))!
  expect(fdb).to.have.length(owners * recordsEach)
  expect(neighbours).to.have.length(owners * recordsEach)
}

/** What the rounds took. */
class Figures {
  readonly #what: string
  readonly #walls: number[] = []
  readonly #cpus: number[] = []
  readonly #turns: number[] = []

  constructor(what: string) {
    this.#what = what
  }

  add({ wall, turns }: { wall: number; turns: readonly number[] }): void {
    this.#walls.push(wall)
    this.#cpus.push(turns.reduce((sum, ms) => sum + ms, 0))
    this.#turns.push(
      quantile(
        turns.filter((ms) => ms >= 1),
        0.99,
      ),
    )
  }

  /** Prints the medians, and fails when they are too much. */
  check({ cpuMs, turnMs }: Limits): void {
    const [wall, cpu, turn] = [this.#walls, this.#cpus, this.#turns].map((list) =>
      quantile(list, 0.5),
    )
    process.stdout.write(
      `    ${this.#what}: median ${wall!.toFixed(0)} ms, ${cpu!.toFixed(0)} ms of CPU;` +
        ` turns of 1 ms or more: p99 ${turn!.toFixed(1)} ms of CPU\n`,
    )
    expect(cpu, 'ms of CPU').to.be.at.most(cpuMs)
    expect(turn, 'ms of a turn, p99').to.be.at.most(turnMs)
  }
}
