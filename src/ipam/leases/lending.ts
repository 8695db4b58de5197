import { attempt } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock } from '../../base/clock.ts'
import { isUsable } from '../../net/pool-geometry.ts'
import type { Holdings } from '../holdings.ts'
import type { AnswerTo, PeerRequests, Request } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamCluster } from '../ports.ts'
import type { Lease } from './lease-table.ts'
import { blockedOffsets } from './offsets.ts'

/** The voters have this long before a loan is refused, ms: the borrower waits for 2.5 s. */
const lendMs = 2000

interface LendingParts {
  readonly holdings: Holdings
  readonly peers: PeerRequests
  readonly cluster: IpamCluster
  readonly clock: Clock
  readonly logger: Logger
}

/** What came of asking an owner. `away`: it did not answer. */
type Borrowed = 'got' | 'in use' | 'not ours' | 'later' | 'away'

/**
 * Single addresses out of another member's block. The owner gives its consent, since it alone knows
 * what its containers have, and has the voters note the loan, so that whoever owns the block later
 * keeps off it. The borrower uses the address only after the owner said so: a loan that the voters
 * have and nobody heard of goes back with the next view.
 */
export class Lending {
  readonly #parts: LendingParts

  constructor(parts: LendingParts) {
    this.#parts = parts
  }

  /**
   * Takes an address out of a block of `owner`, on the disk when it resolves with `got`. It is kept
   * only if it is `still` wanted then. Fails with STORE.
   */
  async borrow(
    pool: LocalPool,
    offset: number,
    owner: string,
    lease: Lease,
    still: () => boolean = () => pool.held,
  ): Promise<Borrowed> {
    const { clock, holdings, logger, peers } = this.#parts
    const wasBusy = pool.busy.has(offset)
    pool.busy.add(offset)
    try {
      const answer = await attempt(
        () => peers.ask(owner, { kind: 'lend', pool: pool.key, offset }),
        (error) => {
          logger.debug('an owner does not answer', { owner, error })
          return undefined
        },
      )
      if (answer === undefined) return 'away'
      if (answer.kind === 'refused') return answer.reason
      if (!still()) return 'later'
      const before = pool.leases.get(offset)
      const loan: Lease = { ...lease, loan: answer.grant }
      await holdings.writer.write([pool.lease(offset, loan)], () =>
        pool.revertLease(offset, loan, before, clock.now()),
      )
      return 'got'
    } finally {
      if (!wasBusy) pool.busy.delete(offset)
    }
  }

  /** The owner's side. */
  async lend(
    from: string,
    { pool: key, offset }: Extract<Request, { kind: 'lend' }>,
  ): Promise<AnswerTo<'lend'>> {
    const { cluster, holdings, logger } = this.#parts
    const pool = holdings.pools.get(key)
    const owns = pool !== undefined && pool.ownsOffset(offset) && isUsable(pool.geometry, offset)
    if (!owns) return { kind: 'refused', reason: 'not ours' }
    const isLent = pool.agreed.lent.includes(offset)
    const blocked = blockedOffsets(cluster, pool)
    if (pool.leases.get(offset) !== undefined || (blocked(offset) && !isLent)) {
      return { kind: 'refused', reason: 'in use' }
    }
    if (pool.busy.has(offset)) return { kind: 'refused', reason: 'later' }
    pool.busy.add(offset)
    try {
      const grant = await attempt(
        () => this.#agree(pool, offset, from),
        (error) => {
          logger.debug('a loan is not agreed on', { pool: key, offset, error })
          return undefined
        },
      )
      if (grant === undefined) return { kind: 'refused', reason: 'later' }
      return grant === null ? { kind: 'refused', reason: 'in use' } : { kind: 'lent', grant }
    } finally {
      pool.busy.delete(offset)
    }
  }

  /** The grant of the loan, which is on our disk too; null when the voters refuse it. */
  async #agree(pool: LocalPool, offset: number, to: string): Promise<number | null> {
    const { clock, holdings } = this.#parts
    let grant: number | null = null
    await holdings.submit(
      `a loan of ${pool.addressAt(offset)}`,
      clock.now() + lendMs,
      async (agreement, timeoutMs) => {
        const outcome = await agreement.lend(pool.key, offset, to, timeoutMs)
        if ('refused' in outcome) return outcome
        grant = outcome.ok.grant
        return { ok: outcome.ok.view }
      },
    )
    return grant
  }
}
