import type { Clock } from './base/clock.ts'
import { Complaints } from './base/complaints.ts'
import type { LoggedProblem, Logger } from './base/logger.ts'
import type { Random } from './base/random.ts'
import { claimFaults } from './wiring/claim-validation.ts'
import { Cluster, type Transition } from './cluster/cluster.ts'
import type { GossipTransport } from './cluster/gossip/gossip-transport.ts'
import { SeedCache } from './wiring/seed-cache.ts'
import type { Dataplane } from './dataplane/dataplane.ts'
import { Reconciler } from './dataplane/reconcile/reconciler.ts'
import { Driver } from './driver/driver.ts'
import { Forgetting } from './wiring/eviction.ts'
import {
  driverCluster,
  driverPools,
  driverDataplane,
  ipamHandlers,
  overlayChanges,
} from './wiring/driver-ports.ts'
import { Ipam } from './ipam/ipam.ts'
import { ipamCluster } from './wiring/ipam-ports.ts'
import type { Cidr } from './net/cidr.ts'
import type { Ip } from './net/ip.ts'
import { overlayMtu } from './net/mtu.ts'
import { peerTransitions } from './wiring/peer-transitions.ts'
import { type PluginStatus, composeStatus } from './wiring/status.ts'
import type { Store } from './store/store.ts'

/** What the plugin stands on: the real things in `main.ts`, virtual ones in a test. */
export interface PluginPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly store: Store
  readonly dataplane: Dataplane
  readonly gossip: GossipTransport
  /** The last warnings, for `/status`. */
  readonly problems: readonly LoggedProblem[]
  /** Prefixes that this host already routes, which automatic pools keep clear of. */
  readonly hostRoutes?: () => Promise<readonly Cidr[]>
}

/** What the plugin is to do here. */
export interface PluginOptions {
  readonly version: string
  readonly member: string
  readonly vtep: Ip
  readonly vxlanPort: number
  readonly scope: 'local' | 'global'
  readonly seeds: readonly string[]
  readonly pools: readonly { readonly cidr: Cidr; readonly length: number }[]
  /** Bytes; null to measure. */
  readonly underlayMtu: number | null
  readonly auditIntervalMs: number
  /** After how long something is released that nothing uses, in milliseconds. */
  readonly orphanGraceMs: number
  /** After how long a member that stays away is forgotten, in milliseconds. */
  readonly forgetAfterMs: number
}

/** How long the address management may take to return its blocks when the plugin stops. */
const returnBlocksMs = 1500

/**
 * The plugin without sockets and without a kernel: its rooms, put together. Records go one way, from
 * the driver and the address management into this member's log; other members' records go the other,
 * from the cluster into the data plane.
 */
export class Plugin {
  readonly network: Driver
  readonly ipam: Ipam
  readonly cluster: Cluster
  readonly reconciler: Reconciler
  readonly #contacts: SeedCache
  readonly #forgetting: Forgetting
  /** What other members say and what counts for nothing here. */
  readonly complaints: Complaints
  readonly #ports: PluginPorts
  readonly #options: PluginOptions

