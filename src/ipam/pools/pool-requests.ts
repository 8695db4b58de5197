import type { Clock } from '../../base/clock.ts'
import { type OverlayError, refusal } from '../../base/errors.ts'
import { type Cidr, cidrBits, cidrIncludes } from '../../net/cidr.ts'
import {
  isOverlayId,
  maxOverlayIdLength,
  parsePoolKey,
  type PoolName,
  poolKeyOf,
} from '../../net/pool-key.ts'
import type { PoolView } from '../../net/pool-view.ts'
import { noPoolLeft, refusedByState } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import { addressSpaces } from '../../net/pool-id.ts'
import type { Command, IpamPorts, Refused } from '../ports.ts'
import { LocalPool, nothingAgreed, type PoolRow } from './local-pool.ts'

/** What `docker network create` asks for, decoded. */
export interface PoolWish {
  readonly space: string
  readonly pool: Cidr | null
  readonly subPool: Cidr | null
  readonly options: Readonly<Record<string, string>>
  readonly ipv6: boolean
}

/** For this long CreateNetwork may still come for a pool that belongs to no network, ms. */
const requestedGraceMs = 30_000
/**
 * The engine asks again and again while the answer overlaps something of its host, and holds all it
 * got. After this many pools without a network it is told that there are no more.
 */
const maxUnbound = 64
/** Prefixes that one command names. */
const maxAvoided = 1024

/** Pools for the engine: the ones asked for, and ones of the cluster's choice. */
export class PoolRequests {
  readonly #ports: IpamPorts
  readonly #holdings: Holdings
  readonly #requested = new Set<string>()

  constructor(ports: IpamPorts, holdings: Holdings) {
    this.#ports = ports
    this.#holdings = holdings
  }

  async take(wish: PoolWish, cidr: Cidr, deadline: number): Promise<LocalPool> {
    const { pools, writer, agreement } = this.#holdings
    const name = this.#nameOf(wish, cidr)
    const key = poolKeyOf(name)
    if (wish.subPool !== null && !cidrIncludes(cidr, wish.subPool)) {
      throw refusal('BAD_REQUEST', `--ip-range ${wish.subPool} is not inside --subnet ${cidr}`)
    }
    const held = pools.get(key)
    if (held !== undefined && name.kind !== 'shared') {
      await writer.durable()
      return held
    }
    this.#refuseHeld(key, held)
    this.#requested.add(key)
    try {
      if (name.kind !== 'shared') return await this.#place(name, this.#newRow(wish), null)
      const refuse = (refused: Refused): OverlayError => refusedPool(name, refused)
      return await this.#hold(`pool ${key}`, wish, deadline, agreement.holdPool(key), refuse)
    } finally {
      this.#requested.delete(key)
    }
  }

