import type { Cluster } from './cluster/cluster.ts'
import type { Consensus } from './consensus/consensus.ts'
import type { Reconciler } from './dataplane/reconcile/reconciler.ts'
import type { Driver } from './driver/driver.ts'
import type { Ipam } from './ipam/ipam.ts'
import type { Admission } from './wiring/admission/admission.ts'
import { addSubnet } from './wiring/added-subnet.ts'
import { newMtuWatch } from './wiring/agreement.ts'
import { ipamHandlers } from './wiring/ports/driver-ports.ts'
import { Diagnosis } from './wiring/diagnosis/diagnosis.ts'
import { type Lifecycle, lifecyclesOf } from './wiring/lifecycle.ts'
import type { PluginOptions, PluginPorts } from './wiring/ports/plugin-ports.ts'
import { type Rooms, buildRooms } from './wiring/rooms.ts'
import { PageViews } from './wiring/page.ts'
import { type PluginStatus, composeStatus } from './wiring/status.ts'
import { type HostView, askViews, serveView, viewOf } from './wiring/views.ts'

export type { PluginOptions, PluginPorts } from './wiring/ports/plugin-ports.ts'

/** The plugin without sockets and without a kernel: its rooms, started and stopped in order. */
export class Plugin {
  readonly #ports: PluginPorts
  readonly #options: PluginOptions
  readonly #rooms: Rooms
  /** What people ask when something is wrong. */
  readonly diagnosis: Diagnosis
  /** In the order in which they are started. */
  readonly #lifecycles: readonly Lifecycle[]
  /** What the page shows. */
  readonly page: PageViews

  constructor(ports: PluginPorts, options: PluginOptions) {
    this.#ports = ports
    this.#options = options
    this.#rooms = buildRooms(ports, options)
    serveView(this.cluster, () => viewOf(this.status()))
    this.diagnosis = new Diagnosis(this.#rooms, ports, options)
    const watch = newMtuWatch(ports, options, () => this.network.networks(), this.#rooms.findings)
    this.#lifecycles = [...lifecyclesOf(this.#rooms, ports), watch]
    this.page = new PageViews(
      ports.clock,
      this.cluster,
      () => this.status(),
      () => this.views(),
    )
  }

  get network(): Driver {
    return this.#rooms.driver
  }

  get ipam(): Ipam {
    return this.#rooms.ipam
  }

  get cluster(): Cluster {
    return this.#rooms.cluster
  }

  get consensus(): Consensus {
    return this.#rooms.consensus
  }

  get admission(): Admission {
    return this.#rooms.admission
  }

  get reconciler(): Reconciler {
    return this.#rooms.reconciler
  }

  /**
   * Starts the rooms and takes over what the disk and the kernel still have. Waits for no other
   * member: joining goes on in the background, and the engine is answered although all may be away.
   */
  async start(): Promise<void> {
    for (const room of this.#lifecycles) await room.start?.()
  }

  /**
   * Stops; what is in the kernel stays, and traffic goes on. A host without endpoints leaves the
   * cluster. One with endpoints announces that it restarts: leaving, or dying without a word, would
   * make the others forget them, and their traffic would stop although the containers run.
   */
  async stop(): Promise<void> {
    const rooms = this.#lifecycles.toReversed()
    let isServing = false
    for (const room of rooms) isServing = (await room.withdraw?.()) || isServing
    for (const room of rooms) await room.stop?.(isServing)
  }

  /** Gossip found two hosts of one name. */
  noteNameClash(name: string, known: string, claimant: string): void {
    this.#rooms.claims.nameClash(name, known, claimant)
  }

  /** Adds a subnet to a network, by its name, overlay or id, here and on all hosts. */
  addSubnet(network: string, subnet: string): Promise<void> {
    return addSubnet(this.#rooms, network, subnet)
  }

  /** Begins to replace this host's WireGuard key; resolves with the new public key. */
  rotateWireGuard(): Promise<string> {
    return this.#rooms.encryption.rotate()
  }

  /** What the engine's calls are handed to. */
  get handlers() {
    return { network: this.network, ipam: ipamHandlers(this.ipam, this.network) }
  }

  /** Tells how long records take from here to another member, ms. */
  onPropagated(observe: (ms: number) => void): void {
    this.#rooms.propagation.observe = observe
  }

  /** What all live members say of themselves, for `/views`. */
  views(): Promise<Readonly<Record<string, HostView | null>>> {
    return askViews(this.cluster, viewOf(this.status()))
  }

  /** What `/status` shows. */
  status(): PluginStatus {
    return composeStatus(this.#rooms, this.#ports, this.#options)
  }
}
