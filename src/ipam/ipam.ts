/**
 * Addresses. A pool is divided into blocks; the cluster agrees on which member owns which block
 * (`consensus`), and a member hands out addresses of its own blocks without asking anybody.
 *
 * The invariant: no address of a pool is held by two members of one cluster, whatever is lost, cut
 * or restarted. What is agreed is on this host's disk before it is used, and what is given up
 * before the others are told. This room does not speak with the engine or the kernel, never waits
 * for a member without a bound, and lets no clock decide who has what, but for the eviction of
 * members that stay away (`membership/lease.ts`).
 *
 * Arrows: tables ← leases/lease-table ← pools ← holdings ← {blocks, leases} ← this file.
 */
import { attempt } from '../base/errors.ts'
import { type Cidr, ipWithLength } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { poolKeyOf } from '../net/pool-key.ts'
import { BlockAllocator } from './blocks/block-allocator.ts'
import { Spares } from './blocks/spares.ts'
import { poolNotFound, requireHeld } from './errors.ts'
import { Eviction, evict } from './membership/eviction.ts'
import type { Membership } from './membership/membership.ts'
import { Holdings } from './holdings.ts'
import { allocateAny, type AllocateParts } from './leases/allocate-any.ts'
import { allocateSpecific } from './leases/allocate-specific.ts'
import { Duplicates } from './leases/duplicates.ts'
import type { Lease } from './leases/lease-table.ts'
import { Lending } from './leases/lending.ts'
import { Reclaim } from './leases/reclaim.ts'
import { releaseAddress } from './leases/release.ts'
import { reserve } from './leases/reservations.ts'
import { allocateOfSwarm } from './leases/swarm.ts'
import { Maintenance } from './maintenance.ts'
import { PeerRequests } from './peer-requests.ts'
import { parsePoolId, poolIdOf, requirePoolId } from './pool-id.ts'
import { bindPool, poolFor, unbindPool } from './pools/bindings.ts'
import { allocateGateway } from './pools/gateway.ts'
import type { LocalPool, PoolRow } from './pools/local-pool.ts'
import { mayBeBound, PoolRequests, type PoolWish } from './pools/pool-requests.ts'
import type { IpamPorts } from './ports.ts'
import { Readiness } from './readiness.ts'
import { type IpamStatus, statusOf } from './status.ts'

/**
 * We answer every request within 8 s; a question to a member that begins before this ends 2.7 s
 * later, ms.
 */
const requestMs = 4500

/** An address that this host handed out. */
interface HeldLease extends Pick<Lease, 'since' | 'kind'> {
  readonly poolKey: string
  readonly ip: Ip
}

/** A pool that the engine holds on this host. `since` is wall clock, ms; `auto`: chosen by us. */
interface HeldPool extends Pick<PoolRow, 'networkId' | 'gateway' | 'since' | 'auto'> {
  readonly poolKey: string
}

/** What the engine asks for; `name` is the container's, where the engine tells it. */
interface AddressWish {
  readonly poolId: string
  readonly address: Ip | null
  readonly gateway: boolean
  readonly name?: string | null
}

/** The room's face: what the engine's IPAM calls and the driver ask for. */
export class Ipam {
  readonly #ports: IpamPorts
  readonly #holdings: Holdings
  readonly #peers: PeerRequests
  readonly #requests: PoolRequests
  readonly #spares: Spares
  readonly #allocate: AllocateParts
  readonly #duplicates: Duplicates
  readonly #readiness: Readiness
  readonly #maintenance: Maintenance
  readonly #eviction: Eviction

