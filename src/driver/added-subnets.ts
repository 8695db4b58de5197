import { attempt, refusal } from '../base/errors.ts'
import { KeyedQueue } from '../base/keyed-queue.ts'
import { Debounce, Timeout } from '../base/timers.ts'
import { type Cidr, parseIpInCidr } from '../net/cidr.ts'
import { endpointLink, overlayLinks } from './endpoints.ts'
import {
  type KnownOverlay,
  type Network,
  type NetworkStore,
  overlayClaim,
  shortId,
} from './network-store.ts'
import { followedMtu, isSwarmId, whyUnusable } from './overlay-parameters.ts'
import type { DriverParts, HeldPool } from './ports.ts'

/** Of an overlay, as many as its record can name. */
const maxSubnets = 16
/** Records that come together are looked at once, ms. */
const adoptDelayMs = 10
/** What failed is tried again after this, ms. */
const retryMs = 5000

/** Runs a task in the queue of that network. */
type InQueueOf = (networkId: string, task: () => Promise<void>) => Promise<void>

/**
 * What networks got after they were created, and the engine knows nothing of: subnets, and a
 * smaller MTU. Each member's record of an overlay has both; a member that lacks a subnet adds it,
 * and takes an MTU that is less than its own. A set that only grows and a minimum: members need not
 * agree on more than the pool itself.
 */
export class AddedSubnets {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #inQueueOf: InQueueOf
  /** By network: the claim of a pool must not keep its containers waiting. */
  readonly #queue = new KeyedQueue()
  readonly #adopt: Debounce
  readonly #retry: Timeout
  /** Networks whose links are behind the store. */
  readonly #unbuilt = new Set<string>()

  constructor(parts: DriverParts, store: NetworkStore, inQueueOf: InQueueOf) {
    this.#parts = parts
    this.#store = store
    this.#inQueueOf = inQueueOf
    const { clock, logger } = parts
    this.#adopt = new Debounce({
      clock,
      delayMs: adoptDelayMs,
      run: () => this.#adoptAll(),
      warn: (failure) => logger.warn(`adding what another member's overlay has: ${failure}`),
    })
    this.#retry = new Timeout(clock, () => this.#adopt.trigger())
  }

  /** Networks of this host changed. */
  changed(): void {
    this.#adopt.trigger()
  }

  /**
   * Records of other members changed. Reading all overlays is a fifth of what a burst of records
   * costs, so it is put off where no subnet is known to be among them.
   */
  othersChanged(hasAdded: boolean): void {
    if (hasAdded) this.#adopt.trigger()
    else this.#retry.setIfIdle(retryMs)
  }

  async stop(): Promise<void> {
    this.#retry.stop()
    this.#adopt.stop()
    await this.#adopt.idle()
  }

  /**
   * Adds a subnet to a network of this host; the other hosts follow by its record. One that it has
   * is fine. Refuses with POOL_OVERLAP, POOL_IN_USE, BAD_REQUEST; fails with QUORUM.
   */
  add(networkId: string, subnet: Cidr): Promise<void> {
    return this.#queue.run(networkId, async () => {
      const network = this.#store.network(networkId)
      if (network === undefined || network.pools.includes(subnet)) return
      const { pools, cluster } = this.#parts
      const why = whyNot(network) ?? whyUnusable(subnet, cluster.hosts())
      if (why !== null) throw refusal('BAD_REQUEST', `subnet ${subnet} cannot be added: ${why}`)
      const held = await pools.holdPool(subnet, network.poolKeys[0]!)
      await this.#inQueueOf(networkId, () => this.#write(networkId, held))
    })
  }

  async #write(networkId: string, { pool, poolKey, gateway }: HeldPool): Promise<void> {
    const { cluster, pools, logger } = this.#parts
    const before = this.#store.network(networkId)
    if (before === undefined) return pools.releasePool(poolKey)
    const network: Network = {
      ...before,
      pools: [...before.pools, pool],
      gateways: [...before.gateways, gateway],
      poolKeys: [...before.poolKeys, poolKey],
      added: [...(before.added ?? []), pool],
    }
    await pools.bindPool(poolKey, networkId)
    await this.#store.putNetwork(network)
    cluster.putOverlay(overlayClaim(network))
    const { overlayId } = network
    const fields = { network: shortId(networkId), overlayId, subnet: pool }
    logger.info('subnet added', { event: 'subnet-added', ...fields })
    this.#unbuilt.add(networkId)
    await this.#build(networkId)
    this.#parts.networksChanged()
  }

  async #follow(networkId: string, elsewhere: KnownOverlay): Promise<void> {
    const { cluster, logger } = this.#parts
    const before = this.#store.network(networkId)
    const mtu = before === undefined ? null : followedMtu(before, elsewhere)
    if (before === undefined || mtu === null) return
    const network = { ...before, mtu }
    await this.#store.putNetwork(network)
    cluster.putOverlay(overlayClaim(network))
    const { overlayId } = network
    const { member } = elsewhere
    logger.info('MTU lowered to that of another member', { overlayId, member, mtu })
    this.#unbuilt.add(networkId)
    await this.#build(networkId)
  }

  /** Gives links their MTU, the bridge its gateway and containers their routes. In its queue. */
  async #build(networkId: string): Promise<void> {
    const network = this.#store.network(networkId)
    const joined = this.#store.endpoints(networkId).filter((endpoint) => endpoint.joined)
    const { dataplane, logger } = this.#parts
    await attempt(
      async () => {
        if (network !== undefined && joined.length > 0) {
          await dataplane.attachOverlay(overlayLinks(this.#parts, network))
          for (const endpoint of joined)
            await dataplane.attachEndpoint(network.overlayId, endpointLink(network, endpoint))
        }
        this.#unbuilt.delete(networkId)
      },
      (message) => {
        logger.warn(`links of network ${shortId(networkId)}: ${message}; trying again`)
        this.#retry.setIfIdle(retryMs)
      },
    )
  }

  async #adoptAll(): Promise<void> {
    for (const networkId of this.#unbuilt)
      await this.#inQueueOf(networkId, () => this.#build(networkId))
    for (const overlay of this.#parts.cluster.overlays()) {
      const network = this.#store.networkOfOverlay(overlay.overlayId)
      if (network === undefined) continue
      if (followedMtu(network, overlay) !== null)
        await this.#inQueueOf(network.networkId, () => this.#follow(network.networkId, overlay))
      for (const subnet of overlay.added ?? [])
        try {
          await this.add(network.networkId, subnet)
        } catch (error) {
          this.#retry.setIfIdle(retryMs)
          throw error
        }
    }
  }
}

function whyNot({ networkId, poolKeys, pools }: Network): string | null {
  if (isSwarmId(networkId)) return 'the managers of a swarm give a network its subnets'
  if (poolKeys.length === 0) return 'the network has another IPAM driver'
  if (pools.length < maxSubnets) return null
  return `the network has ${maxSubnets}, and that is the most`
}

/** What the engine knows of a network's subnets. */
export function engineSubnets({
  pools,
  gateways,
  added = [],
}: Pick<Network, 'pools' | 'gateways' | 'added'>): { pools: Cidr[]; gateways: string[] } {
  return {
    pools: pools.filter((pool) => !added.includes(pool)),
    gateways: gateways.filter((text) => !added.includes(parseIpInCidr(text)!.cidr)),
  }
}