  constructor(ports: PluginPorts, options: PluginOptions) {
    this.#ports = ports
    this.#options = options
    const { clock, random, logger, store, dataplane, gossip } = ports
    this.complaints = new Complaints(clock, logger.child('cluster'))
    this.reconciler = new Reconciler({
      dataplane,
      clock,
      logger: logger.child('dataplane'),
      auditIntervalMs: options.auditIntervalMs,
      isKnown: (vtep) => this.cluster.hasAllOf(vtep),
    })
    this.cluster = new Cluster({
      name: options.member,
      address: options.vtep,
      clock,
      random,
      logger: logger.child('cluster'),
      gossip,
      epochStore: epochStore(store),
    })
    this.#contacts = new SeedCache({
      clock,
      store,
      logger: logger.child('cluster'),
      seeds: () => this.cluster.seeds(),
    })
    this.ipam = new Ipam({
      settings: options,
      store,
      cluster: ipamCluster(this.cluster, options.member, {
        networks: () => this.network.networks(),
        holders: (vni, ip) => this.reconciler.holders(vni, ip),
      }),
      clock,
      random,
      logger: logger.child('ipam'),
      ...(ports.hostRoutes === undefined ? {} : { hostRoutes: ports.hostRoutes }),
    })
    this.network = new Driver({
      clock,
      logger: logger.child('driver'),
      store,
      cluster: driverCluster(this.cluster, {
        self: options.member,
        vxlanPort: options.vxlanPort,
      }),
      pools: driverPools(this.ipam),
      dataplane: driverDataplane(this.reconciler, dataplane),
      vtep: options.vtep,
      vxlanPort: options.vxlanPort,
      orphanGraceMs: options.orphanGraceMs,
      mtuHere: () => this.#mtuHere(),
    })
    this.#forgetting = new Forgetting({
      clock,
      store,
      logger: logger.child('ipam'),
      members: () =>
        this.ipam.members().map(({ name, state, seated }) => {
          return { name, seated, away: state !== 'alive' && state !== 'suspect' }
        }),
      forget: (members) => this.ipam.forgetAway(...members),
      afterMs: options.forgetAfterMs,
    })
    this.cluster.onMembers(() => {
      this.#contacts.changed()
      this.#forgetting.look()
    })
    this.cluster.onTransitions((batch) => {
      this.reconciler.applyPeers(peerTransitions(batch))
      this.network.overlaysChanged(overlayChanges(batch))
      this.#complainOf(batch)
    })
  }

  /**
   * Starts the rooms and takes over what the disk and the kernel still have. Waits for no other member: joining
   * goes on in the background, and the engine is answered although all may be away.
   */
  async start(): Promise<void> {
    await this.cluster.start()
    this.reconciler.start()
    await this.network.start()
    await this.ipam.start()
    this.#forgetting.start()
    const seeds = [...new Set([...this.#options.seeds, ...this.#contacts.known()])]
    this.cluster.join(seeds).catch((error: Error) => {
      this.#ports.logger.warn(`joining: ${error.message}`, { seeds })
    })
  }

  /**
   * Stops; what is in the kernel stays, and traffic goes on. A host without endpoints leaves the cluster.
   * One with endpoints only pauses: leaving, or dying without a word, would make the others forget them,
   * and their traffic would stop although the containers run.
   */
  async stop(): Promise<void> {
    this.#forgetting.stop()
    const serving = await this.network.withdrawIdle()
    if (!serving) await this.ipam.left(returnBlocksMs)
    await this.network.stop()
    await this.reconciler.stop()
    if (serving) await this.cluster.announceRestart()
    else await this.cluster.leave()
    await this.#contacts.stop()
    await this.ipam.stop()
    await this.cluster.close()
    await this.#ports.dataplane.close()
  }

  /** Gossip found two hosts of one name; the claimant is kept out by all that know the other. */
  noteNameClash(name: string, known: string, claimant: string): void {
    const remedy =
      "give one of the two another MEMBER_NAME or, if its disk is a copy of the other's, an empty state"
    const text = `hosts ${known} and ${claimant} both call themselves ${name}, and only one is let in; ${remedy}`
    this.complaints.note(name, 'name', text)
  }

  /** What the engine's calls are handed to. */
  get handlers() {
    return { network: this.network, ipam: ipamHandlers(this.ipam, this.network) }
  }

  get gossipOddities(): Readonly<Record<string, number>> {
    return this.#ports.gossip.counters ?? {}
  }

  /** What `/status` shows. */
  status(): PluginStatus {
    return composeStatus(this, this.#options, this.#ports.problems)
  }

  #complainOf(batch: readonly Transition[]): void {
    const networks = this.network.networks()
    for (const transition of batch)
      for (const { who, what, text } of claimFaults(transition, networks, this.#options.vtep))
        this.complaints.note(who, what, text)
  }

  async #mtuHere(): Promise<number> {
    const { underlayMtu, vtep } = this.#options
    return overlayMtu(underlayMtu ?? (await this.#ports.dataplane.underlayMtu(vtep)), vtep)
  }
}

/** The last epoch that this member published under, in the store. */
function epochStore(store: Store) {
  return {
    load: () => store.get<number>('cluster', 'epoch'),
    save: (epoch: number) => store.write([{ table: 'cluster', key: 'epoch', value: epoch }]),
  }
}
