/**
 * The authority of a cluster, on a voter: decides who is enrolled, by rules over the replicated
 * state. Who has the state has the authority's key.
 */
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { parseIp } from '../../net/ip.ts'
import { readX509 } from '../certificates/certificate.ts'
import { durationText, maxClockSkewMs } from '../certificates/rules.ts'
import { type Answer, type Grant, type Request, decode, request } from './messages.ts'
import { type BoundQuestion, enrolmentPurpose } from './enrolment.ts'
import type { GossipKeys } from '../packets/gossip-keys.ts'
import { type IssuedToken, isTokenProof, tokenFault, tokenProof } from './join-token.ts'
import { type KeyPair, decodePublicKey, isSignedFor, keyDigest } from '../certificates/keys.ts'

/** A member as the registry has it. */
export interface RegisteredMember {
  readonly name: string
  readonly identity: string
  readonly address: string
}

/** What the authority needs of the replicated state. */
export interface AuthorityState {
  readonly key: KeyPair
  /** Its certificate in PEM. */
  readonly pem: string
  readonly keys: GossipKeys
  /** As `host:port`. */
  readonly voters: readonly string[]
  readonly evicted: readonly string[]
  token(id: string): IssuedToken | undefined
  /** Who was enrolled with that key. */
  enrolled(identity: string): RegisteredMember | undefined
  /** Whose names and addresses are taken: those that are alive. */
  members(): Iterable<RegisteredMember>
}

interface AuthorityParts {
  readonly clock: Clock
  readonly random: Random
  /** Of this voter; null while no authority is agreed on. */
  readonly state: () => AuthorityState | null
  /**
   * Proposes the entry that registers the member and counts a use of the token, if it still holds
   * when it is applied. The reason when it does not.
   */
  readonly register: (member: RegisteredMember, tokenId: string | null) => Promise<string | null>
  /** Whether the member answers at that address, with that key. */
  readonly isThere: (member: RegisteredMember) => Promise<boolean>
}

/** Answers a question of a newcomer, or of a member that wants a new certificate. */
export async function decideEnrolment(
  parts: AuthorityParts,
  question: BoundQuestion,
): Promise<Answer> {
  const state = parts.state()
  if (state === null) return { voters: [] }
  const asked = decode(request, question.request)
  const key = asked && decodePublicKey(Buffer.from(asked.publicKey, 'base64'))
  if (asked === null || key === null || parseIp(asked.address) !== asked.address)
    return { refusal: 'the request is malformed', why: 'other' }
  const member = { name: asked.name, identity: keyDigest(key), address: asked.address }
  if (state.evicted.includes(member.identity)) {
    const refusal = `${asked.name}: it was evicted: join it with a new token`
    return { refusal, why: 'evicted' }
  }
  const clash = clashOf([...state.members()], member)
  const fault =
    signatureFault(question, key) ??
    skewFault(asked, parts.clock.wall()) ??
    standingFault(state, question, asked, member, parts.clock.wall()) ??
    clash?.text ??
    (await copyFault(parts, state, member)) ??
    (await parts.register(member, asked.tokenId))
  if (fault !== null) {
    const isClash = fault === clash?.text && clash.maySoonEnd
    return { refusal: `${asked.name}: ${fault}`, why: isClash ? 'clash' : 'other' }
  }
  const granted = JSON.stringify(await grantFor(parts, state, asked, key))
  const token = asked.tokenId === null ? undefined : state.token(asked.tokenId)?.token
  if (token === undefined) return { grant: granted, proof: null }
  const covered = Buffer.from(question.request + granted)
  const proof = tokenProof('cluster', token, bindingOf(question), covered)
  return { grant: granted, proof: proof.toString('base64') }
}

function bindingOf({ binding }: BoundQuestion): Buffer {
  return Buffer.from(binding, 'base64')
}

function signatureFault(question: BoundQuestion, key: KeyPair['publicKey']): string | null {
  const signed = Buffer.concat([bindingOf(question), Buffer.from(question.request)])
  const signature = Buffer.from(question.signature, 'base64')
  return isSignedFor(enrolmentPurpose, signed, key, signature) ? null : 'its signature is wrong'
}

