import { OverlayError, refusal } from '../../base/errors.ts'
import { sleep } from '../../base/clock.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import { type Cidr, type IpInCidr, cidrContains, cidrIncludes } from '../../net/cidr.ts'
import { enginePoolKey, parsePoolKey } from '../../net/pool-key.ts'
import { lowerHalf, partPrefixes } from '../../net/pool-parts.ts'
import { type Network, type NetworkStore, shortId } from '../network-store.ts'
import { isSwarmId } from '../overlay-parameters.ts'
import type { DriverParts, AgreedParts, PoolRefusal } from '../ports.ts'

/** CreateNetwork waits this long for the voters, ms. */
const claimMs = 4500
/** Half a pool that no network of the cluster has is waited for, ms. */
const releaseMs = 1500
const retryMs = 200
/** What nobody waits for takes at most this, ms. */
const backgroundMs = 3000
/** All claims and releases are in one queue: a release never meets a claim under way. */
const queueKey = 'engine pools'
/** The address space of the engine's own IPAM driver. */
const engineSpace = 'LocalDefault'
const remedy =
  'let ts-overlay give the addresses: docker network create -d ts-overlay --ipam-driver ts-overlay NAME'

/**
 * The pools of networks without our IPAM driver, whose addresses each host's engine hands out,
 * counting up from the lowest. So the member that made the network has the lower half, and each
 * other one a part of the upper half, which is its copy's `IPRange`; an endpoint with an address
 * outside of this member's parts is refused. The cluster agrees on who has which part, and that
 * nothing else of it overlaps such a pool.
 */
export class EnginePools {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #queue = new KeyedQueue()
  /** By pool, the parts with which our engine is being asked for a copy. */
  readonly #copies = new Map<Cidr, readonly Cidr[]>()
  /** Networks whose parts another member has: this one was evicted. */
  readonly #lost = new Set<string>()
  #isChanged = true

  constructor(parts: DriverParts, store: NetworkStore) {
    this.#parts = parts
    this.#store = store
  }

