/**
 * What a member does about admission while it runs: admits others while it leads, renews its grant,
 * and rotates the gossip keys. How it became a member is in standing.ts.
 */
import { failure } from '../../base/errors.ts'
import { Every } from '../../base/timers.ts'
import type { ConsensusClient } from '../../consensus/ports.ts'
import type { Outcome } from '../../consensus/state/section.ts'
import { keyDigest } from '../../identity/certificates/keys.ts'
import { isRenewalDue } from '../../identity/certificates/rules.ts'
import {
  type RegisteredMember,
  decideEnrolment,
  grantFor,
} from '../../identity/enrolment/authority.ts'
import { serveEnrolment } from '../../identity/enrolment/enrolment.ts'
import {
  type IssuedToken,
  formatJoinToken,
  newJoinToken,
} from '../../identity/enrolment/join-token.ts'
import { endpointOf } from '../../identity/enrolment/joining.ts'
import type { Grant } from '../../identity/enrolment/messages.ts'
import type { Standing } from '../../identity/member-identity.ts'
import { gossipKeyBytes } from '../../identity/packets/gossip-keys.ts'
import type { TlsStream } from '../../identity/streams/tls-stream.ts'
import type { AdmissionSection, AdmissionView } from './admission-section.ts'
import { type Founding, type HostParts, joinCluster } from './standing.ts'

/** How often a member asks whether its grant is old. */
const lookMs = 20_000
/** After the start, and after an election: by then the leader can be asked. */
const firstLookMs = 500
/** By then each member that is not away has looked, and has asked for a new grant. */
const settleMs = 3 * lookMs
/** A command or a question; longer than an election takes. */
const timeoutMs = 5000
/** A token that `invite` makes holds for a day. */
const tokenValidityMs = 86_400_000

interface AdmissionParts extends HostParts {
  readonly consensus: Pick<ConsensusClient, 'submit' | 'query' | 'isLeader'>
  /** This member's copy of the state; as of now where it leads. */
  readonly section: AdmissionSection
  /** Where the voters listen, the leader first, as `host:port`. */
  readonly voters: () => readonly string[]
  /** Between two rotations. */
  readonly rotationMs: number
  readonly warn: (text: string) => void
}

/** For `/status`. */
export interface AdmissionStatus {
  /** The first digits of the digest that a join token of this cluster has. */
  readonly cluster: string
  /** When this host's certificate expires. */
  readonly certificateUntil: string
  /** The epoch of the gossip key that this host seals with. */
  readonly epoch: number
  readonly evicted: number
}

export class Admission {
  readonly #parts: AdmissionParts
  readonly #looks: Every

  constructor(parts: AdmissionParts) {
    this.#parts = parts
    const { clock, warn } = parts
    this.#looks = new Every({ clock, intervalMs: lookMs, run: () => this.#look(), warn })
  }

  start(): void {
    this.#looks.start(firstLookMs)
  }

