/** A cluster of sealed transports over any transports, with its authority in memory, for tests. */
import type { Clock } from '../../../src/base/clock.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import {
  type RegisteredMember,
  decideEnrolment,
} from '../../../src/identity/enrolment/authority.ts'
import { readX509 } from '../../../src/identity/certificates/certificate.ts'
import { type Newcomer, serveEnrolment } from '../../../src/identity/enrolment/enrolment.ts'
import { joinBy } from '../../../src/identity/enrolment/joining.ts'
import { refusal } from '../../../src/base/errors.ts'
import type { Grant } from '../../../src/identity/enrolment/messages.ts'
import { type GossipKeys, firstGossipKeys } from '../../../src/identity/packets/gossip-keys.ts'
import {
  type IssuedToken,
  type JoinToken,
  afterUse,
  newJoinToken,
  tokenFault,
  tokenId,
} from '../../../src/identity/enrolment/join-token.ts'
import { keyDigest } from '../../../src/identity/certificates/keys.ts'
import { SealedTransport } from '../../../src/identity/sealed-transport.ts'
import { type TlsStream, tlsContext } from '../../../src/identity/streams/tls-stream.ts'
import type { Endpoint, Transport } from '../../../src/identity/streams/transport.ts'
import { type TestAuthority, type TestMember, testAuthority, testMember } from './people.ts'

/** One member's end, and what it was told. */
export interface SealedMember {
  readonly transport: SealedTransport
  readonly member: TestMember
  readonly notes: string[]
  readonly counts: string[]
  /** The clock of this host is so far off. */
  wallOffsetMs: number
}

export class TestCluster {
  readonly clock: Clock
  readonly random: Random
  readonly authority: TestAuthority
  readonly token: JoinToken
  readonly tokens = new Map<string, IssuedToken>()
  readonly members: RegisteredMember[] = []
  readonly evicted = new Set<string>()
  /** Keys that answer at the addresses that they are registered with. */
  readonly answering = new Set<string>()
  keys: GossipKeys

  constructor(clock: Clock, { seed = 1, token }: { seed?: number; token?: JoinToken } = {}) {
    this.clock = clock
    this.random = seededRandom(seed)
    this.authority = testAuthority(seed, clock.wall())
    this.keys = firstGossipKeys(this.random.bytes(32))
    this.token = token ?? newJoinToken(keyDigest(this.authority.key.publicKey), this.random)
    this.issue({ token: this.token, notAfter: null, usesLeft: null })
  }

  issue(issued: IssuedToken): void {
    this.tokens.set(tokenId(issued.token), issued)
  }

  /** A member with a certificate, on that transport. */
  member(name: string, inner: Transport, own?: TestMember): SealedMember {
    const { address } = inner.advertise
    const now = this.clock.wall()
    const member = own ?? testMember(this.authority, name, address, { now })
    this.members.push({ name, identity: member.certificate.identity, address })
    const context = tlsContext(member)
    const notes: string[] = []
    const counts: string[] = []
    const sealed: SealedMember = {
      member,
      notes,
      counts,
      wallOffsetMs: 0,
      transport: new SealedTransport({
        inner,
        clock: { ...clockOf(this.clock), wall: () => this.clock.wall() + sealed.wallOffsetMs },
        random: seededRandom(this.random.uint32()),
        membership: () => ({
          name,
          context,
          authority: readX509(this.authority.pem)!,
          keys: this.keys,
          certificate: member.certificate,
          key: member.key.privateKey,
          isEvicted: (identity) => this.evicted.has(identity),
        }),
        enrol: (stream) => this.serve(stream),
        evicted: () => void notes.push('evicted'),
        note: (who, what, text) => void notes.push(`${who} ${what}: ${text}`),
        count: (what) => void counts.push(what),
      }),
    }
    return sealed
  }

  serve(stream: TlsStream): Promise<void> {
    return serveEnrolment(stream, this.authority.pem, (question) =>
      decideEnrolment(
        {
          clock: this.clock,
          random: this.random,
          state: () => ({
            key: this.authority.key,
            pem: this.authority.pem,
            keys: this.keys,
            voters: ['192.0.2.1:7946'],
            evicted: [...this.evicted],
            token: (id) => this.tokens.get(id),
            enrolled: (wanted) => this.members.find(({ identity }) => identity === wanted),
            members: () => this.members,
          }),
          isThere: async ({ identity }) => this.answering.has(identity),
          register: (member, id) => Promise.resolve(this.#register(member, id)),
        },
        question,
      ),
    )
  }

  #register(member: RegisteredMember, id: string | null): string | null {
    const issued = id === null ? undefined : this.tokens.get(id)
    const fault = id === null ? null : tokenFault(issued, this.clock.wall())
    if (fault !== null) return fault
    if (issued !== undefined) this.tokens.set(id!, afterUse(issued))
    this.members.push(member)
    return null
  }
}

/** Asks the member at that endpoint to be enrolled. Rejects with why not. */
export async function enrolAt(
  from: Transport,
  to: Endpoint,
  newcomer: Newcomer,
  clock: Clock,
): Promise<Grant> {
  const dial = (at: Endpoint, signal: AbortSignal) => from.dial(at, { signal })
  const attempt = await joinBy({ clock, dial }, [to], newcomer)
  if ('grant' in attempt) return attempt.grant
  throw refusal('NOT_ADMITTED', 'refusal' in attempt ? attempt.refusal : attempt.reason)
}

function clockOf(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
    clearTimeout: (timer) => clock.clearTimeout(timer),
  }
}
