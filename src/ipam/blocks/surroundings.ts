import { parsePoolKey } from '../../net/pool-key.ts'
import type { Ip } from '../../net/ip.ts'
import type { BlockRecord, IpamCluster, PoolRecord } from '../ports.ts'
import type { HeldPool } from '../pools/held-pool.ts'

/**
 * What the others publish about pools and blocks, kept by pool until something changes. A view may be behind: votes
 * decide, records only save asking in vain and tell people names.
 */
export class Surroundings {
  readonly #cluster: IpamCluster
  readonly #owners = new Map<string, ReadonlyMap<number, BlockRecord>>()
  readonly #reserved = new Map<string, ReadonlySet<number>>()
  #pools: readonly PoolRecord[] | null = null
  readonly #counts: (member: string) => boolean

  /** `counts`: whether a member is one whose blocks are its own; those of a forgotten one may still be published. */
  constructor(cluster: IpamCluster, counts: (member: string) => boolean) {
    this.#cluster = cluster
    this.#counts = counts
  }

  /** Forgets what was looked up: records, members or our own pools changed. */
  changed(): void {
    this.#owners.clear()
    this.#reserved.clear()
    this.#pools = null
  }

  /** By index the blocks of a pool that others publish as theirs. */
  owners(poolKey: string): ReadonlyMap<number, BlockRecord> {
    let owners = this.#owners.get(poolKey)
    if (owners === undefined) {
      owners = this.#earliest(poolKey)
      this.#owners.set(poolKey, owners)
    }
    return owners
  }

  /** All pools that other members hold. */
  pools(): readonly PoolRecord[] {
    this.#pools ??= Array.from(this.#cluster.pools()).filter(
      ({ member, poolKey }) => member !== this.#cluster.self && parsePoolKey(poolKey) !== null,
    )
    return this.#pools
  }

  /** Other members that hold this very pool. */
  holders(poolKey: string): PoolRecord[] {
    return this.pools().filter((record) => record.poolKey === poolKey)
  }

  /** Offsets that are set aside in the cluster: gateways and reserved addresses, our own among them. */
  reserved(pool: HeldPool): ReadonlySet<number> {
    let offsets = this.#reserved.get(pool.key)
    if (offsets === undefined) {
      const notices = [pool.notice, ...this.holders(pool.key)].filter((notice) => notice !== null)
      const addresses = notices.flatMap(({ gateway, reserved }) => [gateway, ...reserved])
      const known = addresses.filter((ip) => ip !== null).map((ip) => pool.offset(ip))
      offsets = new Set(known.filter((offset) => offset !== null))
      this.#reserved.set(pool.key, offsets)
    }
    return offsets
  }

  /** Who set an address of the pool aside, and for what; null when nobody of the others did. */
  reservation(pool: HeldPool, ip: Ip): { member: string; as: string } | null {
    for (const { member, gateway, reserved } of this.holders(pool.key)) {
      if (gateway === ip) return { member, as: 'the gateway' }
      if (reserved.includes(ip)) return { member, as: 'a reserved address' }
    }
    return null
  }

  /** When two publish one block, the earlier is shown. */
  #earliest(poolKey: string): Map<number, BlockRecord> {
    const owners = new Map<number, BlockRecord>()
    for (const record of this.#cluster.blocks(poolKey)) {
      const { owner, index, since } = record
      if (owner === this.#cluster.self || !this.#counts(owner)) continue
      const known = owners.get(index)
      if (known === undefined || since < known.since) owners.set(index, record)
    }
    return owners
  }
}
