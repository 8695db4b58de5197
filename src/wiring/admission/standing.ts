/** How a host comes to be a member: it founds a cluster, or a member has it enrolled. */
import { type Clock, sleep } from '../../base/clock.ts'
import { OverlayError, refusal } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { readX509 } from '../../identity/certificates/certificate.ts'
import { generateKeyPair, keyDigest, pemOfKey } from '../../identity/certificates/keys.ts'
import {
  type IssuedToken,
  type JoinToken,
  newJoinToken,
} from '../../identity/enrolment/join-token.ts'
import { joinBy } from '../../identity/enrolment/joining.ts'
import type { MemberIdentity } from '../../identity/member-identity.ts'
import { gossipKeyBytes } from '../../identity/packets/gossip-keys.ts'
import type { Endpoint, Stream } from '../../identity/streams/transport.ts'
import type { Ip } from '../../net/ip.ts'

/** The engine gives a plugin 30 s to start; it says why it cannot before that. */
const maxJoinMs = 20_000
/** Between two attempts: a cluster that was founded just now elects its first leader meanwhile. */
const retryMs = 500

export interface HostParts {
  readonly clock: Clock
  readonly random: Random
  readonly identity: MemberIdentity
  readonly name: string
  readonly address: Ip
  /** Opens a stream without TLS. */
  readonly dial: (to: Endpoint, signal: AbortSignal) => Promise<Stream>
}

/** The founder keeps what it founded until the voters have agreed on it. */
export interface Founding {
  readonly keyPem: string
  readonly token: IssuedToken
  readonly gossipKey: string
}

/**
 * Makes sure that this host has a certificate and keys: those on its disk, else those of a cluster
 * that it joins or, without seeds, founds. Rejects with NOT_ADMITTED or BAD_SETTING and what to do.
 */
export async function obtainStanding(
  parts: HostParts,
  token: JoinToken | null,
  seeds: readonly Endpoint[],
): Promise<void> {
  const { identity, clock, address } = parts
  if (identity.standing !== null) return
  if (seeds.every((seed) => seed.address === address)) return await foundCluster(parts, token)
  if (token === null)
    throw refusal(
      'BAD_SETTING',
      'JOIN needs TOKEN: a member prints the whole line with `ts-overlay invite`',
    )
  const until = clock.now() + maxJoinMs
  for (;;) {
    try {
      return await joinCluster(parts, seeds, token)
    } catch (error) {
      const isFinal = !(error instanceof OverlayError) || error.kind === 'refusal'
      if (isFinal || clock.now() > until) throw error
      await sleep(clock, retryMs)
    }
  }
}

/** Makes the authority of a new cluster, a certificate for this host and the first token. */
async function foundCluster(
  { random, identity, name, address, clock }: HostParts,
  chosen: JoinToken | null,
): Promise<void> {
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

/** Has this host enrolled by the first of these members that can; without a token, again. */
export async function joinCluster(
  { identity, name, address, clock, dial }: HostParts,
  seeds: readonly Endpoint[],
  token: JoinToken | null,
): Promise<void> {
  const authority = identity.standing?.authorityPem
  const known = authority === undefined ? {} : { authority }
  const newcomer = { name, address, key: identity.key, token, ...known }
  await identity.adopt(await joinBy({ clock, dial }, seeds, newcomer))
}
