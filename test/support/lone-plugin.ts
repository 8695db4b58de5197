import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { GossipTransport } from '../../src/cluster/gossip/gossip-transport.ts'
import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { Plugin } from '../../src/plugin.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { SealedHost } from '../../src/wiring/admission/sealed-host.ts'
import { identityStore } from '../../src/wiring/ports/identity-store.ts'
import { TurnClock } from './turn-clock.ts'

/** The whole plugin on a host that is alone, with a kernel and a disk in memory. */
export interface LonePlugin {
  readonly plugin: Plugin
  readonly dataplane: MemoryDataplane
  readonly store: MemoryStore
  readonly clock: TurnClock
}

/** A host that nobody else has ever heard of. */
const nobodyElse: GossipTransport = {
  maxPacketPayload: 1300,
  start: async () => {},
  join: async () => ({ contacted: 0, own: 0, errors: [] }),
  updateMeta: () => {},
  refresh: () => {},
  sendUnreliable: () => {},
  sendReliable: async (member) => {
    throw new Error(`there is no ${member}`)
  },
  leave: async () => {},
  close: async () => {},
}

const address = parseIp('192.0.2.1')!

/** Sockets that nothing comes from. */
const noSockets = {
  advertise: { address, port: 7946 },
  send: () => {},
  onPacket: () => {},
  dial: async () => {
    throw new Error('there is nobody')
  },
  onStream: () => {},
  close: async () => {},
}

/**
 * Builds and starts it, in the time of a TurnClock. A second call with the same parts is the host
 * after a crash.
 */
export async function startLonePlugin(
  parts: Omit<LonePlugin, 'plugin'> = {
    dataplane: new MemoryDataplane(),
    store: new MemoryStore(),
    clock: new TurnClock(),
  },
  {
    orphanGraceMs = 120_000,
    scope = 'local',
  }: { orphanGraceMs?: number; scope?: 'local' | 'global' } = {},
): Promise<LonePlugin> {
  const { dataplane, store, clock } = parts
  const sealed = await SealedHost.open({
    clock,
    random: systemRandom,
    name: 'alone',
    address,
    store: identityStore(store),
    inner: noSockets,
    token: null,
    join: [],
    rotationMs: 43_200_000,
  })
  const plugin = new Plugin(
    {
      sealed,
      dataplane,
      store,
      clock,
      random: systemRandom,
      logger: silentLogger,
      gossip: nobodyElse,
      problems: [],
    },
    {
      version: 'test',
      member: 'alone',
      vtep: address,
      vxlanPort: 4789,
      wireguardPort: 51_820,
      scope,
      seeds: [],
      pools: [{ cidr: parseCidr('10.128.0.0/9')!, length: 24 }],
      underlayMtu: null,
      auditIntervalMs: 30_000,
      voters: 5,
      forgetAfterMs: 72 * 3_600_000,
      orphanGraceMs,
    },
  )
  await plugin.start()
  return { plugin, dataplane, store, clock }
}
