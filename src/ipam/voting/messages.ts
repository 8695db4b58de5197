import * as v from 'valibot'
import { type Item, parseItemKey } from './items.ts'

/**
 * What members ask each other about addresses, and what they answer. Everything that comes in passes these schemas;
 * what does not is answered with an error and changes nothing.
 */

/** Raised when a message changes its meaning; members with another one do not understand each other. */
export const messageVersion = 2

/** Longer names or keys are nobody's. */
const textMost = 300
/** A claim asks for at most this many items; a larger need is claimed in turns. */
export const itemsMost = 4096
/** Larger than any cluster that SWIM serves well. */
const votersMost = 10_000

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(textMost))
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const voter = v.object({ name: text, id: text })
const rosterRef = v.object({ root: text, founded: count, number: count, tag: text, size: count })
const roster = v.object({
  root: text,
  founded: count,
  number: count,
  tag: text,
  voters: v.pipe(v.array(voter), v.minLength(1), v.maxLength(votersMost)),
  absent: v.pipe(v.array(voter), v.maxLength(votersMost)),
})
const packedVotes = v.object({
  holders: v.pipe(v.array(text), v.maxLength(votersMost)),
  lists: v.array(
    v.object({
      kind: v.picklist(['block', 'address', 'pool']),
      poolKey: text,
      votes: v.array(count),
    }),
  ),
})
const ballot = v.object({ counter: count, id: text })
const decision = v.object({ roster, votes: packedVotes })
const item = v.pipe(
  text,
  v.transform(parseItemKey),
  v.check((parsed) => parsed !== null, 'not an item'),
  v.transform((parsed) => parsed as Item),
)
const items = v.pipe(v.array(item), v.maxLength(itemsMost))
const claimed = v.object({ item, claim: count })

const body = v.variant('kind', [
  /** Do we follow the same roster? The envelope says it all. */
  v.object({ kind: v.literal('hello') }),
  /** Give me your roster and your votes. */
  v.object({ kind: v.literal('fetch') }),
  /** This was decided; follow it. */
  v.object({ kind: v.literal('install'), decision }),
  /** Have me put on the roster. */
  v.object({ kind: v.literal('join') }),
  /** A change of the roster, first and second round; `after` is the tag of the roster to change, null at the founding. */
  v.object({ kind: v.literal('prepare'), after: v.nullable(text), ballot }),
  v.object({ kind: v.literal('accept'), after: v.nullable(text), ballot, decision }),
  /** Your vote for these, under the roster with this tag. */
  v.object({ kind: v.literal('vote'), tag: text, claim: count, exclusive: v.boolean(), items }),
  /** I do not need these any more, up to this claim. */
  v.object({ kind: v.literal('release'), claim: count, items }),
  /** I gave you my vote for these: do you still want it? */
  v.object({ kind: v.literal('check'), items: v.pipe(v.array(claimed), v.maxLength(itemsMost)) }),
  /** I have no address left in this pool; give back what you can do without. `first` and `last` are offsets. */
  v.object({ kind: v.literal('spare'), poolKey: text, first: count, last: count, wanted: count }),
  /** Containers of mine have these addresses, all of which there is doubt; have yours, too? */
  v.object({ kind: v.literal('conflicts'), items }),
])

const request = v.object({
  version: v.literal(messageVersion),
  from: voter,
  roster: v.nullable(rosterRef),
  body,
})

const answerBody = v.variant('kind', [
  v.object({ kind: v.literal('done') }),
  v.object({ kind: v.literal('state'), decision: v.nullable(decision) }),
  v.object({
    kind: v.literal('promise'),
    accepted: v.nullable(v.object({ ballot, decision })),
    votes: packedVotes,
  }),
  v.object({ kind: v.literal('accepted') }),
  /** Somebody else's ballot is larger. */
  v.object({ kind: v.literal('outbid'), ballot }),
  /** We follow different rosters (the envelopes tell which), or I am in no state to say. */
  v.object({ kind: v.literal('elsewhere') }),
  /** My roster is being changed: ask again in a moment. */
  v.object({ kind: v.literal('sealed') }),
  v.object({
    kind: v.literal('votes'),
    /** For each item in the order asked: null if granted, else who has it. */
    refused: v.array(v.nullable(v.object({ holder: text, held: item }))),
    /** For each item whether the voter owns the block that the address is in, and agrees to lend it. */
    lent: v.array(v.boolean()),
    taken: packedVotes,
  }),
  v.object({ kind: v.literal('unwanted'), items: v.array(claimed) }),
  v.object({
    kind: v.literal('spared'),
    /** Blocks that were given back just now, and free addresses in other blocks that could be lent. */
    released: v.array(count),
    offers: v.array(count),
  }),
  /** Those of the addresses that we use as well. */
  v.object({ kind: v.literal('doubled'), items }),
  v.object({ kind: v.literal('error'), message: v.string() }),
])

const answer = v.object({
  version: v.literal(messageVersion),
  from: voter,
  roster: v.nullable(rosterRef),
  body: answerBody,
})

type ReadOnly<T> = T extends readonly (infer U)[]
  ? readonly ReadOnly<U>[]
  : T extends object
    ? { readonly [Key in keyof T]: ReadOnly<T[Key]> }
    : T

/** A request and an answer as they come in. */
export type Request = v.InferOutput<typeof request>
export type Answer = v.InferOutput<typeof answer>

/** The bodies of a request and of an answer as they go out: items are their keys. */
export type Query = ReadOnly<v.InferInput<typeof body>>
export type Reply = ReadOnly<v.InferInput<typeof answerBody>>

/** A request's body of one kind, as it comes in. */
export type Asked<Kind extends Request['body']['kind']> = Extract<Request['body'], { kind: Kind }>

/** An answer's body of one kind, as it comes in. */
export type Answered<Kind extends Answer['body']['kind']> = Extract<Answer['body'], { kind: Kind }>

/** Reads a request; null when it is none. */
export function parseRequest(message: unknown): Request | null {
  const parsed = v.safeParse(request, message)
  return parsed.success ? parsed.output : null
}

/** Reads an answer; null when it is none. */
export function parseAnswer(message: unknown): Answer | null {
  const parsed = v.safeParse(answer, message)
  return parsed.success ? parsed.output : null
}
