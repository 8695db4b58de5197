import { attempt } from '../../base/errors.ts'
import { shuffled } from '../../base/random.ts'
import { blockRange, isUsable, type OffsetRange } from '../../net/pool-geometry.ts'
import type { Holdings } from '../holdings.ts'
import type { Answer, PeerRequests, Request } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamPorts } from '../ports.ts'
import type { Lease } from './lease-table.ts'

/** The voters have this long before a loan is refused, ms: the borrower waits for 2.5 s. */
const lendMs = 2000
/** This many owners are asked at once. */
const ownersAtOnce = 8
const usageMs = 1000
/** More addresses than this are not offered at a time. */
const maxOffers = 32

/** An address that its owner would lend. */
export interface Offer {
  readonly owner: string
  readonly offset: number
}

interface Spared {
  readonly released: number
  readonly offers: readonly Offer[]
}

type LendingParts = Pick<IpamPorts, 'cluster' | 'clock' | 'random' | 'logger'> & {
  readonly holdings: Holdings
  readonly peers: PeerRequests
}

/** What came of asking an owner. `away`: it did not answer. */
type Borrowed = 'got' | 'in use' | 'not ours' | 'later' | 'away'

/**
 * What owners do for others: they give blocks back that they can do without, or lend addresses. The
 * owner alone knows what its containers have, so it gives its consent, and has the voters note the
 * loan, so that a later owner of the block keeps off it. The borrower uses the address only after
 * the owner said so: a loan that the voters have and nobody heard of goes back with the next view.
 */
export class Lending {
  readonly #parts: LendingParts

  constructor(parts: LendingParts) {
    this.#parts = parts
  }

  /** Asks owners for what they can do without, some at a time, until one has something. */
  async askOwners(pool: LocalPool, deadline: number): Promise<Spared> {
    const { clock, cluster, holdings, peers, random } = this.#parts
    const usage = await holdings.agreement.usage(pool.key)(usageMs)
    const owners = usage.map(({ member }) => member).filter((owner) => owner !== cluster.self)
    const order = shuffled(random, owners).filter((owner) => peers.isLive(owner))
    const { first, last } = pool.window ?? pool.geometry
    const wanted = Math.min(pool.waiting, maxOffers)
    const query = { kind: 'spare', pool: pool.key, first, last, wanted } as const
    const ask = async (owner: string): Promise<Spared> => {
      const answer = await this.#tryTo('ask an owner', () => peers.ask(owner, query))
      const offers = answer?.offers.map((offset) => ({ owner, offset })) ?? []
      return { released: answer?.released ?? 0, offers }
    }
    for (let i = 0; i < order.length && clock.now() < deadline; i += ownersAtOnce) {
      const answers = await Promise.all(order.slice(i, i + ownersAtOnce).map(ask))
      const released = answers.reduce((sum, answer) => sum + answer.released, 0)
      const offers = answers.flatMap((answer) => answer.offers)
      if (released + offers.length > 0) return { released, offers }
    }
    return { released: 0, offers: [] }
  }

  /** Takes an address of `owner`, on the disk when it resolves, if it is `still` wanted then. */
  async borrow(
    pool: LocalPool,
    offset: number,
    owner: string,
    lease: Lease,
    still: () => boolean = () => pool.row !== null,
  ): Promise<Borrowed> {
    const { holdings, peers } = this.#parts
    const wasBusy = pool.busy.has(offset)
    const { epoch } = holdings
    pool.busy.add(offset)
    try {
      const request = { kind: 'lend', pool: pool.key, offset } as const
      const answer = await this.#tryTo('ask an owner', () => peers.ask(owner, request))
      if (answer === undefined) return 'away'
      if ('refused' in answer) return answer.refused
      if (!still() || epoch !== holdings.epoch) return 'later'
      await holdings.lease(pool, offset, { ...lease, loan: answer.grant })
      return 'got'
    } finally {
      if (!wasBusy) pool.busy.delete(offset)
    }
  }

  async lend(from: string, { pool: key, offset }: Request<'lend'>): Promise<Answer<'lend'>> {
    const { holdings } = this.#parts
    const pool = holdings.pools.get(key)
    const owns = pool !== undefined && pool.ownsOffset(offset) && isUsable(pool.geometry, offset)
    if (!owns) return { refused: 'not ours' }
    const isLent = pool.agreed.lent.includes(offset)
    const isBlocked = holdings.isBlocked(pool, offset) && !isLent
    if (pool.leases.get(offset) !== undefined || isBlocked) return { refused: 'in use' }
    if (pool.busy.has(offset)) return { refused: 'later' }
    pool.busy.add(offset)
    try {
      const grant = await this.#tryTo('agree on a loan', () => this.#agree(pool, offset, from))
      if (grant === undefined) return { refused: 'later' }
      return grant === null ? { refused: 'in use' } : { grant }
    } finally {
      pool.busy.delete(offset)
    }
  }

  /** An owner gives empty blocks back, else offers free addresses. */
  async spare(asked: Request<'spare'>): Promise<Answer<'spare'>> {
    const { holdings } = this.#parts
    const pool = holdings.pools.get(asked.pool)
    const first = Math.max(asked.first, pool?.geometry.first ?? 0)
    const last = Math.min(asked.last, pool?.geometry.last ?? 0)
    if (pool === undefined || first > last) return { released: 0, offers: [] }
    const blocks = this.#dispensable(pool, { first, last }, asked.wanted)
    const give = (): Promise<number> => holdings.releaseBlocks(pool, blocks)
    const released = (await this.#tryTo('give a block back', give)) ?? 0
    const offers = released > 0 ? [] : this.#lendable(pool, { first, last }, asked.wanted)
    return { released, offers }
  }

  /** The grant of the loan, which is on our disk too; null when the voters refuse it. */
  async #agree(pool: LocalPool, offset: number, to: string): Promise<number | null> {
    const { clock, holdings } = this.#parts
    const what = `a loan of ${pool.addressAt(offset)}`
    const lend = holdings.agreement.lend(pool.key, offset, to)
    const outcome = await holdings.submit(what, clock.now() + lendMs, lend)
    return 'ok' in outcome ? outcome.ok.grant : null
  }

  /** Empty blocks, as many as are wanted; one stays when no other has a free address for us. */
  #dispensable(pool: LocalPool, window: OffsetRange, wanted: number): number[] {
    const { blockSize } = pool.geometry
    const idle = pool.idleBlocks()
    const freeElsewhere = pool.fresh(this.#parts.clock.now()) - idle.length * blockSize > 0
    const kept = pool.blocks.size > idle.length && freeElsewhere ? 0 : 1
    return idle
      .slice(kept)
      .filter((index) => blockRange(pool.geometry, index, window) !== null)
      .slice(0, Math.max(1, Math.ceil(wanted / blockSize)))
  }

  #lendable(pool: LocalPool, window: OffsetRange, wanted: number): number[] {
    const { holdings } = this.#parts
    const offers: number[] = []
    for (const index of pool.blocks.keys()) {
      const range = blockRange(pool.geometry, index, window)
      for (let offset = range?.first ?? 0; offset <= (range?.last ?? -1); offset++) {
        if (offers.length >= Math.min(wanted, maxOffers)) return offers
        const isFree = pool.leases.get(offset) === undefined && !holdings.isBlocked(pool, offset)
        if (isFree) offers.push(offset)
      }
    }
    return offers
  }

  #tryTo<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    return attempt(work, (error) => {
      this.#parts.logger.debug(`could not ${what}`, { error })
      return undefined
    })
  }
}
