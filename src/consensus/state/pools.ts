import * as v from 'valibot'
import { seededRandom } from '../../base/random.ts'
import { cidrBits, cidrContains } from '../../net/cidr.ts'
import { isUsable, offsetOf } from '../../net/pool-geometry.ts'
import { parsePoolKey, poolKeyOf, poolsClash } from '../../net/pool-key.ts'
import type { PoolView } from '../../net/pool-view.ts'
import { partsFor } from './engine-parts.ts'
import { count, granted, id, ip, list, name, poolKey } from './fields.ts'
import type { Members } from './members.ts'
import { freePools, poolWish, ulaSource } from './pool-choice.ts'
import { AgreedPool, maxBlocks, maxLoans } from './pool.ts'
import type { PoolSnapshot } from './pool-snapshot.ts'
import { type Call, type Section, Refused, memberOperation, question } from './section.ts'

/** In the whole cluster. */
const maxPools = 4096
const maxPoolsOfMember = 512
/** Owners that are named when a pool is used up. */
const maxOwnersNamed = 8
/** Views that one answer has; the rest is asked for with the last one's key. */
const maxViews = 48

const window = { first: count, last: count }

type Usage = { readonly member: string; readonly blocks: number }

/** The pools of the cluster: no two overlap in one address space. */
export class Pools implements Section {
  readonly #members: Members
  readonly #index: () => number
  readonly #pools = new Map<string, AgreedPool>()

  /** `index` is the place in the log of the command that is being applied, or of the last. */
  constructor(members: Members, index: () => number) {
    this.#members = members
    this.#index = index
  }