/** A newcomer's clock has to be right; a member keeps its place also with a wrong one. */
function skewFault({ wall, tokenId }: Request, now: number): string | null {
  if (tokenId === null || Math.abs(wall - now) <= maxClockSkewMs) return null
  const direction = wall < now ? 'behind' : 'ahead of'
  const by = durationText(Math.abs(wall - now))
  return `its clock is ${by} ${direction} the cluster's: synchronize the clocks`
}

/** Whether it may join with its token, or is a member already. */
function standingFault(
  state: AuthorityState,
  question: BoundQuestion,
  { tokenId }: Request,
  { identity }: RegisteredMember,
  now: number,
): string | null {
  if (tokenId !== null) {
    const issued = state.token(tokenId)
    const fault = tokenFault(issued, now, state.enrolled(identity) !== undefined)
    if (fault !== null) return fault
    const expected = tokenProof(
      'newcomer',
      issued!.token,
      bindingOf(question),
      Buffer.from(question.request),
    )
    const proof = Buffer.from(question.proof ?? '', 'base64')
    if (!isTokenProof(proof, expected)) return 'its token is wrong'
  } else if (state.enrolled(identity) === undefined) {
    return 'it is no member: join it with a token'
  }
  return null
}

/**
 * Which live member has the name or the address. One that lost its disk has the address of its
 * former self, which is found dead within seconds.
 */
function clashOf(
  others: readonly RegisteredMember[],
  { name, identity, address }: RegisteredMember,
): { readonly text: string; readonly maySoonEnd: boolean } | null {
  const different = others.filter((other) => other.identity !== identity)
  const named = different.find((other) => other.name === name)
  const placed = different.find((other) => other.address === address)
  if (named === undefined && placed === undefined) return null
  const maySoonEnd = (named ?? placed)!.address === address
  const text =
    named !== undefined && !maySoonEnd
      ? `the member at ${named.address} is called ${name}, too: give one of them another MEMBER_NAME`
      : `member ${placed!.name} has ${address}: is ADVERTISE_ADDR right? Else evict that one`
  return { text, maySoonEnd }
}

/** A member may move, but not be in two places: one key there is a copy of the other's disk. */
async function copyFault(
  { isThere }: AuthorityParts,
  state: AuthorityState,
  { identity, address }: RegisteredMember,
): Promise<string | null> {
  const known = state.enrolled(identity)
  if (known === undefined || known.address === address || !(await isThere(known))) return null
  return copyText(known.address)
}

export function copyText(address: string): string {
  return `the host at ${address} has its name and key, and answers: its disk is a copy of that one's`
}

/** Why a question comes from a copy of this member's own disk; null when it does not. */
export function ownCopyFault(
  question: BoundQuestion,
  own: Pick<RegisteredMember, 'identity' | 'address'>,
): string | null {
  const asked = decode(request, question.request)
  const key = asked && decodePublicKey(Buffer.from(asked.publicKey, 'base64'))
  if (key === null || keyDigest(key) !== own.identity || asked!.address === own.address) return null
  return signatureFault(question, key) === null ? copyText(own.address) : null
}

/** What a member gets; also the leader, for itself. */
export async function grantFor(
  { clock, random }: Pick<AuthorityParts, 'clock' | 'random'>,
  state: AuthorityState,
  { name, address }: Pick<Request, 'name' | 'address'>,
  publicKey: KeyPair['publicKey'],
): Promise<Grant> {
  const { issueMember } = await import('../certificates/issue.ts')
  const issuer = readX509(state.pem)!.subject.slice('CN='.length)
  const subject = { name, address: parseIp(address)!, publicKey }
  return {
    certificate: issueMember({ key: state.key, issuer }, subject, clock.wall(), random),
    authority: state.pem,
    currentEpoch: state.keys.current,
    keys: state.keys.keys.map(({ epoch, key }) => {
      return { epoch, key: Buffer.from(key).toString('base64') }
    }),
    voters: [...state.voters],
    evicted: [...state.evicted],
    wall: clock.wall(),
  }
}
