import type { ConsensusClient } from '../ports.ts'
import type { PoolView } from '../../net/pool-view.ts'
import type { Outcome } from './section.ts'

/** Submits a command, or asks; rejects with QUORUM within that time, ms. */
type Timed<T> = (timeoutMs: number) => Promise<T>

/** Blocks by index, or loans by offset, each with its grant. */
type Granted = readonly (readonly [number, number])[]

/** What `attachOverlay` is given. */
interface OverlayWish {
  readonly overlayId: string
  readonly encrypted: boolean
  readonly vni: number | null
  readonly start: number
  readonly avoid: readonly number[]
}

/** What `choosePool` is given. */
interface PoolWish {
  readonly kind: 'shared' | 'manager'
  readonly overlay: string | null
  readonly ipv6: boolean
  readonly sources: readonly { readonly cidr: string; readonly length: number }[]
  readonly avoid: readonly string[]
  readonly start: number
}

interface Usage {
  readonly member: string
  readonly blocks: number
}

/** What a member has, or a page of that. */
interface Holdings {
  /** Whether the registry has this member. */
  readonly known: boolean
  /** What is not in `pools` was not this member's here in the log. */
  readonly index: number
  readonly pools: readonly PoolView[]
}

/**
 * The replicated state as rooms use it: one method for each command and question, as their sections
 * describe them. A command may still be applied after it rejected.
 */
export class AgreedClient {
  readonly #client: Pick<ConsensusClient, 'submit' | 'query'>
  /** This member's identity; it changes when the member has been evicted. */
  id: string

  constructor(client: Pick<ConsensusClient, 'submit' | 'query'>, id: string) {
    this.#client = client
    this.id = id
  }

  renew = () => this.#command<{ root: string }>('renew', {})
  leave = () => this.#command<object>('leave', {})
  tick = (elapsedMs: number) =>
    this.#command<{ clockMs: number }>('tick', { elapsedMs: Math.round(elapsedMs) })
  /** `lapsedMs` null: by an operator's word. */
  evict = (ids: readonly string[], lapsedMs: number | null) =>
    this.#command<{ evicted: string[] }>('evict', { ids, lapsedMs })

  holdPool = (pool: string) => this.#command<PoolView>('holdPool', { pool })
  choosePool = (wish: PoolWish) => this.#command<PoolView>('choosePool', wish)
  releasePool = (pool: string, grant: number) =>
    this.#command<object>('releasePool', { pool, grant })
  gateway = (pool: string, wanted: string | null) =>
    this.#command<PoolView>('gateway', { pool, wanted })
  reserve = (pool: string, offset: number) => this.#command<PoolView>('reserve', { pool, offset })
  unreserve = (pool: string, offset: number) =>
    this.#command<PoolView>('unreserve', { pool, offset })
  claim = (pool: string, wish: { total: number; first: number; last: number }) =>
    this.#command<{ view: PoolView; owners: readonly Usage[] }>('claim', { pool, ...wish })
  holdParts = (pool: string, lower: boolean) =>
    this.#command<PoolView>('holdParts', { pool, lower })
  claimBlock = (pool: string, block: number) =>
    this.#command<PoolView>('claimBlock', { pool, block })
  release = (pool: string, blocks: Granted, loans: Granted) =>
    this.#command<PoolView>('release', { pool, blocks, loans })
  lend = (pool: string, offset: number, to: string) =>
    this.#command<{ view: PoolView; grant: number }>('lend', { pool, offset, to })

  attachOverlay = (wish: OverlayWish) => this.#command<{ vni: number }>('attachOverlay', wish)
  detachOverlay = (overlayId: string, grant: number) =>
    this.#command<object>('detachOverlay', { overlayId, grant })

  attachedOverlays = () =>
    this.#question<{
      readonly known: boolean
      readonly grant: number
      readonly overlays: readonly { overlayId: string; vni: number }[]
    }>('attachedOverlays', {})
  whoHas = (pool: string, block: number, offset: number) =>
    this.#question<{ owner: string | null; borrower: string | null; reserver: string | null }>(
      'whoHas',
      { pool, block, offset },
    )
  usage = (pool: string) => this.#question<readonly Usage[]>('usage', { pool })
  members = () => this.#question<{ name: string; id: string; silentMs: number }[]>('members', {})

  /** All that this member has. */
  holdings = (): Timed<Holdings> => async (timeoutMs) => {
    const pageAfter = (after: string) =>
      this.#question<Holdings & { more: boolean }>('holdings', { after })(timeoutMs)
    let page = await pageAfter('')
    const { index } = page
    const pools = [...page.pools]
    while (page.more) {
      page = await pageAfter(pools.at(-1)!.pool)
      pools.push(...page.pools)
    }
    return { known: page.known, index, pools }
  }

  #command<T>(op: string, fields: object): Timed<Outcome<T>> {
    return async (timeoutMs) => {
      const command = encode({ op, id: this.id, ...fields })
      return decode<Outcome<T>>(await this.#client.submit(command, { timeoutMs }))
    }
  }

  #question<T>(op: string, fields: object): Timed<T> {
    return async (timeoutMs) => {
      const asked = encode({ op, id: this.id, ...fields })
      const outcome = decode<Outcome<T>>(await this.#client.query(asked, { timeoutMs }))
      if ('ok' in outcome) return outcome.ok
      // Every question is answered; one that is not is of code that another voter does not have.
      throw new Error(`the voters do not know the question ${op}: ${outcome.refused.code}`)
    }
  }
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(bytes)) as T
}