  /**
   * Reads what the store has; speaks with nobody before `start`. Throws STORE for a former
   * release's.
   */
  constructor(ports: IpamPorts) {
    this.#ports = ports
    const { clock, cluster, consensus, hostRoutes = () => Promise.resolve([]) } = ports
    const holdings = (this.#holdings = new Holdings(ports))
    const peers = (this.#peers = new PeerRequests(cluster))
    const parts = { ...ports, holdings, peers, self: cluster.self, pools: holdings.pools }
    this.#requests = new PoolRequests({ ...parts, hostRoutes })
    this.#spares = new Spares(parts)
    const lending = new Lending(parts)
    const blocks = new BlockAllocator({ ...parts, spares: this.#spares })
    this.#allocate = { holdings, blocks, lending, peers, cluster, clock }
    const members = (): Promise<readonly string[]> => holdings.members()
    const duplicates = (this.#duplicates = new Duplicates({ ...parts, members }))
    const readiness = (this.#readiness = new Readiness(holdings, peers, cluster, clock))
    const reclaim = new Reclaim({ ...parts, requests: this.#requests, lending, duplicates })
    const done = { ports, holdings, blocks, reclaim, duplicates, readiness }
    this.#maintenance = new Maintenance(done)
    this.#eviction = new Eviction(ports)
    consensus.onClusterChange(() => readiness.forget())
  }

  /** Begins to take part. */
  async start(): Promise<void> {
    const { lending } = this.#allocate
    await this.#holdings.membership.open()
    this.#peers.listen({
      lend: (from, asked) => lending.lend(from, asked),
      spare: (_, asked) => this.#spares.give(asked),
      duplicates: (from, { items }) => {
        return { kind: 'duplicates', items: this.#duplicates.hear(from, items) }
      },
    })
    for (const pool of this.#holdings.pools.all()) {
      if (pool.name.kind === 'books') this.#ports.cluster.publishSwarmPool(pool.key)
    }
    this.#readiness.start()
    this.#maintenance.start()
    this.#eviction.start()
  }

  /** Ends all timers; as a crash, but tidy. */
  async stop(): Promise<void> {
    await this.#eviction.stop()
    await this.#maintenance.stop()
  }

  /**
   * Before a graceful leave: gives back all blocks that no container uses and, when none has an
   * address, our membership too. Never rejects, takes about `timeoutMs` at most.
   */
  async left(timeoutMs = 2000): Promise<{ returned: number; kept: number }> {
    const { clock, logger } = this.#ports
    const deadline = clock.now() + timeoutMs
    await this.stop()
    const returned = await attempt(
      () => this.#leave(deadline),
      (error) => {
        logger.warn('left without giving everything back', { error })
        return 0
      },
    )
    return { returned, kept: this.#kept() }
  }

  /** Evicts members on an operator's word; see `membership/eviction.ts`. */
  evict(names: readonly string[], options: { readonly force?: boolean } = {}): Promise<void> {
    return evict(this.#ports, names, options)
  }

  /** Holds a pool for the engine: the one asked for, or one of the cluster's choice. */
  async requestPool(wish: PoolWish): Promise<{ poolId: string; pool: Cidr }> {
    const deadline = this.#ports.clock.now() + requestMs
    const pool =
      wish.pool === null
        ? await this.#requests.choose(wish, deadline)
        : await this.#requests.take(wish, wish.pool, deadline)
    return { poolId: poolIdOf(pool.name), pool: pool.name.cidr }
  }

  /** Lets go of a pool with all that is in it. A pool that is not held is fine. */
  async releasePool(poolId: string): Promise<void> {
    const name = parsePoolId(poolId)
    const pool = name === null ? undefined : this.#holdings.pools.get(poolKeyOf(name))
    if (pool === undefined) return this.#holdings.writer.durable()
    if (pool.name.kind === 'books') this.#ports.cluster.withdrawSwarmPool(pool.key)
    await this.#holdings.drop(pool)
  }

  /** Hands out an address of a held pool, as text with the pool's prefix length. */
  async requestAddress(wish: AddressWish): Promise<string> {
    const name = requirePoolId(wish.poolId)
    const deadline = this.#ports.clock.now() + requestMs
    const pool = this.#holdings.pools.get(poolKeyOf(name))
    if (pool === undefined) throw poolNotFound(poolKeyOf(name))
    const ip = await this.#allocateFor(pool, wish, deadline)
    return ipWithLength(ip, pool.name.cidr)
  }

  /** Frees an address. One that is not handed out is fine. */
  async releaseAddress({ poolId, address }: { poolId: string; address: Ip }): Promise<void> {
    const name = parsePoolId(poolId)
    if (name !== null) await this.freeLease(poolKeyOf(name), address)
  }

  /** The key of the pool that a network's IPAM data means; see `bindings.ts`. */
  poolFor(cidr: Cidr, overlay: string | undefined, space: string): string | null {
    return poolFor(this.#holdings.pools, cidr, overlay, space)
  }

  /** Notes which network has a pool, before CreateNetwork is answered. */
  bindPool(poolKey: string, networkId: string): Promise<void> {
    return bindPool(this.#holdings, poolKey, networkId)
  }

  /**
   * Notes that a network is gone. A pool that is released already, or another network's, is fine.
   */
  unbindPool(poolKey: string, networkId: string): Promise<void> {
    return unbindPool(this.#holdings, poolKey, networkId)
  }

  /** All pools that the engine holds on this host, with the gateway it was given. */
  heldPools(): HeldPool[] {
    return this.#holdings.pools.all().map(({ key, row }) => {
      const { networkId, gateway, since, auto } = row!
      return { poolKey: key, networkId, gateway, since, auto }
    })
  }

  /** The addresses that this host handed out, in one pool or in all. */
  leases(poolKey?: string): HeldLease[] {
    const pools = this.#holdings.pools.all()
    return pools
      .filter(({ key }) => poolKey === undefined || key === poolKey)
      .flatMap((pool) =>
        Array.from(pool.leases.entries(), ([offset, { since, kind }]) => {
          return { poolKey: pool.key, ip: pool.addressAt(offset), since, kind }
        }),
      )
  }

  /** Frees an address whose container is known to be gone. */
  async freeLease(poolKey: string, ip: Ip): Promise<void> {
    const pool = this.#holdings.pools.get(poolKey)
    if (pool === undefined) return this.#holdings.writer.durable()
    await releaseAddress(this.#holdings, this.#ports.clock, pool, ip)
  }

  /** A command of another room, by a registered member; see `Membership.submit`. */
  submit: Membership['submit'] = (what, deadline, command) =>
    this.#holdings.membership.submit(what, deadline, command)

  /** The state of everything, for people. */
  status(): IpamStatus {
    return statusOf(this.#ports, this.#holdings, this.#duplicates.current())
  }

  /** Resolves when nothing runs in the background; for tests. */
  async settled(): Promise<void> {
    await this.#maintenance.idle()
    await this.#allocate.blocks.settled()
  }

  async #allocateFor(pool: LocalPool, wish: AddressWish, deadline: number): Promise<Ip> {
    const { clock, cluster, random } = this.#ports
    const { address, gateway, name = null } = wish
    if (gateway) return allocateGateway(this.#holdings, cluster, pool, address, deadline)
    if (pool.name.kind !== 'shared') {
      return allocateOfSwarm(this.#holdings, clock, cluster.self, pool, address)
    }
    await this.#readiness.trust(pool, address)
    requireHeld(pool)
    if (pool.row!.networkId !== null) this.#duplicates.raise(pool.key)
    if (address === null) return allocateAny(this.#allocate, pool, name, deadline)
    const parts = { ...this.#allocate, clock, random }
    const take = (kind: Lease['kind']): Promise<void> =>
      allocateSpecific(parts, pool, address, { kind, name }, deadline)
    // Aux addresses look like any other request, but only come between RequestPool and
    // CreateNetwork. Drivers other than ours never bind a pool, so the time counts too.
    const isAuxiliary = mayBeBound(clock, pool.row!)
    if (isAuxiliary) {
      await reserve(this.#holdings, pool, address, () => take('reserved'), deadline)
    } else await take('container')
    return address
  }

  async #leave(deadline: number): Promise<number> {
    const { clock } = this.#ports
    const left = (): number => Math.max(1, deadline - clock.now())
    let returned = 0
    for (const pool of this.#holdings.pools.all()) {
      if (clock.now() >= deadline) break
      const idle = pool.idleBlocks()
      returned += await this.#holdings.releaseBlocks(pool, idle, deadline)
    }
    if (this.#kept() === 0) await this.#holdings.membership.leave(left())
    return returned
  }

  #kept(): number {
    return this.#holdings.pools
      .all()
      .reduce((sum, pool) => sum + pool.blocks.size + pool.leases.size, 0)
  }
}
