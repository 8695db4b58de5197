/**
 * Addresses without a store. A pool is divided into blocks; a member owns a block when a majority of the voters gave it
 * their vote; it hands out addresses of its own blocks without asking anybody.
 *
 * The invariant: no address of a pool is held by two members of one cluster, whatever is lost, cut or
 * restarted. Votes, the roster of voters, owned blocks, pools and addresses are on the disk before an answer or a message
 * promises something of them. This room does not speak with the engine or the kernel, never waits for a member without a
 * bound, and lets no clock decide who has what, but for the forgetting of those who stay away (`voting/fence.ts`).
 */
import { poolKeyOf } from '../net/pool-key.ts'
import { refusal } from '../base/errors.ts'
import { type Cidr, ipWithLength } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { takeAny } from './addresses/automatic.ts'
import { choosePool } from './pools/automatic-pool.ts'
import { takeThis } from './addresses/explicit.ts'
import { freeAddress, freePool } from './addresses/freeing.ts'
import { takeGateway } from './pools/gateway.ts'
import type { HeldPool } from './pools/held-pool.ts'
import type { Lease } from './addresses/lease-table.ts'
import { addressAt } from '../net/pool-geometry.ts'
import { mayBeBound, type PoolWish, takePool } from './pools/pool-requests.ts'
import { reserve } from './addresses/reserved.ts'
import { takeTold } from './addresses/told-pool.ts'
import type { IpamPorts, StoreChange } from './ports.ts'
import { addressSpaces, parsePoolId, poolIdOf, requirePoolId } from './pool-id.ts'
import { poolNotFound, requireHeld } from './refusals.ts'
import { type IpamStatus, membersOf, statusOf } from './status.ts'
import { Upkeep } from './upkeep.ts'
import { awaitGateways, awaitPools, awaitTrust, needsOthers } from './waiting.ts'

/**
 * We answer every request within 8 s (`plugin-server.ts`); a question to members that begins before this can end after
 * another 2.1, ms.
 */
const requestMs = 4500

/** An address that this host handed out. */
interface HeldLease extends Pick<Lease, 'since' | 'kind'> {
  readonly poolKey: string
  readonly ip: Ip
}

/** The room's face: what the engine's IPAM calls and the driver ask for. */
export class Ipam {
  readonly #upkeep: Upkeep

  /** Reads what the store has; speaks with nobody before `start`. */
  constructor(ports: IpamPorts) {
    this.#upkeep = new Upkeep(ports)
  }

  /** Tells the others what this host has, and begins to take part. */
  start(): Promise<void> {
    return this.#upkeep.start()
  }

  /** Ends all timers; as a crash, but tidy. */
  stop(): Promise<void> {
    return this.#upkeep.stop()
  }

  /** Before a graceful leave: gives back what no container uses. Never rejects, takes about `timeoutMs` at most. */
  left(timeoutMs = 2000): Promise<{ returned: number; kept: number }> {
    return this.#upkeep.leave(timeoutMs)
  }

  /**
   * On an operator's word that these members are gone for good, containers and all, agrees with the others on it: their
   * blocks are free from then on. When so many are gone that no majority is left, name them all at once. Fails with
   * NO_MAJORITY.
   */
  forget(...members: string[]): Promise<void> {
    return this.#upkeep.forget(members, true)
  }

  /**
   * The same for members that have been away too long, without an operator: a majority of all voters has to agree, those
   * named included, so that a part of the cluster that is cut off never forgets the rest.
   */
  forgetAway(...members: string[]): Promise<void> {
    return this.#upkeep.forget(members, false)
  }

