/**
 * Addresses. A pool is divided into blocks; the cluster agrees on which member owns which block
 * (`consensus`), and a member hands out addresses of its own blocks without asking anybody.
 *
 * The invariant: no address of a pool is held by two members of one cluster, whatever is lost, cut
 * or restarted. What is agreed is on this host's disk before it is used, and what is given up
 * before the others are told. This room never waits for a member without a bound, and lets no clock
 * decide who has what, but for the eviction of members that stay away (`membership/membership.ts`).
 */
import { attempt, isBug, OverlayError } from '../base/errors.ts'
import { type Cidr, ipWithLength } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { poolKeyOf } from '../net/pool-key.ts'
import { BlockAllocator } from './blocks/block-allocator.ts'
import { requireHeld } from './errors.ts'
import { Holdings } from './holdings.ts'
import { allocateAny, type AllocateParts } from './leases/allocate-any.ts'
import { allocateOfSwarm, allocateSpecific, reserve } from './leases/allocate-specific.ts'
import { Duplicates } from './leases/duplicates.ts'
import { Lending } from './leases/lending.ts'
import { Maintenance } from './maintenance.ts'
import { Eviction } from './membership/eviction.ts'
import type { Membership } from './membership/membership.ts'
import { PeerRequests } from './peer-requests.ts'
import { parsePoolId, poolIdOf } from '../net/pool-id.ts'
import { Bindings } from './pools/bindings.ts'
import { allocateGateway } from './pools/gateway.ts'
import type { LocalPool } from './pools/local-pool.ts'
import { mayBeBound, PoolRequests, type PoolWish } from './pools/pool-requests.ts'
import type { IpamPorts } from './ports.ts'
import { Readiness } from './readiness.ts'
import { type IpamStatus, statusOf } from './status.ts'

/** Requests are answered within 8 s: a question that begins before this ends 2.7 s later, ms. */
const requestMs = 4500

/** Failures to get an address of one subnet, after which another may have one. */
const goesOn: readonly string[] = ['POOL_EXHAUSTED', 'QUORUM', 'DEADLINE']

/** What the engine asks for; `name` is the container's, where the engine tells it. */
interface AddressWish {
  readonly poolId: string
  readonly address: Ip | null
  readonly gateway: boolean
  readonly name?: string | null
}

/** The room's face: what the engine's IPAM calls and the driver ask for. */
export class Ipam {
  readonly bindings: Bindings
  readonly #ports: IpamPorts
  readonly #holdings: Holdings
  readonly #peers: PeerRequests
  readonly #requests: PoolRequests
  readonly #allocate: AllocateParts
  readonly #duplicates: Duplicates
  readonly #readiness: Readiness
  readonly #maintenance: Maintenance
  readonly #eviction: Eviction

