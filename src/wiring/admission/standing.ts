/** How a host comes to be a member: it founds a cluster, or a member has it enrolled. */
import type { Clock } from '../../base/clock.ts'
import { refusal } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { readX509 } from '../../identity/certificates/certificate.ts'
import type { Certificate } from '../../identity/certificates/certificate.ts'
import {
  type KeyPair,
  generateKeyPair,
  keyDigest,
  pemOfKey,
} from '../../identity/certificates/keys.ts'
import {
  type IssuedToken,
  type JoinToken,
  newJoinToken,
} from '../../identity/enrolment/join-token.ts'
import { type JoinAttempt, joinBy } from '../../identity/enrolment/joining.ts'
import type { MemberIdentity } from '../../identity/member-identity.ts'
import { gossipKeyBytes } from '../../identity/packets/gossip-keys.ts'
import type { Endpoint, Stream } from '../../identity/streams/transport.ts'
import type { Ip } from '../../net/ip.ts'

/** How much longer each further entry of JOIN waits for those before it to found a cluster, ms. */
export const foundingStepMs = 5000

export interface HostParts {
  readonly clock: Clock
  readonly random: Random
  readonly identity: MemberIdentity
  readonly name: string
  readonly address: Ip
  readonly token: JoinToken | null
  /** Where the entries of JOIN listen, in their order; nowhere for one that does not resolve. */
  readonly seeds: () => Promise<readonly (readonly Endpoint[])[]>
  /** Of gossip; the same on all hosts, unless something is in front of one. */
  readonly port: number
  /** The certificate of the member that answers there; null when none does. */
  readonly memberAt: (to: Endpoint) => Promise<Certificate | null>
  /** The same of this host's former address, asked at the start; null where it has not moved. */
  readonly atFormer: Promise<Certificate | null> | null
  /** Opens a stream without TLS. */
  readonly dial: (to: Endpoint, signal: AbortSignal) => Promise<Stream>
}

/** The founder keeps what it founded until the voters have agreed on it. */
export interface Founding {
  readonly keyPem: string
  readonly token: IssuedToken
  readonly gossipKey: string
}

/** Null when the host is a member now; else what it waits for. Refusals end the waiting. */
type Obtained = null | { readonly reason: string; readonly isRefused: boolean }

/**
 * One attempt to become a member of the cluster that JOIN leads to, or to found it: without JOIN at
 * once, else with a token that was chosen beforehand and `waitedMs` after the start, when no entry
 * of JOIN that is a member answers and this host is one of them. The first entry founds at once,
 * each further one later, and not while one before it listens. Refuses with BAD_SETTING a JOIN
 * without a token.
 */
export async function obtainStanding(parts: HostParts, waitedMs: number): Promise<Obtained> {
  const { address, token } = parts
  const isSelf = (seed: Endpoint): boolean => seed.address === address
  const entries = await parts.seeds()
  const isAlone = entries.every((seeds) => seeds.some(isSelf))
  if (!isAlone && token === null)
    throw refusal(
      'BAD_SETTING',
      'JOIN needs TOKEN: on a member, "ts-overlay invite" prints the whole install line',
    )
  if (!isAlone) {
    const others = entries.flat().filter((seed) => !isSelf(seed))
    const met = await join(parts, others)
    const rank = entries.findIndex((seeds) => seeds.some(isSelf))
    const mayFound = rank >= 0 && waitedMs >= rank * foundingStepMs && token?.authority === null
    if (!met.isAlone || !mayFound) return met.obtained
    // Dialing those that are off took a while, and others may have founded.
    const again = await join(parts, met.reachable)
    if (!again.isAlone) return again.obtained
    const first = entries.slice(0, rank).flat().find(again.isListening)
    if (first !== undefined)
      return { reason: `${first.address}, which JOIN names first, founds`, isRefused: false }
  }
  await foundCluster(parts)
  return null
}

/** Asks these to have this host enrolled; `isAlone` when none of them is a member. */
async function join(parts: HostParts, seeds: readonly Endpoint[]) {
  const [listening, silent] = [new Set<string>(), new Set<string>()]
  const dial = async (to: Endpoint, signal: AbortSignal): Promise<Stream> => {
    const stream = await parts
      .dial(to, signal)
      .finally(() => signal.aborted && silent.add(to.address))
    listening.add(to.address)
    return stream
  }
  const { identity, token } = parts
  const attempt = await enrolBy({ ...parts, dial }, seeds, { key: identity.key, token })
  const isAlone = 'isMet' in attempt && !attempt.isMet
  const reachable = seeds.filter(({ address }) => !silent.has(address))
  const isListening = ({ address }: Endpoint): boolean => listening.has(address)
  return { obtained: obtainedOf(attempt), isAlone, reachable, isListening }
}

function obtainedOf(attempt: JoinAttempt): Obtained {
  if ('grant' in attempt) return null
  if ('reason' in attempt) return { reason: attempt.reason, isRefused: false }
  return { reason: attempt.refusal, isRefused: attempt.why !== 'clash' }
}

/** Makes the authority of a new cluster, a certificate for this host and the first token. */
async function foundCluster(parts: HostParts): Promise<void> {
  const { random, identity, name, address, clock, token: chosen } = parts
  if (chosen !== null && chosen.authority !== null)
    throw refusal(
      'BAD_SETTING',
      'TOKEN is one of a cluster, and JOIN is empty: name a member of that cluster in JOIN',
    )
  const { issueAuthority, issueMember } = await import('../../identity/certificates/issue.ts')
  const key = generateKeyPair()
  const pem = issueAuthority(key, clock.wall(), random)
  const issuer = readX509(pem)!.subject.slice('CN='.length)
  const subject = { name, address, publicKey: identity.key.publicKey }
  const gossipKey = Buffer.from(random.bytes(gossipKeyBytes))
  const token = chosen ?? newJoinToken(keyDigest(key.publicKey), random)
  const founding: Founding = {
    keyPem: pemOfKey(key),
    token: { token, notAfter: null, usesLeft: null },
    gossipKey: gossipKey.toString('hex'),
  }
  await identity.keep('founding', founding)
  await identity.adopt({
    certificate: issueMember({ key, issuer }, subject, clock.wall(), random),
    authority: pem,
    currentEpoch: 1,
    keys: [{ epoch: 1, key: gossipKey.toString('base64') }],
    voters: [],
    evicted: [],
    wall: clock.wall(),
  })
}

/**
 * Asks these members to enrol this host, and takes over what they grant: with the token a newcomer,
 * without one a member whose grant is old.
 */
export async function enrolBy(
  { identity, name, address, clock, dial }: HostParts,
  members: readonly Endpoint[],
  { key, token }: { readonly key: KeyPair; readonly token: JoinToken | null },
): Promise<JoinAttempt> {
  const authority = token === null ? identity.standing?.authorityPem : undefined
  const known = authority === undefined ? {} : { authority }
  const newcomer = { name, address, key, token, ...known }
  const attempt = await joinBy({ clock, dial }, members, newcomer)
  if ('grant' in attempt) await identity.adopt(attempt.grant, key)
  return attempt
}
