import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import {
  createMemberlistGossip,
  gossipSockets,
} from '../../src/cluster/gossip/memberlist-gossip.ts'
import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts'
import type { IpamStatus } from '../../src/ipam/status.ts'
import { type Cidr, parseIpInCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import { Plugin } from '../../src/plugin.ts'
import { FileStore } from '../../src/store/file-store.ts'
import { SealedHost } from '../../src/wiring/admission/sealed-host.ts'
import { identityStore } from '../../src/wiring/ports/identity-store.ts'
import { until } from '../support/lab/processes.ts'

const port = 28_946
const token = { authority: null, secret: '0123456789abcdef0123456789abcdef' }

/** One whole plugin: a real disk, real sockets on this machine, a kernel in memory. */
interface Running {
  readonly plugin: Plugin
  readonly store: FileStore
  /** Its timers fire no more once it is false. */
  readonly life: { isAlive: boolean }
}

/** Several hosts' plugins in this process, in real time, on loopback addresses of their own. */
export class LoopbackPlugins {
  readonly #running = new Map<number, Running>()
  readonly #directory: string
  /** Kernels outlive their plugins. */
  readonly #kernels = new Map<number, MemoryDataplane>()

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** `count` hosts, 1 and up, that are all registered. */
  static async up(count: number): Promise<LoopbackPlugins> {
    const plugins = new LoopbackPlugins(await mkdtemp(join(tmpdir(), 'ts-overlay-ipam-')))
    for (let host = 1; host <= count; host++) await plugins.start(host)
    await plugins.ready(count)
    return plugins
  }

  /** From what its disk has. */
  async start(host: number): Promise<void> {
    const store = await FileStore.open(join(this.#directory, `h${host}`), { logger: silentLogger })
    const address = addressOf(host)
    const name = `h${host}`
    const sealed = await SealedHost.open({
      clock: systemClock,
      random: systemRandom,
      name,
      address,
      store: identityStore(store),
      inner: await gossipSockets({ bindAddress: address, port, advertise: { address } })(),
      token,
      join: host === 1 ? [] : [{ host: addressOf(1), port }],
      rotationMs: 43_200_000,
    })
    const gossip = createMemberlistGossip({
      name,
      clock: systemClock,
      random: systemRandom,
      transport: async () => sealed.transport,
    })
    const seeds = host === 1 ? [] : [`${addressOf(1)}:${port}`]
    const life = { isAlive: true }
    const clock: Clock = {
      ...systemClock,
      setTimeout: (fn, ms) => systemClock.setTimeout(() => life.isAlive && fn(), ms),
    }
    const ports = { store, gossip, sealed, clock, random: systemRandom, problems: [] }
    const plugin = new Plugin(
      { ...ports, logger: silentLogger, dataplane: this.#kernel(host) },
      { ...options, member: name, vtep: address, seeds },
    )
    await plugin.start()
    this.#running.set(host, { plugin, store, life })
  }

  /** Ends without a word to anybody. */
  async crash(host: number): Promise<void> {
    const { plugin, store, life } = this.#running.get(host)!
    this.#running.delete(host)
    await plugin.ipam.stop()
    await plugin.cluster.close()
    await plugin.reconciler.stop()
    await plugin.network.stop()
    life.isAlive = false
    await store.close()
  }

  async end(): Promise<void> {
    for (const host of this.#running.keys()) await this.crash(host)
    await rm(this.#directory, { recursive: true })
  }

  plugin(host: number): Plugin {
    return this.#running.get(host)!.plugin
  }

  /** The part of `/status` about addresses. */
  status(host: number): IpamStatus {
    return this.plugin(host).status().ipam
  }

  /** What the engine asks for at `docker network create`. */
  async create(host: number, pool: Cidr): Promise<string> {
    const { ipam } = this.plugin(host)
    const wish = { space: 'ts-overlay', pool, subPool: null, options: {}, ipv6: false }
    const { poolId } = await ipam.requestPool(wish)
    await ipam.requestAddress({ poolId, address: null, gateway: true })
    await ipam.bindings.bindPool(pool, `network-${pool}`)
    return poolId
  }

  /** And at `docker run`. */
  take(host: number, poolId: string, address: Ip | null = null): Promise<string> {
    return this.plugin(host).ipam.requestAddress({ poolId, address, gateway: false })
  }

  /** What the engine asks for after that, so that the container's endpoint is published. */
  async attach(host: number, pool: Cidr, address: string): Promise<void> {
    const { network } = this.plugin(host)
    const networkId = `network-${pool}`
    const pools = [{ addressSpace: 'ts-overlay', pool, gateway: null }]
    await network.createNetwork({ networkId, options: {}, internal: false, pools })
    const endpointId = `${host}${networkId}`
    const addresses = [parseIpInCidr(address)!]
    await network.createEndpoint({ networkId, endpointId, addresses, mac: null })
    await network.join({ networkId, endpointId })
  }

  #kernel(host: number): MemoryDataplane {
    const kernel = this.#kernels.get(host) ?? new MemoryDataplane()
    this.#kernels.set(host, kernel)
    return kernel
  }

  async ready(count: number): Promise<void> {
    const hosts = [...this.#running.keys()]
    await this.until(() =>
      hosts.every((host) => {
        const { voters, leader } = this.plugin(host).status().consensus
        const isComplete = voters.length === Math.min(count, options.voters)
        return this.status(host).member.registered && leader !== null && isComplete
      }),
    )
  }

  until(holds: () => boolean): Promise<void> {
    return until(holds, 'the plugins', 20_000, 5)
  }
}

const options = {
  version: 'test',
  vxlanPort: 4789,
  wireguardPort: 51_820,
  scope: 'local',
  pools: [],
  underlayMtu: 1500,
  auditIntervalMs: 30_000,
  voters: 5,
  forgetAfterMs: 72 * 3_600_000,
  orphanGraceMs: 120_000,
} as const

function addressOf(host: number): Ip {
  return parseIp(`127.0.1.${host}`)!
}