  /** Holds a pool for the engine: the one asked for, or one of our choice. */
  async requestPool(wish: PoolWish): Promise<{ poolId: string; pool: Cidr }> {
    const { context } = this.#upkeep
    const deadline = context.clock.now() + requestMs
    await awaitPools(this.#upkeep, wish)
    const pool =
      wish.pool === null
        ? await choosePool(context, wish, deadline)
        : await takePool(context, wish, wish.pool)
    return { poolId: poolIdOf(pool.name), pool: pool.name.cidr }
  }

  /** Lets go of a pool with all that is in it. A pool that is not held is fine. */
  async releasePool(poolId: string): Promise<void> {
    const name = parsePoolId(poolId)
    const { context } = this.#upkeep
    const pool = name === null ? undefined : context.shelf.held(poolKeyOf(name))
    if (pool === undefined) await context.store.durable()
    else await freePool(context, pool)
  }

  /** Hands out an address of a held pool, as text with the pool's prefix length. */
  async requestAddress(wish: {
    poolId: string
    address: Ip | null
    gateway: boolean
  }): Promise<string> {
    const { context } = this.#upkeep
    const name = requirePoolId(wish.poolId)
    const deadline = context.clock.now() + requestMs
    const pool = context.shelf.held(poolKeyOf(name))
    if (pool === undefined) throw poolNotFound(poolKeyOf(name))
    const ip = await this.#take(pool, wish.address, wish.gateway, deadline)
    return ipWithLength(ip, pool.name.cidr)
  }

  /** Frees an address. One that is not handed out is fine. */
  async releaseAddress({ poolId, address }: { poolId: string; address: Ip }): Promise<void> {
    const name = parsePoolId(poolId)
    if (name !== null) await this.freeLease(poolKeyOf(name), address)
  }

  /**
   * The key of the pool that a network's IPAM data means, and that this host holds; null when the addresses come from
   * elsewhere. Pools that no network has yet come first.
   */
  poolFor(cidr: Cidr, overlay: string | undefined, space: string): string | null {
    if (space !== addressSpaces.local && space !== addressSpaces.global) return null
    const { shelf } = this.#upkeep.context
    const ofBooks = space === addressSpaces.global
    const pools = shelf.allHeld().filter(({ name }) => {
      return name.cidr === cidr && (name.kind === 'books') === ofBooks
    })
    const unbound = pools.filter(({ row }) => row!.networkId === null)
    for (const candidates of [unbound, pools]) {
      const named = candidates.find(({ name }) => name.overlay === (overlay ?? null))
      const plain = candidates.find(({ name }) => name.overlay === null)
      const only = overlay === undefined && candidates.length === 1 ? candidates[0] : undefined
      const found = named ?? plain ?? only
      if (found !== undefined) return found.key
    }
    return null
  }

  /** Notes which network has a pool, before CreateNetwork is answered. */
  async bindPool(poolKey: string, networkId: string): Promise<void> {
    const { store, shelf } = this.#upkeep.context
    const pool = shelf.held(poolKey)
    const row = pool?.row ?? null
    if (pool === undefined || row === null) throw poolNotFound(poolKey)
    if (row.networkId === networkId) return store.durable()
    if (row.networkId !== null) {
      throw refusal(
        'POOL_IN_USE',
        `pool ${poolKey} belongs to network ${row.networkId} on this host`,
      )
    }
    await store.write([pool.set({ ...row, networkId })], () => unbound(pool, networkId))
  }

  /** Notes that a network is gone. A pool that is released already, or another network's, is fine. */
  async unbindPool(poolKey: string, networkId: string): Promise<void> {
    const { store, shelf } = this.#upkeep.context
    const pool = shelf.held(poolKey)
    await store.write(pool === undefined ? [] : unbound(pool, networkId))
  }

  /** All pools that the engine holds on this host. `since` is wall clock, ms. */
  heldPools(): { poolKey: string; networkId: string | null; gateway: Ip | null; since: number }[] {
    return this.#upkeep.context.shelf.allHeld().map(({ key, row }) => {
      const { networkId, gateway, since } = row!
      return { poolKey: key, networkId, gateway, since }
    })
  }

  /** The addresses that this host handed out, in one pool or in all. */
  leases(poolKey?: string): HeldLease[] {
    const pools = this.#upkeep.context.shelf.allHeld()
    return pools
      .filter(({ key }) => poolKey === undefined || key === poolKey)
      .flatMap((pool) =>
        Array.from(pool.leases.entries(), ([offset, { since, kind }]) => {
          return { poolKey: pool.key, ip: addressAt(pool.geometry, offset), since, kind }
        }),
      )
  }

  /** Frees an address whose container is known to be gone. */
  async freeLease(poolKey: string, ip: Ip): Promise<void> {
    const { context } = this.#upkeep
    const pool = context.shelf.held(poolKey)
    if (pool === undefined) await context.store.durable()
    else await freeAddress(context, pool, ip)
  }

  /** The members whose blocks are their own until they are forgotten, with a vote or without; none before there is a cluster. */
  members(): { name: string; state: string; seated: boolean }[] {
    return membersOf(this.#upkeep.context)
  }

  /** The state of everything, for people. */
  status(): IpamStatus {
    return statusOf(this.#upkeep.context, this.#upkeep.conflicts.current())
  }

  /** Resolves when nothing runs in the background; for tests. */
  settled(): Promise<void> {
    return this.#upkeep.settled()
  }

  async #take(pool: HeldPool, address: Ip | null, gateway: boolean, deadline: number): Promise<Ip> {
    const { conflicts, context, rollCall, supply } = this.#upkeep
    if (gateway) {
      await awaitGateways(this.#upkeep, pool)
      return takeGateway(context, pool, address)
    }
    if (pool.name.kind !== 'shared') return takeTold(context, pool, address)
    await awaitTrust(this.#upkeep, pool, address, deadline)
    if (needsOthers(this.#upkeep, pool, address)) await rollCall.gather()
    requireHeld(pool)
    if (pool.row!.networkId !== null) conflicts.raise(pool.key)
    if (address === null) return takeAny(context, supply, pool, deadline)
    if (this.#isAuxiliary(pool)) await reserve(context, supply, pool, address, deadline)
    else await takeThis(context, supply, pool, address, 'container', deadline)
    return address
  }

  /**
   * Aux addresses look like any other request, but only come between RequestPool and CreateNetwork. Drivers other than
   * ours never bind a pool, so the time counts too.
   */
  #isAuxiliary({ row }: HeldPool): boolean {
    const { clock } = this.#upkeep.context
    return mayBeBound(clock, row!)
  }
}

/** Takes a network off its pool; no row when the pool is released, or another network's. */
function unbound(pool: HeldPool, networkId: string): StoreChange[] {
  return pool.row?.networkId === networkId ? [pool.set({ ...pool.row, networkId: null })] : []
}