  /** Looks soon: this member begins or ends to lead. */
  look(): void {
    if (this.#looks.isStarted) this.#looks.start(firstLookMs)
  }

  stop(): void {
    this.#looks.stop()
  }

  /** Serves a host that asks to be enrolled: decides while it leads, else says who may. */
  async serve(stream: TlsStream): Promise<void> {
    const { consensus, section, voters, clock, random } = this.#parts
    const { authorityPem } = this.#standing()
    await serveEnrolment(stream, authorityPem, async (question) => {
      if (!consensus.isLeader()) return { voters: [...voters()] }
      const state = (): ReturnType<AdmissionSection['authorityState']> =>
        section.authorityState(voters())
      const register = (member: RegisteredMember, tokenId: string | null) =>
        this.#register(member, tokenId)
      return await decideEnrolment({ clock, random, state, register }, question)
    })
  }

  /** A new token, and how a host joins with it. */
  async invite(limits: { validMs?: number; uses?: number | null } = {}): Promise<string> {
    const { clock, random } = this.#parts
    const { validMs = tokenValidityMs, uses = null } = limits
    const token = newJoinToken(keyDigest(this.#standing().authority.publicKey), random)
    const issued: IssuedToken = { token, notAfter: clock.wall() + validMs, usesLeft: uses }
    await this.#submit('addToken', issued)
    return formatJoinToken(token)
  }

  status(): AdmissionStatus {
    const { authority, certificate, keys, evicted } = this.#standing()
    return {
      cluster: keyDigest(authority.publicKey).slice(0, 16),
      certificateUntil: new Date(certificate.notAfter).toISOString(),
      epoch: keys.current,
      evicted: evicted.size,
    }
  }

  #standing(): Standing {
    const { standing } = this.#parts.identity
    if (standing === null) throw failure('NOT_ADMITTED', 'this host is no member yet: join it')
    return standing
  }

  async #register(member: RegisteredMember, tokenId: string | null): Promise<string | null> {
    try {
      await this.#submit('enrol', { member, tokenId })
      return null
    } catch (error) {
      return (error as Error).message
    }
  }

  async #look(): Promise<void> {
    if (this.#parts.consensus.isLeader()) await this.#lead()
    const { identity, consensus, clock, voters } = this.#parts
    const { certificate, keys, evicted } = this.#standing()
    const question = encode({ op: 'admission' })
    const view = outcomeOf<AdmissionView>(await consensus.query(question, { timeoutMs }))
    const isOld =
      view.current !== keys.current ||
      view.evicted !== evicted.size ||
      view.epochs.join() !== keys.keys.map(({ epoch }) => epoch).join()
    if (view.current === 0 || (!isOld && !isRenewalDue(certificate, clock.wall()))) return
    if (consensus.isLeader()) return await identity.adopt(await this.#ownGrant())
    const seeds = voters().flatMap((text) => endpointOf(text) ?? [])
    await joinCluster(this.#parts, seeds, null)
  }

  /** What the leader does for all: the founding, until it is agreed on, and the rotation. */
  async #lead(): Promise<void> {
    const { identity, section, clock, random, name, address, rotationMs } = this.#parts
    const founding = identity.kept('founding') as Founding | null
    if (founding !== null && section.authorityState([]) === null) {
      const founder = { name, address, identity: identity.id }
      await this.#submit('foundAdmission', {
        ...founding,
        pem: this.#standing().authorityPem,
        founder,
      })
    }
    if (founding !== null) await identity.keep('founding', null)
    const step = section.rotationDue(clock.wall(), { everyMs: rotationMs, settleMs })
    if (step === null) return
    const { current } = section.authorityState([])!.keys
    const key =
      step === 'install' ? Buffer.from(random.bytes(gossipKeyBytes)).toString('hex') : null
    await this.#submit('stepGossipKey', { current, step, key })
  }

  /** The leader grants to itself, without a stream. */
  async #ownGrant(): Promise<Grant> {
    const { identity, section, clock, random, name, address, voters } = this.#parts
    const state = section.authorityState(voters())
    if (state === null) throw failure('NOT_ADMITTED', 'no authority is agreed on yet')
    return await grantFor({ clock, random }, state, { name, address }, identity.key.publicKey)
  }

  async #submit(op: string, fields: object): Promise<unknown> {
    const command = encode({ op, ...fields })
    return outcomeOf(await this.#parts.consensus.submit(command, { timeoutMs }))
  }
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function outcomeOf<T>(bytes: Uint8Array): T {
  const outcome = JSON.parse(new TextDecoder().decode(bytes)) as Outcome<T>
  if ('ok' in outcome) return outcome.ok
  const { code, member } = outcome.refused
  const reasons: Partial<Record<typeof code, string>> = {
    EVICTED: 'it was evicted: empty its state and join it with a new token',
    NAME_TAKEN: `another host has its name ${member ?? ''} or its address: evict that one first`,
    NOT_HELD: 'its token has expired, was used up, or was removed',
    QUOTA: 'the cluster has as many as it may have',
    UNKNOWN_MEMBER: 'it is no member: join it with a token',
  }
  throw failure('NOT_ADMITTED', reasons[code] ?? `the cluster refuses: ${code}`)
}
