import type { ConsensusClient } from '../ports.ts'
import type { PoolView } from './pool-view.ts'
import type { Outcome } from './section.ts'

/** A pool source of the settings: prefixes of `length` within `cidr`. */
interface Source {
  readonly cidr: string
  readonly length: number
}

/**
 * The replicated state as rooms use it: one method for each command and question, as their sections
 * describe them. Rejects with QUORUM within `timeoutMs`; then the command may still be applied
 * later.
 */
export class AgreedClient {
  readonly #client: Pick<ConsensusClient, 'submit' | 'query'>
  /** This member's identity; it changes when the member has been evicted. */
  id: string

  constructor(client: Pick<ConsensusClient, 'submit' | 'query'>, id: string) {
    this.#client = client
    this.id = id
  }

  renew(timeoutMs: number) {
    return this.#submit<{ root: string }>('renew', {}, timeoutMs)
  }

  leave(timeoutMs: number) {
    return this.#submit<object>('leave', {}, timeoutMs)
  }

  tick(elapsedMs: number, timeoutMs: number) {
    return this.#submit<{ clockMs: number }>(
      'tick',
      { elapsedMs: Math.round(elapsedMs) },
      timeoutMs,
    )
  }

  /** `lapsedMs` null: by an operator's word. */
  evict(ids: readonly string[], lapsedMs: number | null, timeoutMs: number) {
    return this.#submit<{ evicted: string[] }>('evict', { ids, lapsedMs }, timeoutMs)
  }

  holdPool(pool: string, timeoutMs: number) {
    return this.#submit<PoolView>('holdPool', { pool }, timeoutMs)
  }

  choosePool(
    wish: {
      kind: 'shared' | 'books'
      overlay: string | null
      ipv6: boolean
      sources: readonly Source[]
      avoid: readonly string[]
      start: number
    },
    timeoutMs: number,
  ) {
    return this.#submit<PoolView>('choosePool', wish, timeoutMs)
  }

  releasePool(pool: string, grant: number, timeoutMs: number) {
    return this.#submit<object>('releasePool', { pool, grant }, timeoutMs)
  }

  gateway(pool: string, wanted: string | null, timeoutMs: number) {
    return this.#submit<PoolView>('gateway', { pool, wanted }, timeoutMs)
  }

  reserve(pool: string, offset: number, timeoutMs: number) {
    return this.#submit<PoolView>('reserve', { pool, offset }, timeoutMs)
  }

  unreserve(pool: string, offset: number, timeoutMs: number) {
    return this.#submit<PoolView>('unreserve', { pool, offset }, timeoutMs)
  }

  claim(pool: string, wish: { total: number; first: number; last: number }, timeoutMs: number) {
    type Claimed = { view: PoolView; owners: { member: string; blocks: number }[] }
    return this.#submit<Claimed>('claim', { pool, ...wish }, timeoutMs)
  }

  claimBlock(pool: string, block: number, timeoutMs: number) {
    return this.#submit<PoolView>('claimBlock', { pool, block }, timeoutMs)
  }

  /** Blocks by index and loans by offset, each with its grant. */
  release(
    pool: string,
    blocks: readonly (readonly [number, number])[],
    loans: readonly (readonly [number, number])[],
    timeoutMs: number,
  ) {
    return this.#submit<PoolView>('release', { pool, blocks, loans }, timeoutMs)
  }

  lend(pool: string, offset: number, to: string, timeoutMs: number) {
    type Lent = { view: PoolView; grant: number }
    return this.#submit<Lent>('lend', { pool, offset, to }, timeoutMs)
  }

  attachOverlay(
    wish: {
      overlayId: string
      encrypted: boolean
      vni: number | null
      start: number
      avoid: readonly number[]
    },
    timeoutMs: number,
  ) {
    return this.#submit<{ vni: number }>('attachOverlay', wish, timeoutMs)
  }

  detachOverlay(overlayId: string, grant: number, timeoutMs: number) {
    return this.#submit<object>('detachOverlay', { overlayId, grant }, timeoutMs)
  }

  attachedOverlays(timeoutMs: number) {
    type Attached = { overlayId: string; vni: number }
    type Answer = { known: boolean; grant: number; overlays: readonly Attached[] }
    return this.#ask<Answer>('attachedOverlays', {}, timeoutMs)
  }

  claimName(name: string, overlayId: string, timeoutMs: number) {
    return this.#submit<{ grant: number }>('claimName', { name, overlayId }, timeoutMs)
  }

  releaseName(name: string, grant: number, timeoutMs: number) {
    return this.#submit<object>('releaseName', { name, grant }, timeoutMs)
  }

  /** All that this member has; `known` is false when the registry does not have it. */
  async holdings(timeoutMs: number): Promise<Holdings> {
    type Page = Holdings & { more: boolean }
    let page = await this.#ask<Page>('holdings', { after: '' }, timeoutMs)
    const { index } = page
    const pools = [...page.pools]
    while (page.more) {
      page = await this.#ask<Page>('holdings', { after: pools.at(-1)!.pool }, timeoutMs)
      pools.push(...page.pools)
    }
    return { known: page.known, index, pools }
  }

  whoHas(pool: string, block: number, offset: number, timeoutMs: number) {
    type Owners = { owner: string | null; borrower: string | null; reserver: string | null }
    return this.#ask<Owners>('whoHas', { pool, block, offset }, timeoutMs)
  }

  usage(pool: string, timeoutMs: number) {
    return this.#ask<{ member: string; blocks: number }[]>('usage', { pool }, timeoutMs)
  }

  members(timeoutMs: number) {
    return this.#ask<{ name: string; id: string; silentMs: number }[]>('members', {}, timeoutMs)
  }

  async #submit<T>(op: string, fields: object, timeoutMs: number): Promise<Outcome<T>> {
    const command = encode({ op, id: this.id, ...fields })
    return decode<Outcome<T>>(await this.#client.submit(command, { timeoutMs }))
  }

  async #ask<T>(op: string, fields: object, timeoutMs: number): Promise<T> {
    const asked = encode({ op, id: this.id, ...fields })
    const outcome = decode<Outcome<T>>(await this.#client.query(asked, { timeoutMs }))
    if ('ok' in outcome) return outcome.ok
    // Every question is answered; one that is not comes from code that another voter does not have.
    throw new Error(`the voters do not know the question ${op}: ${outcome.refused.code}`)
  }
}

export interface Holdings {
  /** Whether the registry has this member. */
  readonly known: boolean
  /** What is not in `pools` was not this member's here in the log. */
  readonly index: number
  readonly pools: readonly PoolView[]
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(bytes)) as T
}
