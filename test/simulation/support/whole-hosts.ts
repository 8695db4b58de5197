/**
 * Whole plugins, with kernels and disks in memory and a virtual network between them, in virtual
 * time.
 */
import { MemoryNetwork, type Transport } from 'memberlist-js'
import { type LoggedProblem, type Logger, createLogger } from '../../../src/base/logger.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import type { GossipTransport } from '../../../src/cluster/gossip/gossip-transport.ts'
import { createMemberlistGossip } from '../../../src/cluster/gossip/memberlist-gossip.ts'
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import { Plugin } from '../../../src/plugin.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { EventClock } from './event-clock.ts'
import { type Directory, ModelGossip } from './model-gossip.ts'
import { VirtualNetwork } from './virtual-network.ts'

export interface WholeHost {
  readonly name: string
  readonly plugin: Plugin
  readonly lines: string[]
  /** The addresses that an overlay has neighbours for. */
  readonly neighbours: (overlayId: string) => string[]
}

export class WholeHosts {
  readonly clock = new EventClock()
  readonly random = seededRandom(1)
  readonly net = new VirtualNetwork(this.clock, this.random)
  readonly hosts: WholeHost[] = []
  readonly #directory: Directory = new Map()
  readonly #memory: MemoryNetwork | null

  /** `membership`: the fast model's, or memberlist-js on a virtual network of its own. */
  constructor(membership: 'model' | 'memberlist' = 'model') {
    const { clock, random } = this
    this.#memory = membership === 'model' ? null : new MemoryNetwork({ clock, random })
  }

  /**
   * Adds a host, called host-1, host-2 and so on if it has no other name, and has it join the
   * first.
   */
  async add(
    options: {
      underlayMtu?: number
      vtep?: Ip
      name?: string
      vxlanPort?: number
      secret?: string
    } = {},
  ): Promise<WholeHost> {
    const { name = `host-${this.hosts.length + 1}` } = options
    const address = parseIp(`192.0.2.${this.hosts.length + 1}`)!
    const dataplane = new MemoryDataplane()
    const lines: string[] = []
    const { logger, problems } = createLogger((line) => lines.push(line))
    const plugin = this.#plugin(name, address, { ...options, dataplane, logger, problems })
    const neighbours = (overlayId: string): string[] => [
      ...(dataplane.overlay(overlayId)?.neighbours.keys() ?? []),
    ]
    const host = { name, plugin, lines, neighbours }
    this.hosts.push(host)
    await plugin.start()
    await this.clock.advance(3000)
    return host
  }

  async stop(): Promise<void> {
    const stopped = Promise.all(this.hosts.map(({ plugin }) => plugin.stop()))
    await this.clock.advance(10_000)
    await stopped
  }

  /** Waits, in virtual time, for what a host does. */
  async done<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const end = work.finally(() => (settled = true))
    end.catch(() => {})
    await this.clock.until(() => settled, 10_000)
    return end
  }

  #plugin(
    name: string,
    address: Ip,
    here: {
      underlayMtu?: number
      vxlanPort?: number
      secret?: string
      /** Where endpoints are said to be, if that is not where gossip is. */
      vtep?: Ip
      dataplane: MemoryDataplane
      logger: Logger
      problems: readonly LoggedProblem[]
    },
  ): Plugin {
    const { logger, problems, dataplane, vtep = address, underlayMtu = 1500 } = here
    const { clock } = this
    const random = seededRandom(this.random.uint32())
    const clash = (...said: [string, string, string]): void => plugin.noteNameClash(...said)
    const plugin: Plugin = new Plugin(
      {
        logger,
        problems,
        dataplane,
        clock,
        random,
        store: new MemoryStore(),
        gossip: this.#gossip(name, address, random, clash, here.secret ?? null),
      },
      {
        version: 'test',
        member: name,
        vtep,
        vxlanPort: here.vxlanPort ?? 4789,
        scope: 'local',
        seeds: this.hosts.length === 0 ? [] : ['192.0.2.1'],
        pools: [{ cidr: parseCidr('10.128.0.0/9')!, length: 24 }],
        underlayMtu,
        auditIntervalMs: 30_000,
        forgetAfterMs: 72 * 3_600_000,
        orphanGraceMs: 120_000,
      },
    )
    return plugin
  }

  #gossip(
    name: string,
    address: Ip,
    random: Random,
    onNameClash: (name: string, known: string, claimant: string) => void,
    secret: string | null,
  ): GossipTransport {
    const { clock, net } = this
    const memory = this.#memory
    if (memory === null)
      return new ModelGossip(name, address, {
        net,
        directory: this.#directory,
        clock,
        random,
        misses: 0,
      })
    const transport = async (): Promise<Transport> => memory.transport({ address, port: 7946 })
    return createMemberlistGossip({
      name,
      clock,
      random,
      label: 'test',
      transport,
      onNameClash,
      secret,
    })
  }
}
