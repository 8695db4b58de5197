/**
 * The two ends of an enrolment, over a TLS stream that nothing is known of yet but that it is one.
 */
import type { Clock } from '../../base/clock.ts'
import { OverlayError, failure } from '../../base/errors.ts'
import { printable } from '../../base/printable.ts'
import type { Ip } from '../../net/ip.ts'
import { certificateOf, readCertificate, readX509 } from '../certificates/certificate.ts'
import { certificateFault, clockFault } from '../certificates/rules.ts'
import {
  type Answer,
  type Grant,
  type Question,
  type Request,
  MessageReader,
  answer,
  decode,
  grant,
  introduction,
  maxAnswerBytes,
  maxRequestBytes,
  question,
  writeMessage,
} from './messages.ts'
import { type JoinToken, isTokenProof, tokenId, tokenProof } from './join-token.ts'
import { type KeyPair, encodePublicKey, keyDigest, signFor } from '../certificates/keys.ts'
import type { TlsStream } from '../streams/tls-stream.ts'

/** What an enrolment's signature is for. */
export const enrolmentPurpose = 'enrolment 1'

/** A member that is no voter says where these are, as `host:port`. */
interface Redirect {
  readonly voters: readonly string[]
}

/** A member refuses this host, or is none of the cluster that this host means. */
export class EnrolmentRefused extends OverlayError {
  readonly why: Extract<Answer, { refusal: string }>['why']

  constructor(text: string, why: EnrolmentRefused['why'] = 'other') {
    super('refusal', 'NOT_ADMITTED', text)
    this.why = why
  }
}

/** A question with the binding of the channel that it came by; a voter decides on it. */
export interface BoundQuestion extends Question {
  /** In base64. */
  readonly binding: string
}

/** Who asks. */
export interface Newcomer {
  readonly name: string
  readonly address: Ip
  readonly key: KeyPair
  /** Null for a member that renews its certificate. */
  readonly token: JoinToken | null
  /** The authority's certificate in PEM, when it is known. */
  readonly authority?: string
}

/**
 * The newcomer's side. Checks that the other side is of the token's cluster before it asks; the
 * token itself never leaves this host. Gives the grant, or where voters are. Rejects with
 * NOT_ADMITTED and what to do.
 */
export async function enrol(
  stream: TlsStream,
  at: string,
  newcomer: Newcomer,
  clock: Clock,
): Promise<Grant | Redirect> {
  const { name, address, key, token } = newcomer
  const reader = new MessageReader(stream)
  const { authority } = await reader.read(introduction, maxRequestBytes)
  const fault = clusterFault(stream, authority, newcomer, clock.wall())
  if (fault !== null) throw new EnrolmentRefused(`${at} cannot be joined: ${fault}`)
  stream.admit()
  const { binding } = stream
  const asked: Request = {
    name,
    address,
    publicKey: encodePublicKey(key.publicKey).toString('base64'),
    tokenId: token === null ? null : tokenId(token),
    wall: clock.wall(),
  }
  const request = JSON.stringify(asked)
  const bytes = Buffer.from(request)
  const signed = signFor(enrolmentPurpose, Buffer.concat([binding, bytes]), key.privateKey)
  await writeMessage(stream, {
    request,
    signature: Buffer.from(signed).toString('base64'),
    proof: token && tokenProof('newcomer', token, binding, bytes).toString('base64'),
  } satisfies Question)
  const answered = await reader.read(answer, maxAnswerBytes)
  if ('refusal' in answered)
    throw new EnrolmentRefused(
      `${at} refuses this host: ${printable(answered.refusal)}`,
      answered.why,
    )
  if ('voters' in answered) return answered
  const granted = provenGrant(answered, token, binding, bytes)
  if (granted === null)
    throw new EnrolmentRefused(`${at} does not know the token: it is of another cluster`)
  const wrong = grantFault(granted, authority, newcomer, clock.wall())
  if (wrong !== null) throw new EnrolmentRefused(`${at} granted what is of no use: ${wrong}`)
  return granted
}

/** Why what answers is not of the cluster that the newcomer means; null when it is. */
function clusterFault(
  stream: TlsStream,
  pem: string,
  { token, authority: expected }: Newcomer,
  now: number,
): string | null {
  const authority = readX509(pem)
  const certificate = stream.peer && certificateOf(stream.peer)
  if (authority === null || certificate === null) return 'it is no member of a cluster'
  const isOther =
    (token?.authority != null && token.authority !== keyDigest(authority.publicKey)) ||
    (expected !== undefined && expected !== pem)
  if (isOther) return 'it is of another cluster than the token: its authority has another key'
  return (
    certificateFault(certificate, { authority, now, isEvicted: () => false }) ??
    (token === null ? null : clockFault(certificate, { now }))
  )
}

/** The grant, if the other side has proved that it knows the token. */
function provenGrant(
  answered: Extract<Answer, { grant: string }>,
  token: JoinToken | null,
  binding: Uint8Array,
  request: Uint8Array,
): Grant | null {
  if (token !== null) {
    const covered = Buffer.concat([request, Buffer.from(answered.grant)])
    const proof = Buffer.from(answered.proof ?? '', 'base64')
    if (!isTokenProof(proof, tokenProof('cluster', token, binding, covered))) return null
  }
  return decode(grant, answered.grant)
}

/** Why the certificate in a grant is not what was asked for. */
function grantFault(
  granted: Grant,
  introduced: string,
  { name, address, key }: Newcomer,
  now: number,
): string | null {
  const authority = readX509(granted.authority)
  const certificate = readCertificate(granted.certificate)
  if (authority === null || granted.authority !== introduced || certificate === null)
    return 'its certificates cannot be read'
  if (certificate.identity !== keyDigest(key.publicKey)) return 'a certificate for another key'
  return certificateFault(certificate, { authority, now, name, address, isEvicted: () => false })
}

/**
 * The member's side: introduces the cluster, passes the question to `decide`, the answer back. A
 * refusal is both sent and thrown, with whom it is for.
 */
export async function serveEnrolment(
  stream: TlsStream,
  authority: string,
  decide: (question: BoundQuestion) => Promise<Answer>,
): Promise<void> {
  const reader = new MessageReader(stream)
  await writeMessage(stream, { authority })
  const asked = await reader.read(question, maxRequestBytes)
  const decided = await decide({ ...asked, binding: stream.binding.toString('base64') })
  await writeMessage(stream, decided)
  stream.close()
  if ('refusal' in decided) throw failure('NOT_ADMITTED', `refused to enrol: ${decided.refusal}`)
}
