import { refusal } from '../../base/errors.ts'
import { type Cidr, cidrBits, cidrContains } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { Holdings } from '../holdings.ts'
import { addressSpaces } from '../../net/pool-id.ts'
import type { StoreChange } from '../ports.ts'
import type { LocalPool } from './local-pool.ts'

/** Which network has which pool, and what it has of it: the network driver's side of this room. */
export class Bindings {
  readonly #holdings: Holdings

  constructor(holdings: Holdings) {
    this.#holdings = holdings
  }

  /**
   * The key of the pool that a network's IPAM data means; null when it is none of ours. Pools that
   * no network has yet come first. Refuses one that was requested for another overlay.
   */
  poolFor(cidr: Cidr, overlay: string | undefined, space: string): string | null {
    if (space !== addressSpaces.local && space !== addressSpaces.global) return null
    const isManagers = space === addressSpaces.global
    const matching = [...this.#holdings.pools.values()].filter(({ name }) => {
      return name.cidr === cidr && (name.kind === 'manager') === isManagers
    })
    const unbound = matching.filter(({ row }) => row!.networkId === null)
    for (const candidates of [unbound, matching]) {
      const named = candidates.find(({ name }) => name.overlay === (overlay ?? null))
      const plain = candidates.find(({ name }) => name.overlay === null)
      const only = overlay === undefined && candidates.length === 1 ? candidates[0] : undefined
      const found = named ?? plain ?? only
      if (found !== undefined) return found.key
    }
    const other = unbound[0]?.name.overlay
    if (other === undefined) return null
    const options = `--ipam-opt overlay=${other} and -o overlay=${overlay ?? ''}`
    throw refusal('OPTION_INVALID', `${options} contradict; give both the same name`)
  }

  /**
   * The pools of a network that an address may come from, the one that the engine named first: it
   * knows one pool for each endpoint and family. Of an address that is asked for, those that have
   * it.
   */
  subnetsFor(first: LocalPool, address: Ip | null): LocalPool[] {
    const networkId = first.row?.networkId ?? null
    const bits = cidrBits(first.name.cidr)
    const others = [...this.#holdings.pools.values()].filter(({ name, row }) => {
      return name.kind === 'shared' && cidrBits(name.cidr) === bits && row?.networkId === networkId
    })
    if (networkId === null || first.name.kind !== 'shared') return [first]
    const all = [first, ...others.filter((pool) => pool !== first)]
    if (address === null) return all
    const having = all.filter(({ name }) => cidrContains(name.cidr, address))
    return having.length > 0 ? having : [first]
  }

  /** Notes which network has a pool, before CreateNetwork is answered. */
  async bindPool(poolKey: string, networkId: string): Promise<void> {
    const { writer } = this.#holdings
    const pool = this.#holdings.pool(poolKey)
    const row = pool.row!
    if (row.networkId === networkId) return writer.durable()
    if (row.networkId !== null) {
      const what = `pool ${poolKey} belongs to network ${row.networkId} on this host`
      throw refusal('POOL_IN_USE', what)
    }
    await writer.write([pool.set({ ...row, networkId })], () => unbound(pool, networkId))
  }

  /** Notes that a network is gone. */
  async unbindPool(poolKey: string, networkId: string): Promise<void> {
    const pool = this.#holdings.pools.get(poolKey)
    await this.#holdings.writer.write(pool === undefined ? [] : unbound(pool, networkId))
  }

  /** The pools that the engine holds, with the gateway it was given; `auto`: of our choice. */
  heldPools() {
    return [...this.#holdings.pools.values()].map(({ key, row }) => {
      const { networkId, gateway, since, auto } = row!
      return { poolKey: key, networkId, gateway, since, auto }
    })
  }

  /** The addresses that this host handed out, in one pool or in all. */
  leases(poolKey?: string) {
    const all = [...this.#holdings.pools.values()]
    const pools = all.filter(({ key }) => poolKey === undefined || key === poolKey)
    return pools.flatMap((pool) =>
      Array.from(pool.leases.entries(), ([offset, { since, kind }]) => {
        return { poolKey: pool.key, ip: pool.addressAt(offset), since, kind }
      }),
    )
  }

  async freeLease(poolKey: string, ip: Ip): Promise<void> {
    const pool = this.#holdings.pools.get(poolKey)
    if (pool === undefined) return this.#holdings.writer.durable()
    const [having] = this.subnetsFor(pool, ip)
    await this.#holdings.free(having!, ip)
  }
}

/** Takes a network off its pool; no row when the pool is released, or another network's. */
function unbound(pool: LocalPool, networkId: string): StoreChange[] {
  return pool.row?.networkId === networkId ? [pool.set({ ...pool.row, networkId: null })] : []
}