  readonly operations = {
    /** The caller holds this pool. */
    holdPool: memberOperation(1, v.object({ id, pool: poolKey }), ({ pool }, call) =>
      this.#hold(pool, false, call),
    ),
    /**
     * The caller holds the pool that `overlay` has; if there is none, a prefix of the sources that
     * overlaps no pool and none of `avoid`, searched from a place that `start` decides.
     */
    choosePool: memberOperation(1, poolWish, (command, call) => {
      const { kind, ipv6, avoid, start, overlay } = command
      const isSame = ({ name }: AgreedPool): boolean =>
        name.kind === kind && name.overlay === overlay && (cidrBits(name.cidr) === 128) === ipv6
      const isNamed = overlay !== null && kind === 'shared'
      const known = isNamed ? [...this.#pools.values()].find(isSame) : undefined
      if (known?.holders.has(call.member.number) === false) return this.#hold(known.key, true, call)
      const sources =
        ipv6 && command.sources.length === 0 ? [ulaSource(this.#members.root)] : command.sources
      const taken = [...avoid, ...Array.from(this.#pools.values(), ({ name }) => name.cidr)]
      const [cidr] = sources.length === 0 ? [] : freePools(sources, taken, seededRandom(start))
      if (cidr === undefined) throw new Refused('NONE_LEFT')
      const key = poolKeyOf({ kind, cidr, overlay })
      if (parsePoolKey(key) === null) throw new Refused('BAD_COMMAND')
      return this.#hold(key, true, call)
    }),
    /**
     * The caller lets go of the pool and of all that it has of it, if it holds it under that grant.
     */
    releasePool: memberOperation(
      1,
      v.object({ id, pool: poolKey, grant: count }),
      (command, call) => {
        const pool = this.#pools.get(command.pool)
        const { number } = call.member
        if (pool?.holders.get(number) === command.grant) this.#drop(pool, number)
        return {}
      },
    ),
    gateway: memberOperation(
      1,
      v.object({ id, pool: poolKey, wanted: v.nullable(ip) }),
      (command, { member }) => {
        const pool = this.#held(command.pool, member.number)
        const { wanted } = command
        const isInside = wanted !== null && cidrContains(pool.name.cidr, wanted)
        const offset = isInside ? offsetOf(pool.geometry, wanted) : null
        if (wanted !== null && (offset === null || !isUsable(pool.geometry, offset))) {
          throw new Refused('BAD_COMMAND')
        }
        this.#blaming(pool, offset, () => pool.setGateway(offset))
        return this.#view(pool, member.number)
      },
    ),
    /** Sets an address aside in the whole cluster, or not any more. */
    reserve: this.#onAddress((pool, offset, { member }) => pool.reserve(member.number, offset)),
    unreserve: this.#onAddress((pool, offset, { member }) => pool.unreserve(member.number, offset)),
    /**
     * Until the caller has `total` blocks with addresses from `first` to `last`: a wish that may be
     * repeated. When it gets fewer, the answer names the members that own most.
     */
    claim: memberOperation(
      1,
      v.object({ id, pool: poolKey, total: count, ...window }),
      (command, { at, member }) => {
        const pool = this.#held(command.pool, member.number)
        const first = Math.max(command.first, pool.geometry.first)
        const last = Math.min(command.last, pool.geometry.last)
        if (first > last) throw new Refused('BAD_COMMAND')
        pool.claim(member.number, command.total, { first, last }, at.index)
        const view = this.#view(pool, member.number)
        const isShort = view.blocks.length < command.total
        return { view, owners: isShort ? this.#owners(pool) : [] }
      },
    ),
    /** This very block. */
    claimBlock: memberOperation(
      1,
      v.object({ id, pool: poolKey, block: count }),
      (command, call) => {
        const { number } = call.member
        const pool = this.#held(command.pool, number)
        const { block } = command
        if (block >= pool.geometry.blockCount) throw new Refused('BAD_COMMAND')
        const offset = block * pool.geometry.blockSize
        this.#blaming(pool, offset, () => pool.claimBlock(number, block, call.at.index))
        return this.#view(pool, number)
      },
    ),
    /**
     * The caller holds a pool that engines hand out from, with the parts that it has of it, else
     * with the lower half or with one part of the upper.
     */
    holdParts: memberOperation(
      1,
      v.object({ id, pool: poolKey, lower: v.boolean() }),
      (command, call) => {
        const { number } = call.member
        const { pool: key, lower } = command
        const pool = this.#pools.get(key) ?? new AgreedPool(key, false)
        if (pool.name.kind !== 'engine') throw new Refused('BAD_COMMAND')
        const parts = this.#blaming(pool, 0, () => partsFor(pool, number, lower))
        this.#hold(key, false, call)
        for (const part of parts) this.#held(key, number).claimBlock(number, part, call.at.index)
        return this.#view(this.#held(key, number), number)
      },
    ),
    /** What the caller gives back: blocks and loans, each with its grant. */
    release: memberOperation(
      1,
      v.object({
        id,
        pool: poolKey,
        blocks: list(granted, maxBlocks),
        loans: list(granted, maxLoans),
      }),
      (command, { member }) => {
        const pool = this.#pools.get(command.pool)
        if (pool === undefined) throw new Refused('NOT_HELD')
        for (const [index, grant] of command.blocks) pool.releaseBlock(member.number, index, grant)
        for (const [offset, grant] of command.loans) pool.releaseLoan(member.number, offset, grant)
        const view = this.#view(pool, member.number)
        if (pool.isEmpty) this.#pools.delete(pool.key)
        return view
      },
    ),
    /** The caller lends a member an address of its own block that nobody has. */
    lend: memberOperation(
      1,
      v.object({ id, pool: poolKey, offset: count, to: name }),
      (command, { at, member }) => {
        const pool = this.#pools.get(command.pool)
        const to = this.#members.named(command.to)?.number
        if (pool === undefined || to === undefined || !pool.holders.has(to)) {
          throw new Refused('NOT_HELD')
        }
        if (!isUsable(pool.geometry, command.offset)) throw new Refused('BAD_COMMAND')
        const grant = this.#blaming(pool, command.offset, () =>
          pool.lend(member.number, command.offset, to, at.index),
        )
        return { view: this.#view(pool, member.number), grant }
      },
    ),
  }

  readonly questions = {
    /** All that a member has, by pool key from behind `after`, and whether there is more. */
    holdings: question(v.object({ id, after: v.string() }), ({ id, after }) => {
      const member = this.#members.get(id)
      if (member === undefined)
        return { known: false, index: this.#index(), pools: [], more: false }
      const keys = [...this.#pools.keys()].filter((key) => {
        return key > after && this.#pools.get(key)!.concerns(member.number)
      })
      const page = keys.sort().slice(0, maxViews)
      const pools = page.map((key) => this.#view(this.#pools.get(key)!, member.number))
      return { known: true, index: this.#index(), pools, more: keys.length > maxViews }
    }),
    /** Who owns the block of an address, who was lent it, and who set it aside. */
    whoHas: question(v.object({ pool: poolKey, block: count, offset: count }), (asked) => {
      const pool = this.#pools.get(asked.pool)
      const named = (number: number | undefined): string | null =>
        number === undefined ? null : this.#members.nameOf(number)
      return {
        owner: named(pool?.ownerOf(asked.block)),
        borrower: named(pool?.borrowerOf(asked.offset)),
        reserver: named(pool?.reserverOf(asked.offset)),
      }
    }),
    /** Who owns how many blocks of a pool. */
    usage: question(v.object({ pool: poolKey }), (asked) => {
      const pool = this.#pools.get(asked.pool)
      return pool === undefined ? [] : this.#owners(pool, Infinity)
    }),
  }

  snapshot(): PoolSnapshot[] {
    return Array.from(this.#pools.values(), (pool) => pool.snapshot())
  }

  restore(snapshot: unknown): void {
    this.#pools.clear()
    for (const pool of snapshot as PoolSnapshot[]) {
      this.#pools.set(pool.key, AgreedPool.restore(pool))
    }
  }

  memberGone(number: number): void {
    for (const pool of this.#pools.values()) this.#drop(pool, number)
  }

  #onAddress(change: (pool: AgreedPool, offset: number, call: Call) => void) {
    return memberOperation(1, v.object({ id, pool: poolKey, offset: count }), (command, call) => {
      const pool = this.#held(command.pool, call.member.number)
      this.#blaming(pool, command.offset, () => change(pool, command.offset, call))
      return this.#view(pool, call.member.number)
    })
  }

  #hold(key: string, auto: boolean, { at, member: { number: member } }: Call): PoolView {
    const known = this.#pools.get(key)
    if (known === undefined) this.#refuseOverlap(key)
    if (known?.holders.has(member) !== true) {
      let held = 0
      for (const { holders } of this.#pools.values()) if (holders.has(member)) held++
      const isFull = known === undefined && this.#pools.size >= maxPools
      if (held >= maxPoolsOfMember || isFull) throw new Refused('QUOTA')
    }
    const pool = known ?? new AgreedPool(key, auto)
    this.#pools.set(key, pool)
    pool.hold(member, at.index)
    return this.#view(pool, member)
  }

  #refuseOverlap(key: string): void {
    for (const other of this.#pools.values()) {
      if (!poolsClash(parsePoolKey(key)!, other.name)) continue
      const owners = Array.from(other.usage(), ([owner]) => owner)
      const [someone] = [...other.holders.keys(), ...owners]
      throw new Refused('OVERLAP', { pool: other.key, member: this.#members.nameOf(someone ?? 0) })
    }
  }

  #held(key: string, member: number): AgreedPool {
    const pool = this.#pools.get(key)
    if (pool?.holders.has(member) !== true) throw new Refused('NOT_HELD')
    return pool
  }

  #drop(pool: AgreedPool, member: number): void {
    pool.drop(member)
    if (pool.isEmpty) this.#pools.delete(pool.key)
  }

  /** Names who is in the way when `work` is refused for an address. */
  #blaming<T>(pool: AgreedPool, offset: number | null, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const { code } = error.refusal
      const block = offset === null ? -1 : Math.floor(offset / pool.geometry.blockSize)
      const blamed = {
        OWNED: pool.ownerOf(block),
        LENT: offset === null ? undefined : pool.borrowerOf(offset),
        OTHER_GATEWAY: pool.holders.keys().next().value,
      }[code as string]
      if (blamed === undefined) throw error
      throw new Refused(code, { ...error.refusal, member: this.#members.nameOf(blamed) })
    }
  }

  #view(pool: AgreedPool, member: number): PoolView {
    return pool.view(member, this.#index())
  }

  #owners(pool: AgreedPool, max = maxOwnersNamed): Usage[] {
    const usage = Array.from(pool.usage(), ([member, blocks]) => {
      return { member: this.#members.nameOf(member), blocks }
    })
    return usage.sort((a, b) => b.blocks - a.blocks || (a.member < b.member ? -1 : 1)).slice(0, max)
  }
}