  /** Reads what the store has; speaks with nobody before `start`. Throws STORE for an older one. */
  constructor(ports: IpamPorts) {
    this.#ports = ports
    const holdings = (this.#holdings = new Holdings(ports))
    const peers = (this.#peers = new PeerRequests(ports.cluster))
    const requests = (this.#requests = new PoolRequests(ports, holdings))
    const lending = new Lending({ ...ports, holdings, peers })
    const blocks = new BlockAllocator({ ...ports, holdings, peers, lending })
    this.bindings = new Bindings(holdings)
    this.#allocate = { ...ports, holdings, blocks, lending, peers }
    const duplicates = (this.#duplicates = new Duplicates(ports, holdings))
    const readiness = (this.#readiness = new Readiness(holdings, ports))
    const parts = { ...ports, holdings, requests, blocks, lending, peers, duplicates, readiness }
    this.#maintenance = new Maintenance(parts)
    this.#eviction = new Eviction(ports, peers)
    ports.consensus.onClusterChange(() => readiness.forget())
  }

  async start(): Promise<void> {
    const { lending } = this.#allocate
    await this.#holdings.membership.open()
    this.#peers.listen((from, asked) =>
      asked.kind === 'lend' ? lending.lend(from, asked) : lending.spare(asked),
    )
    for (const { key, name } of this.#holdings.pools.values()) {
      if (name.kind === 'manager') this.#ports.cluster.publishSwarmPool(key)
    }
    this.#readiness.start()
    this.#maintenance.every.start(0)
    this.#eviction.every.start()
  }

  async stop(): Promise<void> {
    for (const { every } of [this.#eviction, this.#maintenance]) {
      every.stop()
      await every.idle()
    }
  }

  /**
   * Before a graceful leave: gives back all blocks that no container uses and, when none has an
   * address, our membership too. Never rejects, takes about `timeoutMs` at most.
   */
  async left(timeoutMs = 2000): Promise<{ returned: number; kept: number }> {
    const { clock, logger } = this.#ports
    const deadline = clock.now() + timeoutMs
    await this.stop()
    const { membership, pools } = this.#holdings
    let returned = 0
    const leave = async (): Promise<void> => {
      for (const pool of pools.values()) {
        if (clock.now() >= deadline) return
        returned += await this.#holdings.releaseBlocks(pool, pool.idleBlocks(), deadline)
      }
      if (this.#kept() === 0) await membership.leave(Math.max(1, deadline - clock.now()))
    }
    await attempt(leave, (error) => logger.warn('left without giving everything back', { error }))
    return { returned, kept: this.#kept() }
  }

  evict(names: readonly string[], options: { readonly force?: boolean } = {}): Promise<void> {
    return this.#eviction.byHand(names, options.force ?? false)
  }

  /** Holds a pool for the engine: the one asked for, or one of the cluster's choice. */
  async requestPool(wish: PoolWish): Promise<{ poolId: string; pool: Cidr }> {
    const deadline = this.#ports.clock.now() + requestMs
    const { name } =
      wish.pool === null
        ? await this.#requests.choose(wish, deadline)
        : await this.#requests.take(wish, wish.pool, deadline)
    return { poolId: poolIdOf(name), pool: name.cidr }
  }

  /** Lets go of a pool with all that is in it. A pool that is not held is fine. */
  async releasePool(poolId: string): Promise<void> {
    const name = parsePoolId(poolId)
    const pool = name === null ? undefined : this.#holdings.pools.get(poolKeyOf(name))
    if (pool === undefined) return this.#holdings.writer.durable()
    if (pool.name.kind === 'manager') this.#ports.cluster.withdrawSwarmPool(pool.key)
    await this.#holdings.drop(pool)
  }

  /** Hands out an address of a held pool, as text with the pool's prefix length. */
  async requestAddress(wish: AddressWish): Promise<string> {
    const deadline = this.#ports.clock.now() + requestMs
    const name = parsePoolId(wish.poolId)
    const first = this.#holdings.pool(name === null ? wish.poolId : poolKeyOf(name))
    const [pool, ...more] = wish.gateway ? [first] : this.bindings.subnetsFor(first, wish.address)
    return this.#allocateFrom(pool!, more, { ...wish, deadline })
  }

  async releaseAddress({ poolId, address }: { poolId: string; address: Ip }): Promise<void> {
    const name = parsePoolId(poolId)
    if (name !== null) await this.bindings.freeLease(poolKeyOf(name), address)
  }

  /** A command of another room, by a registered member; see `Membership.submit`. */
  submit: Membership['submit'] = (what, deadline, command) =>
    this.#holdings.membership.submit(what, deadline, command)

  status(): IpamStatus {
    return statusOf(this.#ports, this.#holdings, this.#duplicates.current())
  }

  /**
   * The engine takes an error for the end, so the next subnet's address answers for a full one, and
   * for one of which a host that is cut off gets no more.
   */
  async #allocateFrom(
    pool: LocalPool,
    [next, ...more]: readonly LocalPool[],
    wish: AddressWish & { readonly deadline: number },
  ): Promise<string> {
    try {
      return ipWithLength(await this.#allocateFor(pool, wish, wish.deadline), pool.name.cidr)
    } catch (error) {
      const code = error instanceof OverlayError ? error.code : ''
      if (next === undefined || !goesOn.includes(code)) throw error
      return this.#allocateFrom(next, more, wish).catch((other: unknown) => {
        throw code === 'POOL_EXHAUSTED' || isBug(other) ? other : error
      })
    }
  }

  async #allocateFor(pool: LocalPool, wish: AddressWish, deadline: number): Promise<Ip> {
    const { address: ip, gateway, name = null } = wish
    if (gateway) return allocateGateway(this.#holdings, pool, ip, deadline)
    if (pool.name.kind !== 'shared') return allocateOfSwarm(this.#allocate, pool, ip)
    await this.#readiness.trust(pool, ip)
    requireHeld(pool)
    if (pool.row!.networkId !== null) this.#duplicates.raise(pool.key)
    if (ip === null) return allocateAny(this.#allocate, { pool, name, deadline })
    const asked = { pool, name, deadline, ip, kind: 'container' } as const
    // Aux addresses look like any other request, but only come between RequestPool and
    // CreateNetwork. Drivers other than ours never bind a pool, so the time counts too.
    const isAuxiliary = mayBeBound(this.#ports.clock, pool.row!)
    await (isAuxiliary ? reserve(this.#allocate, asked) : allocateSpecific(this.#allocate, asked))
    return ip
  }

  #kept(): number {
    const pools = [...this.#holdings.pools.values()]
    return pools.reduce((sum, pool) => sum + pool.blocks.size + pool.leases.size, 0)
  }
}
