/**
 * Join tokens. One that the cluster made is `TSO-1-<digest of the authority's key>-<256 bits>`, as
 * swarm's: by the digest the newcomer knows the cluster, by the secret the cluster knows the
 * newcomer. Any other text of 128 bits or more may be chosen as a token beforehand. It has no
 * digest: there the newcomer knows the cluster by the proof alone. Neither side ever sends the
 * secret, and no log may have it.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Random } from '../../base/random.ts'

export interface JoinToken {
  /** The digest of the authority's key; null for a token that was chosen beforehand. */
  readonly authority: string | null
  readonly secret: string
}

const secretBytes = 32
const form = /^TSO-1-([0-9a-f]{64})-([0-9a-f]{64})$/

/** Below this a recorded proof could be searched for the token. */
const minTokenBits = 128
/** A random text of enough bits has more different characters: this is somebody's keyboard. */
const minDifferentCharacters = 8
const maxTokenCharacters = 256

/** What a token of the cluster looks like, for messages. */
export function formatJoinToken({ authority, secret }: JoinToken): string {
  return authority === null ? secret : `TSO-1-${authority}-${secret}`
}

export function newJoinToken(authority: string, random: Random): JoinToken {
  return { authority, secret: Buffer.from(random.bytes(secretBytes)).toString('hex') }
}

/** Reads a token of either kind, or says what is wrong with it; the reason never repeats it. */
export function parseJoinToken(text: string): { value: JoinToken } | { reason: string } {
  const match = form.exec(text)
  if (match !== null) return { value: { authority: match[1]!, secret: match[2]! } }
  if (text.startsWith('TSO-'))
    return { reason: 'is cut off or mistyped: copy the whole line that `invite` prints' }
  if (text.length > maxTokenCharacters)
    return { reason: `has more than ${maxTokenCharacters} characters` }
  if (tokenBits(text) < minTokenBits)
    return { reason: `has less than ${minTokenBits} random bits: use openssl rand -hex 32` }
  return { value: { authority: null, secret: text } }
}

/**
 * How many random bits a text can have: its length times the bits of a character of its alphabet.
 * Nobody can tell from a text how it was chosen; what repeats itself counts for nothing.
 */
export function tokenBits(text: string): number {
  if (new Set(text).size < minDifferentCharacters) return 0
  const alphabets: readonly [RegExp, number][] = [
    [/^\d*$/, 10],
    [/^[0-9a-f]*$/, 16],
    [/^[0-9a-z]*$/, 36],
    [/^[0-9A-Za-z]*$/, 62],
  ]
  const size = alphabets.find(([pattern]) => pattern.test(text))?.[1] ?? 64
  return text.length * Math.log2(size)
}

/** Names a token without showing it: the first 64 bits of a digest of its secret. */
export function tokenId({ secret }: JoinToken): string {
  return createHash('sha256').update(`token id\0${secret}`).digest('hex').slice(0, 16)
}

/** Who proves: a proof of one side is none of the other's. */
type ProofOf = 'newcomer' | 'cluster'

/**
 * Proves knowledge of the token over one TLS connection, for one message. `channel` is that
 * connection's exporter (RFC 9266): somebody in between has two connections and so two values, and
 * can pass on neither proof. `message` is covered by it.
 */
export function tokenProof(
  of: ProofOf,
  { secret }: JoinToken,
  channel: Uint8Array,
  message: Uint8Array,
): Buffer {
  const key = createHash('sha256').update(`token proof\0${secret}`).digest()
  return createHmac('sha256', key)
    .update(`ts-overlay ${of} 1\0`)
    .update(createHash('sha256').update(channel).digest())
    .update(createHash('sha256').update(message).digest())
    .digest()
}

export function isTokenProof(proof: Uint8Array, expected: Uint8Array): boolean {
  return proof.length === expected.length && timingSafeEqual(proof, expected)
}

/** A token as the cluster keeps it. */
export interface IssuedToken {
  readonly token: JoinToken
  /** Milliseconds since the Unix epoch; null for no end. */
  readonly notAfter: number | null
  /** How many hosts may still join with it; null for any number. */
  readonly usesLeft: number | null
}

/**
 * Why a host may not join with it; null when it may. `undefined` is a token that the cluster does
 * not have. A host that was enrolled and asks again, because the answer was lost, uses it once.
 */
export function tokenFault(
  issued: IssuedToken | undefined,
  now: number,
  isEnrolled = false,
): string | null {
  if (issued === undefined)
    return 'the cluster has no such token: it was rotated or is of another cluster'
  if (issued.notAfter !== null && now > issued.notAfter) return 'the token has expired'
  if (issued.usesLeft === 0 && !isEnrolled) return 'the token was used up'
  return null
}

/** The token after one more host has joined with it. */
export function afterUse(issued: IssuedToken): IssuedToken {
  return issued.usesLeft === null ? issued : { ...issued, usesLeft: issued.usesLeft - 1 }
}