  /**
   * Claims pools for a network that a user makes, and runs `create` with the prefixes that this
   * host's engine may hand out of them. Refuses where other hosts could not have it; fails with
   * QUORUM.
   */
  claim(pools: readonly Cidr[], create: (ranges: readonly Cidr[]) => Promise<void>): Promise<void> {
    const copied = pools.flatMap((pool) => this.#copies.get(pool) ?? [])
    if (copied.length > 0) return create(copied)
    this.#refuseUncopied(pools)
    return this.#queue.run(queueKey, async () => create(await this.#hold(pools, true)))
  }

  /** Claims parts for a copy and runs `create`, which asks the engine for it. Fails as `claim`. */
  async copy<T>(
    pools: readonly Cidr[],
    create: (ranges: readonly Cidr[]) => Promise<T>,
  ): Promise<T> {
    const ranges = await this.#queue.run(queueKey, async () => {
      const held = await this.#hold(pools, false)
      for (const pool of pools)
        this.#copies.set(
          pool,
          held.filter((range) => cidrIncludes(pool, range)),
        )
      return held
    })
    try {
      return await create(ranges)
    } finally {
      for (const pool of pools) this.#copies.delete(pool)
      this.#isChanged = true
    }
  }

  /** Refuses addresses that another member's engine hands out. */
  refuseOthers({ networkId, overlayId, ranges }: Network, addresses: readonly IpInCidr[]): void {
    if (ranges === undefined) return
    const own = this.#lost.has(networkId) ? [] : ranges
    const has = (parts: readonly Cidr[], { ip }: IpInCidr): boolean =>
      parts.some((part) => cidrContains(part, ip))
    const other = addresses.find((address) => !has(own, address))
    if (other === undefined) return
    const overlays = [...this.#parts.cluster.overlays()]
    const holder = overlays.find((overlay) => {
      return overlay.overlayId === overlayId && has(overlay.ranges ?? [], other)
    })
    throw refusal(
      'ADDRESS_OUT_OF_POOL',
      `address ${other.ip} of network ${shortId(networkId)} is not this host's to give but ` +
        `${holder?.member ?? 'another member'}'s; this host has ${own.join(', ') || 'none any more'}. ` +
        `Choose an --ip from there, or ${remedy}`,
    )
  }

  /** Makes the voters' state what the networks in the store need. Fails with QUORUM. */
  async compare(): Promise<void> {
    if (!this.#isChanged && this.#networks().length === 0) return
    this.#isChanged = false
    try {
      await this.#compare()
    } catch (error) {
      this.#isChanged = true
      throw error
    }
  }

  async #compare(): Promise<void> {
    const { agreement } = this.#parts
    const { pools } = await agreement.holdings()(backgroundMs)
    const views = pools.filter(({ pool }) => parsePoolKey(pool)?.kind === 'engine')
    for (const { pool, held } of views)
      await this.#queue.run(queueKey, async () => {
        const { cidr } = parsePoolKey(pool)!
        const isUsed = this.#networks().some((network) => network.pools.includes(cidr))
        if (!isUsed && !this.#copies.has(cidr) && held !== null)
          await agreement.releasePool(pool, held)(backgroundMs)
      })
    const agreed = new Set(views.flatMap(prefixesOf))
    for (const { networkId, ranges } of this.#networks())
      if (!ranges!.every((range) => agreed.has(range)))
        await this.#queue.run(queueKey, () => this.#holdAgain(networkId))
  }

  /** After an eviction, or in another cluster, this host's parts may be another member's. */
  async #holdAgain(networkId: string): Promise<void> {
    const network = this.#store.network(networkId)
    if (network?.ranges === undefined) return
    const { pools, ranges } = network
    const isFirst = pools.some((pool) => ranges.includes(lowerHalf(pool)))
    const held = await this.#hold(pools, isFirst).catch((error: unknown): Cidr[] => {
      if (error instanceof OverlayError && error.kind === 'refusal') return []
      throw error
    })
    const subject = `network ${shortId(networkId)}`
    const { findings } = this.#parts
    if (ranges.every((range) => held.includes(range))) {
      this.#lost.delete(networkId)
      return findings.clear({ code: 'NETWORK_CLASH', subject })
    }
    this.#lost.add(networkId)
    const text = `${subject}: its addresses on this host, ${ranges.join(', ')}, are another member's now`
    const stop = 'remove its containers of this host, then the network'
    findings.raise({ code: 'NETWORK_CLASH', subject, text, remedy: stop })
  }

  /** Claims the lower halves of pools, or one part of the upper half of each. */
  async #hold(pools: readonly Cidr[], lower: boolean): Promise<Cidr[]> {
    const ranges: Cidr[] = []
    for (const pool of pools) {
      // A comparison that begins meanwhile does not see it.
      const outcome = await this.#ask(pool, lower).finally(() => (this.#isChanged = true))
      if ('refused' in outcome) throw refused(pool, outcome.refused)
      ranges.push(...prefixesOf(outcome.ok))
    }
    return ranges
  }

  /** A member that has just removed its network gives its half back within a second. */
  async #ask(pool: Cidr, lower: boolean) {
    const { agreement, clock, cluster } = this.#parts
    for (const until = clock.now() + releaseMs; ; await sleep(clock, retryMs)) {
      const outcome = await agreement.holdParts(enginePoolKey(pool), lower)(claimMs)
      const isOwned = 'refused' in outcome && outcome.refused.code === 'OWNED'
      const isThere = [...cluster.overlays()].some(({ pools }) => pools.includes(pool))
      if (!isOwned || isThere || clock.now() >= until) return outcome
    }
  }

  #refuseUncopied(pools: readonly Cidr[]): void {
    const { whyNoCopies, prefixUser } = this.#parts.otherHosts
    const why = whyNoCopies()
    const what = "with the engine's own IPAM driver this network cannot be on the other hosts"
    if (why !== null) throw refusal('UNSUPPORTED', `${what}: ${why}; ${remedy}`)
    for (const pool of pools) {
      const user = prefixUser(pool)
      if (user === null) continue
      const clash = `subnet ${pool} overlaps ${user.prefix}, which ${user.member} uses outside of the cluster`
      throw refusal('POOL_OVERLAP', `${what}: ${clash}; ${remedy}`)
    }
  }

  #networks(): Network[] {
    return this.#store.networks().filter(({ ranges }) => ranges !== undefined)
  }
}

/** Whether the addresses are the engine's own to give, and nobody divides the subnet by hand. */
export function isEngines(request: {
  readonly networkId: string
  readonly options: Readonly<Record<string, string>>
  readonly pools: readonly { readonly addressSpace: string }[]
}): boolean {
  const { networkId, options, pools } = request
  if (isSwarmId(networkId) || options['overlay'] !== undefined || pools.length === 0) return false
  return pools.every(({ addressSpace }) => addressSpace === engineSpace)
}

/** Of another IPAM driver nothing is known: each host's may give its first container the same. */
export function refuseForeignPools(): never {
  throw refusal(
    'UNSUPPORTED',
    `addresses of this network have to be unique on all hosts: ${remedy}; or give -o overlay=NAME ` +
      'and --subnet, and another --ip-range on each host',
  )
}

function prefixesOf({ pool, blocks }: AgreedParts): Cidr[] {
  const { cidr } = parsePoolKey(pool)!
  return partPrefixes(
    cidr,
    blocks.map(([part]) => part),
  )
}

function refused(pool: Cidr, { code, member, pool: other }: PoolRefusal): OverlayError {
  if (code === 'OVERLAP')
    return refusal('POOL_OVERLAP', `subnet ${pool} overlaps pool ${other} of ${member}; ${remedy}`)
  if (code === 'OWNED') {
    const why = `subnet ${pool} is that of a network of ${member}, which comes to this host by itself`
    return refusal('POOL_IN_USE', `${why}; use that, or ${remedy}`)
  }
  const what = `subnet ${pool}: all parts for other hosts are taken`
  if (code === 'NONE_LEFT') return refusal('POOL_EXHAUSTED', `${what}; ${remedy}`)
  return refusal('POOL_IN_USE', `subnet ${pool} cannot be had (${code}); ${remedy}`)
}
