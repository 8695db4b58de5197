import * as v from 'valibot'
import { failure } from '../base/errors.ts'
import { parsePoolKey } from '../net/pool-key.ts'
import type { IpamCluster, MemberState } from './ports.ts'

/** An answer is waited for this long, ms; an owner asks the voters before it lends. */
const answerMs = 2500
/** More addresses than this are not in one message. */
const maxOffsets = 256

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const pool = v.pipe(
  v.string(),
  v.maxLength(128),
  v.check((key) => parsePoolKey(key) !== null),
)

/** What members ask each other about addresses, and what they answer. */
const schemas = {
  /** Lend us this address of a block of yours. */
  lend: {
    request: v.object({ kind: v.literal('lend'), pool, offset: count }),
    answer: v.union([
      v.object({ grant: count }),
      v.object({ refused: v.picklist(['in use', 'not ours', 'later']) }),
    ]),
  },
  /** We have no address left from `first` to `last`; what can you do without? */
  spare: {
    request: v.object({
      kind: v.literal('spare'),
      pool,
      first: count,
      last: count,
      wanted: count,
    }),
    answer: v.object({
      released: count,
      offers: v.pipe(v.array(count), v.maxLength(maxOffsets)),
    }),
  },
}

type Kind = keyof typeof schemas
export type Request<K extends Kind> = v.InferOutput<(typeof schemas)[K]['request']>
export type Answer<K extends Kind> = v.InferOutput<(typeof schemas)[K]['answer']>

const anyRequest = v.variant('kind', [schemas.lend.request, schemas.spare.request])
type AnyRequest = v.InferOutput<typeof anyRequest>

/** The other members, as far as this room asks them something. What comes in passes the schemas. */
export class PeerRequests {
  readonly #cluster: IpamCluster

  constructor(cluster: IpamCluster) {
    this.#cluster = cluster
  }

  /** Rejects with MEMBER_AWAY, DEADLINE or MEMBER_ERROR. */
  async ask<K extends Kind>(member: string, body: Request<K> & { kind: K }): Promise<Answer<K>> {
    const raw = await this.#cluster.ask(member, body, answerMs)
    const parsed = v.safeParse(schemas[body.kind].answer, raw)
    if (parsed.success) return parsed.output
    throw failure('MEMBER_ERROR', `${member} gave an odd answer about addresses`)
  }

  listen(answer: (from: string, request: AnyRequest) => Promise<Answer<Kind>>): void {
    this.#cluster.onAsk(async (from, message) => {
      const { success, output } = v.safeParse(anyRequest, message)
      if (!success) throw failure('MEMBER_ERROR', `an odd request about addresses from ${from}`)
      return answer(from, output)
    })
  }

  state(member: string): MemberState['state'] | undefined {
    for (const { name, state } of this.#cluster.members()) if (name === member) return state
    return undefined
  }

  isLive(member: string): boolean {
    return (this.state(member) ?? 'dead') !== 'dead'
  }

  /** How many members there are, dead ones too, since they own blocks. */
  get count(): number {
    return [...this.#cluster.members()].length
  }
}
