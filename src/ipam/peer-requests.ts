import * as v from 'valibot'
import { failure } from '../base/errors.ts'
import { parsePoolKey } from '../net/pool-key.ts'
import type { IpamCluster, MemberState } from './ports.ts'

/**
 * What members ask each other about addresses, besides what the voters decide. What comes in passes
 * these schemas, or is answered with an error and changes nothing.
 */

/** An answer is waited for this long, ms; an owner asks the voters before it lends. */
const answerMs = 2500
/** More addresses than this are not in one message. */
export const maxItems = 256

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const poolKey = v.pipe(
  v.string(),
  v.maxLength(128),
  v.check((key) => parsePoolKey(key) !== null),
)
const items = v.pipe(v.array(v.object({ pool: poolKey, offset: count })), v.maxLength(maxItems))

const request = v.variant('kind', [
  /** Lend us this address of a block of yours. */
  v.object({ kind: v.literal('lend'), pool: poolKey, offset: count }),
  /** We have no address left from `first` to `last`; what can you do without? */
  v.object({ kind: v.literal('spare'), pool: poolKey, first: count, last: count, wanted: count }),
  /** Containers of ours have these addresses, which others have too; have yours? */
  v.object({ kind: v.literal('duplicates'), items }),
])

const answer = v.variant('kind', [
  v.object({ kind: v.literal('lent'), grant: count }),
  /** A container of the owner has it, or it has no such block. */
  v.object({ kind: v.literal('refused'), reason: v.picklist(['in use', 'not ours', 'later']) }),
  v.object({
    kind: v.literal('spared'),
    released: count,
    offers: v.pipe(v.array(count), v.maxLength(maxItems)),
  }),
  v.object({ kind: v.literal('duplicates'), items }),
])

export type Request = v.InferOutput<typeof request>
export type Answer = v.InferOutput<typeof answer>
export type AnswerTo<K extends Request['kind']> = {
  lend: Extract<Answer, { kind: 'lent' | 'refused' }>
  spare: Extract<Answer, { kind: 'spared' }>
  duplicates: Extract<Answer, { kind: 'duplicates' }>
}[K]
/** An address by its pool and offset. */
export type Item = v.InferOutput<typeof items>[number]

/** How a member answers each kind of request. */
type Responders = {
  readonly [K in Request['kind']]: (
    from: string,
    request: Extract<Request, { kind: K }>,
  ) => Promise<AnswerTo<K>> | AnswerTo<K>
}

const answersTo = {
  lend: ['lent', 'refused'],
  spare: ['spared'],
  duplicates: ['duplicates'],
} satisfies Record<Request['kind'], readonly Answer['kind'][]>

/** The other members, as far as this room asks them something. */
export class PeerRequests {
  readonly #cluster: IpamCluster

  constructor(cluster: IpamCluster) {
    this.#cluster = cluster
  }

  /** Rejects with MEMBER_AWAY, DEADLINE or MEMBER_ERROR. */
  async ask<K extends Request['kind']>(
    member: string,
    body: Extract<Request, { kind: K }>,
  ): Promise<AnswerTo<K>> {
    const raw = await this.#cluster.ask(member, body, answerMs)
    const parsed = v.safeParse(answer, raw)
    const kinds: readonly string[] = answersTo[body.kind]
    if (parsed.success && kinds.includes(parsed.output.kind)) return parsed.output as AnswerTo<K>
    throw failure('MEMBER_ERROR', `${member} gave an odd answer about addresses`)
  }

  listen(responders: Responders): void {
    this.#cluster.onAsk(async (from, message) => {
      const parsed = v.safeParse(request, message)
      if (!parsed.success)
        throw failure('MEMBER_ERROR', `an odd request about addresses from ${from}`)
      const body = parsed.output
      const respond = responders[body.kind] as (from: string, request: Request) => Promise<Answer>
      return respond(from, body)
    })
  }

  state(member: string): MemberState['state'] | undefined {
    for (const { name, state } of this.#cluster.members()) if (name === member) return state
    return undefined
  }

  isLive(member: string): boolean {
    const state = this.state(member)
    return state === 'alive' || state === 'suspect'
  }

  /** How many members there are, dead ones too, since they own blocks. */
  get count(): number {
    return [...this.#cluster.members()].length
  }
}
