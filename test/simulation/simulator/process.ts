import { type MemoryNetwork, seededRandom } from 'memberlist-js'
import type { Random } from '../../../src/base/random.ts'
import { parseJoinToken } from '../../../src/identity/enrolment/join-token.ts'
import { SealedHost } from '../../../src/wiring/admission/sealed-host.ts'
import { identityStore } from '../../../src/wiring/ports/identity-store.ts'
import { type LoggedProblem, type Logger, createLogger } from '../../../src/base/logger.ts'
import { createMemberlistGossip } from '../../../src/cluster/gossip/memberlist-gossip.ts'
import { memberName } from '../../../src/host/member-name.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { Plugin, type PluginOptions, type PluginPorts } from '../../../src/plugin.ts'
import { FileStore } from '../../../src/store/file-store.ts'
import { savedValue } from '../../../src/wiring/ports/saved-value.ts'
import type { SimulatedDisk } from './disk.ts'
import type { SimulatedKernel } from './kernel.ts'
import type { Life } from './life.ts'
import { Link } from './link.ts'
import { PluginCalls } from './plugin-calls.ts'

/** What a plugin's process is started with, and what it runs on. */
export interface ProcessParts {
  readonly life: Life
  readonly host: string
  readonly address: Ip
  readonly seeds: readonly string[]
  readonly seed: number
  readonly disk: SimulatedDisk
  readonly kernel: SimulatedKernel
  readonly network: MemoryNetwork
  /** Other settings than all hosts have. */
  readonly settings?: Partial<PluginOptions>
  /** More of what the plugin stands on. */
  readonly ports?: (life: Life) => Partial<PluginPorts>
  /** Instead of the one that all hosts have; null for none. */
  readonly token?: string | null
  readonly onBug: (error: unknown) => void
  readonly onPlugin: (plugin: Plugin) => void
  readonly onLine: (line: string) => void
}

/** The settings of all hosts; times are short, so that minutes show what takes hours. */
export const settings = {
  version: 'simulated',
  vxlanPort: 4789,
  wireguardPort: 51_820,
  scope: 'local',
  pools: [{ cidr: parseCidr('10.128.0.0/9')!, length: 24 }],
  underlayMtu: 1500,
  auditIntervalMs: 10_000,
  forgetAfterMs: 72 * 3_600_000,
  voters: 5,
  orphanGraceMs: 15_000,
} as const

export const gossipPort = 7946

const tokenOfAll = '0123456789abcdef0123456789abcdef'

/** One process of the plugin: what `main.ts` builds, on a simulated machine. */
export class PluginProcess {
  readonly life: Life
  readonly calls: PluginCalls
  /** There from when the store is open. */
  plugin: Plugin | null = null
  /** Started, and answers the engine. */
  isReady = false
  link: Link | null = null
  #store: FileStore | null = null
  readonly #parts: ProcessParts
  readonly #logger: Logger
  readonly #problems: readonly LoggedProblem[]

  constructor(parts: ProcessParts) {
    this.#parts = parts
    this.life = parts.life
    const { logger, problems } = createLogger((line, level) => {
      if (level !== 'debug') parts.onLine(line)
    })
    this.#logger = logger
    this.#problems = problems
    this.calls = new PluginCalls(parts.life, logger, parts.onBug)
  }

  /** Rejects as the process would end: with what it cannot start without. */
  async start(): Promise<void> {
    const { life, host, disk, kernel, network, seed, address, seeds } = this.#parts
    const random = seededRandom(seed)
    const take = async (): Promise<() => Promise<void>> => async () => {}
    const store = await FileStore.open('/state', {
      logger: this.#logger.child('store'),
      disk: disk.of(life),
      take,
    })
    this.#store = store
    const dataplane = kernel.of(life)
    await dataplane.start()
    const member = await memberName(savedValue(store, 'cluster', 'name'), random, host)
    this.link = new Link(network, { address, port: gossipPort }, life)
    const sealed = await this.#sealed(store, member, random)
    const plugin: Plugin = new Plugin(
      {
        ...this.#parts.ports?.(life),
        sealed,
        clock: life,
        random,
        logger: this.#logger,
        store,
        dataplane,
        problems: this.#problems,
        gossip: createMemberlistGossip({
          name: member,
          clock: life,
          random,
          forgetAfterMs: settings.forgetAfterMs,
          onNameClash: (...names) => plugin.noteNameClash(...names),
          isAt: (name, endpoint) => sealed.isAt(name, endpoint),
          transport: async () => sealed.transport,
        }),
      },
      { ...settings, member, vtep: address, seeds, ...this.#parts.settings },
    )
    this.plugin = plugin
    this.#parts.onPlugin(plugin)
    await plugin.start()
    this.isReady = true
    this.calls.ready(plugin.handlers)
  }

  async #sealed(store: FileStore, name: string, random: Random): Promise<SealedHost> {
    const { token = tokenOfAll, seeds, life: clock, address } = this.#parts
    const parsed = token === null ? { value: null } : parseJoinToken(token)
    if (!('value' in parsed)) throw new Error(parsed.reason)
    return await SealedHost.open({
      clock,
      random,
      name,
      address,
      store: identityStore(store),
      inner: this.link!,
      token: parsed.value,
      join: seeds.map((host) => ({ host, port: gossipPort })),
      rotationMs: 600_000,
    })
  }

  /** As at SIGTERM. */
  async stop(): Promise<void> {
    await this.plugin?.stop()
    await this.#store?.close()
  }

  /** Nothing of the process runs from now on. `silently`: nobody is told, as by a loss of power. */
  end(silently: boolean): void {
    this.isReady = false
    this.life.end()
    this.link?.end(silently)
  }
}
