/**
 * A host in a namespace that 10,000 records of others reach at once, for the test and for the
 * figures of `bench/`.
 */
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Cluster } from '../../src/cluster/cluster.ts'
import { deltasOf } from '../../src/cluster/sync/packing.ts'
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
import type { Peer } from '../../src/net/endpoint.ts'
import { PeeredReconciler } from '../support/peered-reconciler.ts'
import { type Ip, ipFromInteger } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import { NetnsLab } from './netns-lab.ts'

const owners = 10
const recordsEach = 1000
export const recordsInBurst = owners * recordsEach
const epoch = Date.UTC(2026, 0, 1)
const vni = 5001 as Vni
/** The size of one piece of a transfer. */
const maxBytes = 32 * 1024
/** As many as the cluster tells in one turn. */
const transitionsAtOnce = 500

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
  refresh(): void {}
  sendUnreliable(): void {}
  async sendReliable(): Promise<void> {}
  async leave(): Promise<void> {}
  async close(): Promise<void> {}
}

async function listening(
  reconciler: PeeredReconciler,
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
  cluster.onTransitions((batch) => reconciler.peersChanged(reconciler.peers.applyRecords(batch)))
  const hooks = gossip.hooks!
  for (let owner = 0; owner < owners; owner++) {
    const host = addressOf(owner)
    const meta = encodeMeta({ epoch, address: host })
    hooks.onMember({ name: `host-${owner}`, host, port: 7946, state: 'alive', meta })
  }
  return { cluster, hooks }
}

/** Runs `work` with the data plane of a host of its own. */
export async function withDataplane(
  work: (dataplane: LinuxDataplane) => Promise<void>,
): Promise<void> {
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
async function attached(dataplane: LinuxDataplane): Promise<PeeredReconciler> {
  const reconciler = new PeeredReconciler({ dataplane, clock: systemClock, logger: silentLogger })
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
async function allThere(reconciler: PeeredReconciler): Promise<void> {
  for (;;) {
    const [overlay] = reconciler.status().overlays
    if (overlay!.settled && overlay!.peers === recordsInBurst) return
    await new Promise(setImmediate)
  }
}

/**
 * A burst that is about to come: `run` ends when all of it is in the kernel's tables of overlay
 * `burst`.
 */
export interface Burst {
  run(): Promise<void>
  end(): Promise<void>
}

/** The same records as transitions of peers, and as messages from the wire. */
export const bursts: Readonly<Record<string, (dataplane: LinuxDataplane) => Promise<Burst>>> = {
  '10,000 peers from the table into the kernel': async (dataplane) => {
    const peers = Array.from({ length: recordsInBurst }, (_, i) => peerAt(i))
    const reconciler = await attached(dataplane)
    const run = async (): Promise<void> => {
      for (let i = 0; i < peers.length; i += transitionsAtOnce) {
        const batch = peers.slice(i, i + transitionsAtOnce)
        reconciler.applyPeers(batch.map((next) => ({ previous: null, next })))
        await new Promise(setImmediate)
      }
      await allThere(reconciler)
    }
    return { run, end: () => endOf(dataplane, reconciler) }
  },

  '10,000 records from the wire into the kernel': async (dataplane) => {
    const arriving = Array.from({ length: owners }, (_, owner) => messagesOf(owner)).flat()
    const reconciler = await attached(dataplane)
    const { cluster, hooks } = await listening(reconciler)
    const run = async (): Promise<void> => {
      for (const message of arriving) {
        hooks.onMessage(message)
        await new Promise(setImmediate)
      }
      await allThere(reconciler)
    }
    return { run, end: () => cluster.close().then(() => endOf(dataplane, reconciler)) }
  },
}

async function endOf(dataplane: LinuxDataplane, reconciler: PeeredReconciler): Promise<void> {
  await reconciler.stop()
  await dataplane.removeOverlay('burst')
}
