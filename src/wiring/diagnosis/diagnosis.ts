import { attempt, refusal } from '../../base/errors.ts'
import type { Json } from '../../cluster/requests.ts'
import type { KernelFeatures } from '../../dataplane/dataplane.ts'
import type { EngineStatus } from '../../engine-client/engine.ts'
import type { HostFacts } from '../../host/facts.ts'
import { parseIp } from '../../net/ip.ts'
import {
  type PingSeries,
  type TunnelPing,
  pingSeries,
  pingTunnel,
} from '../../paths/tunnel-ping.ts'
import type { PluginOptions, PluginPorts } from '../ports/plugin-ports.ts'
import type { Rooms } from '../rooms.ts'
import { GossipPing } from './gossip-ping.ts'
import { type HostSnapshot, type SnapshotQuery, snapshotOf } from './snapshot.ts'

/*
 * What a person asks when something is wrong: echoes of a member on all ways, what the kernels of
 * two hosts have for two addresses, and what of each host limits or breaks overlays. It reads, and
 * judges nothing: the command line does. Members ask each other over gossip's channel.
 */

const channel = 'diagnosis'
const askTimeoutMs = 3000
/** Addresses of one question. */
const maxIps = 16
/** Overlays that are probed, of those that are shared with a member. */
const maxProbed = 4

/** What probes of a member have shown, by way. */
export interface PingReport {
  readonly member: string
  readonly address: string
  /** As gossip has it. */
  readonly state: string
  readonly gossip: { readonly udp: PingSeries; readonly tcp: PingSeries }
  /** Through the tunnels of overlays that are shared; not those that are encrypted. */
  readonly vxlan: readonly TunnelPing[]
}

/** What of a host limits or breaks overlays. */
interface HostReport {
  readonly member: string
  readonly version: string
  /** Milliseconds since the Unix epoch, by its clock. */
  readonly wallMs: number
  readonly features: KernelFeatures
  readonly facts: HostFacts | null
  /** Bytes; null when it cannot be measured. */
  readonly underlayMtu: number | null
  readonly vxlanPort: number
  readonly networks: readonly {
    readonly overlayId: string
    readonly mtu: number
    readonly endpoints: number
    readonly peers: number
  }[]
  /** Overlays that the kernel has and no network needs. */
  readonly leftovers: readonly string[]
  readonly engine: EngineStatus | null
}

/** A report, and how far the host's clock is from this one's. */
export interface AskedHost extends HostReport {
  /** Positive when it is ahead, ms. */
  readonly skewMs: number
  /** How far off `skewMs` may be: half of the time that the question took, ms. */
  readonly skewErrorMs: number
}

export class Diagnosis {
  readonly #rooms: Rooms
  readonly #ports: PluginPorts
  readonly #options: PluginOptions
  readonly #gossip: GossipPing

  constructor(rooms: Rooms, ports: PluginPorts, options: PluginOptions) {
    this.#rooms = rooms
    this.#ports = ports
    this.#options = options
    this.#gossip = new GossipPing(ports.clock, rooms.cluster.requests, ports.random.uint32())
    rooms.cluster.handle(channel, async (_from, body) => {
      const query = queryIn(body)
      return (query === null
        ? await this.#report()
        : await this.#snapshot(query)) as unknown as Json
    })
  }

  /** Probes a member by gossip's datagrams and streams and through tunnels; takes some seconds. */
  async ping(name: string): Promise<PingReport> {
    const { clock } = this.#ports
    const { cluster, paths } = this.#rooms
    const member = cluster.members().find((known) => known.name === name && !known.self)
    if (member === undefined)
      throw refusal('MEMBER_UNKNOWN', `the cluster has no other member "${name}"`)
    const gossip = (way: 'packet' | 'stream') =>
      pingSeries(clock, () => this.#gossip.probe(name, way))
    const targets = (paths?.to(name) ?? []).slice(0, maxProbed)
    const [udp, tcp, ...vxlan] = await Promise.all([
      gossip('packet'),
      gossip('stream'),
      ...targets.map((target) => pingTunnel(clock, paths!.probe.bind(paths), target)),
    ])
    const { address, state } = member
    return { member: name, address, state, gossip: { udp, tcp }, vxlan }
  }

  /** What two hosts have for some addresses, by member; null of one that does not answer. */
  async snapshots(
    members: readonly string[],
    overlayId: string,
    ips: readonly string[],
  ): Promise<Record<string, HostSnapshot | null>> {
    const answers = members.map(async (member) => {
      const other = members.find((name) => name !== member) ?? null
      const body = { overlayId, ips: ips.slice(0, maxIps), other }
      return [member, (await this.#ask(member, body)) as HostSnapshot | null] as const
    })
    return Object.fromEntries(await Promise.all(answers))
  }

  /** What all live members report of their hosts; null of one that does not answer. */
  async hosts(): Promise<Record<string, AskedHost | null>> {
    const { clock } = this.#ports
    const live = this.#rooms.cluster.members().filter(({ state }) => state === 'alive')
    const answers = live.map(async ({ name }) => {
      const [askedMs, before] = [clock.wall(), clock.now()]
      const report = (await this.#ask(name, {})) as HostReport | null
      if (report === null) return [name, null] as const
      const skewErrorMs = (clock.now() - before) / 2
      const skewMs = report.wallMs - askedMs - skewErrorMs
      return [name, { ...report, skewMs: Math.round(skewMs), skewErrorMs }] as const
    })
    return Object.fromEntries(await Promise.all(answers))
  }

  #ask(member: string, body: Json): Promise<unknown> {
    const ask = () =>
      this.#rooms.cluster.request(member, channel, body, { timeoutMs: askTimeoutMs })
    return attempt<unknown, null>(ask, () => null)
  }

  #snapshot(query: SnapshotQuery): Promise<HostSnapshot> {
    const { dataplane } = this.#ports
    return snapshotOf({ rooms: this.#rooms, dataplane, options: this.#options }, query)
  }

  async #report(): Promise<HostReport> {
    const { clock, dataplane, engine, hostFacts } = this.#ports
    const { member, version, vtep, vxlanPort } = this.#options
    const { reconciler, driver } = this.#rooms
    const wanted = new Set(driver.networks().map(({ overlayId }) => overlayId))
    const underlayMtu = await attempt(
      () => dataplane.underlayMtu(vtep),
      () => null,
    )
    const leftovers = (await reconciler.overlays()).filter((overlayId) => !wanted.has(overlayId))
    return {
      member,
      version,
      wallMs: clock.wall(),
      features: await dataplane.features(),
      facts: (await hostFacts?.()) ?? null,
      underlayMtu,
      vxlanPort,
      networks: reconciler.status().overlays.map(({ overlayId, mtu, endpoints, peers }) => {
        return { overlayId, mtu, endpoints, peers }
      }),
      leftovers,
      engine: engine?.status() ?? null,
    }
  }
}

/** A question about addresses; null for one about the host. */
function queryIn(body: Json): SnapshotQuery | null {
  if (typeof body !== 'object' || body === null || !('overlayId' in body)) return null
  const { overlayId, ips, other } = body
  if (typeof overlayId !== 'string' || !Array.isArray(ips)) return null
  const texts = ips.slice(0, maxIps).filter((ip) => typeof ip === 'string')
  return {
    overlayId,
    ips: texts.map((text) => parseIp(text)).filter((ip) => ip !== null),
    other: typeof other === 'string' ? other : null,
  }
}