  async choose(wish: PoolWish, deadline: number): Promise<LocalPool> {
    const { cluster, random, settings } = this.#ports
    const { agreement, pools } = this.#holdings
    const { ipv6 } = wish
    const overlay = overlayOption(wish.options)
    const unbound = [...pools.values()].filter(({ row }) => row!.auto && row!.networkId === null)
    const sources = settings.pools.filter(({ cidr }) => cidrBits(cidr) === (ipv6 ? 128 : 32))
    if (unbound.length >= maxUnbound || (sources.length === 0 && !ipv6)) throw noPoolLeft(ipv6)
    const swarms = Array.from(cluster.swarmPools(), (key) => parsePoolKey(key)?.cidr)
    const local = [...Array.from(pools.values(), ({ name }) => name.cidr), ...swarms]
    const routes = (await this.#ports.hostRoutes?.()) ?? []
    const avoid = [...new Set([...local.filter((cidr) => cidr !== undefined), ...routes])]
    const kind = wish.space === addressSpaces.global ? 'manager' : 'shared'
    const command = agreement.choosePool({
      kind,
      overlay,
      ipv6,
      sources,
      avoid: avoid.slice(0, maxAvoided),
      start: random.uint32(),
    })
    return this.#hold('a new pool', wish, deadline, command, () => noPoolLeft(ipv6))
  }

  /** Asks again for a pool that the cluster does not know as ours. The refusal, or null. */
  async confirm({ key, name }: LocalPool, deadline: number): Promise<string | null> {
    const command = this.#holdings.agreement.holdPool(key)
    const outcome = await this.#holdings.submit(`pool ${key}`, deadline, command)
    return 'refused' in outcome ? refusedPool(name, outcome.refused).message : null
  }

  async #hold(
    what: string,
    wish: PoolWish,
    deadline: number,
    command: Command<PoolView>,
    refuse: (refused: Refused) => OverlayError,
  ): Promise<LocalPool> {
    let placed!: LocalPool
    const outcome = await this.#holdings.submit(what, deadline, command, async (view) => {
      placed = await this.#place(parsePoolKey(view.pool)!, this.#newRow(wish), view)
    })
    if ('refused' in outcome) throw refuse(outcome.refused)
    return placed
  }

  /** Makes the pool ours to hand out from; a write that is refused reverts it. */
  async #place(name: PoolName, row: PoolRow, view: PoolView | null): Promise<LocalPool> {
    const { clock, cluster } = this.#ports
    const { pools, writer } = this.#holdings
    const pool = pools.get(poolKeyOf(name)) ?? new LocalPool(name, null)
    pools.set(pool.key, pool)
    const before = pool.row
    const changes = [pool.set({ ...row, agreed: before?.agreed ?? nothingAgreed })]
    if (view !== null) changes.push(...pool.adopt(view, clock.wall()).changes)
    await writer.write(changes, () => {
      if (pool.row === null || pool.row.since !== row.since) return []
      if (before !== null) return [pool.set(before)]
      const blocks = Array.from(pool.blocks.keys(), (index) => pool.giveUp(index))
      this.#holdings.forget(pool)
      return [...blocks, pool.set(null)]
    })
    if (name.kind === 'manager') cluster.publishSwarmPool(pool.key)
    return pool
  }

  #newRow({ pool, subPool }: PoolWish): PoolRow {
    const none = { reserved: [], networkId: null, gateway: null, agreed: nothingAgreed }
    return { since: this.#ports.clock.wall(), auto: pool === null, subPool, ...none }
  }

  /** The pool that an explicit prefix means in an address space. */
  #nameOf(wish: PoolWish, cidr: Cidr): PoolName {
    const { cluster, settings } = this.#ports
    const overlay = overlayOption(wish.options)
    const managers: PoolName = { kind: 'manager', cidr, overlay }
    if (wish.space === addressSpaces.global) return managers
    if (wish.space !== addressSpaces.local) {
      const ours = Object.values(addressSpaces).join(', ')
      throw refusal('BAD_REQUEST', `address space ${wish.space} is none of ours: ${ours}`)
    }
    const key = poolKeyOf(managers)
    // A manager allocates and, for its own tasks, is told like any other member of the swarm.
    const isSwarms =
      this.#holdings.pools.get(key) !== undefined || [...cluster.swarmPools()].includes(key)
    return { kind: settings.scope === 'global' && isSwarms ? 'worker' : 'shared', cidr, overlay }
  }

  /** One pool is one network on a host; one that was never bound is taken over after a while. */
  #refuseHeld(key: string, pool: LocalPool | undefined): void {
    const row = pool?.row ?? null
    const network = row?.networkId?.slice(0, 12)
    const isExpected = row !== null && mayBeBound(this.#ports.clock, row)
    if (network === undefined && !isExpected && !this.#requested.has(key)) return
    const remedy =
      'to have another overlay with the same subnet on this host, keep it apart: ' +
      'give both --ipam-opt overlay=NAME and -o overlay=NAME'
    const why =
      network === undefined
        ? 'was requested on this host a moment ago and its network is not created yet; ' +
          `try again in ${requestedGraceMs / 1000} s, or ${remedy}`
        : `is used by network ${network} on this host; ${remedy}; if "docker network ls" ` +
          `does not have it, DELETE /networks/${network} (see README) removes it`
    throw refusal('POOL_IN_USE', `pool ${key} ${why}`)
  }
}

/** Whether CreateNetwork may still come for a pool; a clock that was set back says nothing. */
export function mayBeBound(clock: Clock, { networkId, since }: PoolRow): boolean {
  const ageMs = clock.wall() - since
  return networkId === null && ageMs >= 0 && ageMs < requestedGraceMs
}

/** The overlay that `--ipam-opt` keeps the pool apart for; refuses unknown options. */
function overlayOption(options: Readonly<Record<string, string>>): string | null {
  const { overlay = null, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw refusal('OPTION_UNKNOWN', `--ipam-opt ${unknown} is not known; known are: overlay`)
  }
  if (overlay === null || isOverlayId(overlay)) return overlay
  throw refusal(
    'OPTION_INVALID',
    `--ipam-opt overlay=${overlay}: an overlay id has 1 to ${maxOverlayIdLength} letters, digits, dots, dashes ` +
      'and underscores, and begins with a letter or digit',
  )
}

function refusedPool(name: PoolName, refused: Refused): OverlayError {
  const key = poolKeyOf(name)
  if (refused.code !== 'OVERLAP') return refusedByState(`pool ${key}`, refused)
  const { pool, member } = refused
  return refusal(
    'POOL_OVERLAP',
    `pool ${key} overlaps pool ${pool}, which ${member} has; choose another --subnet, or ` +
      `the same one as ${member} to be on the same overlay, or keep them apart with --ipam-opt overlay= and -o overlay=`,
  )
}
