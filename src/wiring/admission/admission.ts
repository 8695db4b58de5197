/**
 * What a host does about admission while it runs: becomes a member, admits others while it leads,
 * renews its grant, and rotates the gossip keys. Its first steps are in standing.ts.
 */
import { attempt, failure, isBug, messageOf } from '../../base/errors.ts'
import type { RoomFindings } from '../../base/findings.ts'
import { Every } from '../../base/timers.ts'
import type { ConsensusClient } from '../../consensus/ports.ts'
import { generateKeyPair, keyDigest } from '../../identity/certificates/keys.ts'
import { durationText, isRenewalDue } from '../../identity/certificates/rules.ts'
import {
  type RegisteredMember,
  decideEnrolment,
  grantFor,
} from '../../identity/enrolment/authority.ts'
import { serveEnrolment } from '../../identity/enrolment/enrolment.ts'
import { newJoinToken } from '../../identity/enrolment/join-token.ts'
import { type JoinAttempt, endpointOf, endpointText } from '../../identity/enrolment/joining.ts'
import type { Grant } from '../../identity/enrolment/messages.ts'
import type { Standing } from '../../identity/member-identity.ts'
import { gossipKeyBytes } from '../../identity/packets/gossip-keys.ts'
import type { TlsStream } from '../../identity/streams/tls-stream.ts'
import type { Endpoint } from '../../identity/streams/transport.ts'
import type { AdmissionSection } from './admission-section.ts'
import { type AdmissionStatus, statusOf } from './admission-status.ts'
import { digestNow, submit } from './commands.ts'
import { type Invitation, invite } from './invitation.ts'
import { type Founding, type HostParts, enrolBy, obtainStanding } from './standing.ts'

/** How often a member asks whether its grant is old. */
const lookMs = 20_000
/** How often a host that is no member tries to become one. */
const obtainMs = 1000
/** After the start, and after an election: by then the leader can be asked. */
const firstLookMs = 500
/** By then each member that is not away has looked, and has asked for a new grant. */
const settleMs = 3 * lookMs
/** The authority is asked at most this often because members say that this host was evicted. */
const minHintMs = 5000
/** A host that is refused no more has been repaired, or is gone, ms. */
const refusalLastsMs = 600_000

interface AdmissionParts extends HostParts {
  readonly consensus: Pick<ConsensusClient, 'submit' | 'query' | 'isLeader'>
  /** This member's copy of the state; as of now where it leads. */
  readonly section: AdmissionSection
  /** Where the voters listen, the leader first, as `host:port`. */
  readonly voters: () => readonly string[]
  /** Live members, this one first, as JOIN names them. */
  readonly members: () => readonly string[]
  /** Where other members were, as `host:port`. */
  readonly known: () => readonly string[]
  /** Whether gossip has a live member of that name. */
  readonly isAlive: (member: string) => boolean
  /** Between two rotations. */
  readonly rotationMs: number
  readonly findings: RoomFindings
  /** When this host began to try, monotonic, ms. */
  readonly startedMs: number
  /** This host is a member now, or again. */
  readonly onMember: () => void
}

const notAdmitted = { code: 'HOST_NOT_ADMITTED', subject: 'host' } as const
const expiring = { code: 'CERTIFICATE_EXPIRING', subject: 'host' } as const

export class Admission {
  readonly #parts: AdmissionParts
  readonly #looks: Every
  #renewing: Promise<void> | null = null
  #hintedMs = -Infinity

  constructor(parts: AdmissionParts) {
    this.#parts = parts
    this.#looks = new Every({
      clock: parts.clock,
      intervalMs: () => (this.isMember ? lookMs : obtainMs),
      run: () => this.#look(),
      // What lasts is a finding.
      warn: () => {},
    })
  }

  get isMember(): boolean {
    return this.#parts.identity.standing !== null
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
    const { consensus, section, voters, clock, random, isAlive } = this.#parts
    const { authorityPem } = this.#standing()
    await serveEnrolment(stream, authorityPem, async (question) => {
      if (!consensus.isLeader()) return { voters: [...voters()] }
      const state = (): ReturnType<AdmissionSection['authorityState']> =>
        section.authorityState(voters(), isAlive)
      const register = (member: RegisteredMember, tokenId: string | null) =>
        this.#register(member, tokenId)
      return await decideEnrolment({ clock, random, state, register }, question)
    })
  }

  /**
   * A member says that this host was evicted; the authority tells whether it was. Until then this
   * host hands out addresses that others may have by now, so it asks at once.
   */
  maybeEvicted(): void {
    const now = this.#parts.clock.now()
    if (now - this.#hintedMs < minHintMs) return
    this.#hintedMs = now
    void attempt(
      () => this.#renew(),
      () => {},
    )
  }

  /** A host was refused here, or refused this one; or (`what` is `clock`) has a wrong clock. */
  refused(who: string, what: string, text: string): void {
    const found =
      what === 'clock'
        ? ({ code: 'CLOCK_SKEW', remedy: 'synchronize the clocks of both hosts' } as const)
        : ({
            code: 'HOST_REFUSED',
            remedy: `if ${who} is a host of yours, "ts-overlay invite" prints how it joins`,
          } as const)
    const finding = { ...found, subject: `host ${who}`, key: what, text }
    this.#parts.findings.raise(finding, refusalLastsMs)
  }

  /** The line that installs the plugin on another host. Rejects with NOT_ADMITTED, with QUORUM. */
  async invite(invitation: Invitation = {}): Promise<string> {
    const token = newJoinToken(keyDigest(this.#standing().authority.publicKey), this.#parts.random)
    return await invite(this.#parts, token, invitation)
  }

  /** Has the gossip key replaced by one that was never used, within minutes. */
  async rotateKeys(): Promise<number> {
    const { current } = this.#standing().keys
    await submit(this.#parts.consensus, 'rotateGossipKey', {})
    return current
  }

  status(): AdmissionStatus | null {
    const { standing } = this.#parts.identity
    return standing === null ? null : statusOf(standing)
  }

  #standing(): Standing {
    const { standing } = this.#parts.identity
    if (standing === null) throw failure('NOT_ADMITTED', 'this host is no member yet: join it')
    return standing
  }

  async #register(member: RegisteredMember, tokenId: string | null): Promise<string | null> {
    try {
      await submit(this.#parts.consensus, 'enrol', { member, tokenId })
      return null
    } catch (error) {
      if (isBug(error)) throw error
      return messageOf(error)
    }
  }

  async #look(): Promise<void> {
    if (!this.isMember) return await this.#obtain()
    if (this.#parts.consensus.isLeader()) await this.#lead()
    const why = await this.#isOld().catch((error: unknown) => {
      if (isBug(error)) throw error
      return true
    })
    if (why) await this.#renew()
    this.#parts.findings.clear(expiring)
  }

  async #obtain(): Promise<void> {
    const { clock, findings, onMember, startedMs } = this.#parts
    const obtained = await obtainStanding(this.#parts, clock.now() - startedMs)
    if (obtained !== null) throw this.#notAdmitted(obtained.reason)
    findings.clear(notAdmitted)
    onMember()
  }

  #notAdmitted(reason: string): Error {
    const text = `this host is no member of the cluster: ${reason}`
    const remedy = '"ts-overlay invite" on a member prints JOIN and TOKEN for this host'
    this.#parts.findings.raise({ ...notAdmitted, text, remedy })
    return failure('NOT_ADMITTED', text)
  }

  /** Whether the grant is old: other keys are used, somebody was evicted, or time has passed. */
  async #isOld(): Promise<boolean> {
    const { consensus, clock, name, address } = this.#parts
    const { certificate, digest } = this.#standing()
    if (certificate.name !== name || certificate.address !== address) return true
    const present = await digestNow(consensus)
    return present !== '' && (present !== digest || isRenewalDue(certificate, clock.wall()))
  }

  /** Calls while one runs share it. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => (this.#renewing = null))
    return this.#renewing
  }

  async #renewOnce(): Promise<void> {
    const { identity, consensus } = this.#parts
    if (consensus.isLeader()) return await identity.adopt(await this.#ownGrant())
    const attempt = await enrolBy(this.#parts, await this.#members(), {
      key: identity.key,
      token: null,
    })
    if ('grant' in attempt) return
    if ('refusal' in attempt && attempt.why === 'evicted') return await this.#rejoin()
    this.#warnOfExpiry('refusal' in attempt ? attempt.refusal : attempt.reason)
    throw failure('NOT_ADMITTED', 'refusal' in attempt ? attempt.refusal : attempt.reason)
  }

  /** This host was evicted: it comes back as a newcomer, with another key, if its token holds. */
  async #rejoin(): Promise<void> {
    const { token, findings, onMember } = this.#parts
    if (token === null)
      throw this.#notAdmitted('it was evicted, and has no TOKEN to come back with')
    const key = generateKeyPair()
    const attempt: JoinAttempt = await enrolBy(this.#parts, await this.#members(), { key, token })
    if (!('grant' in attempt))
      throw this.#notAdmitted(
        `it was evicted; ${'refusal' in attempt ? attempt.refusal : attempt.reason}`,
      )
    findings.clear(notAdmitted)
    onMember()
  }

  /** Who may renew this host's grant. */
  async #members(): Promise<Endpoint[]> {
    const { voters, known, seeds, address } = this.#parts
    const texts = [...voters(), ...this.#standing().voters, ...known()]
    const all = [...texts.flatMap((text) => endpointOf(text) ?? []), ...(await seeds()).flat()]
    const unique = new Map(all.map((endpoint) => [endpointText(endpoint), endpoint]))
    return [...unique.values()].filter((endpoint) => endpoint.address !== address)
  }

  #warnOfExpiry(reason: string): void {
    const { clock, findings } = this.#parts
    const { certificate } = this.#standing()
    if (!isRenewalDue(certificate, clock.wall())) return
    const leftMs = certificate.notAfter - clock.wall()
    const left = leftMs > 0 ? `expires in ${durationText(leftMs)}` : 'has expired'
    const text = `this host's certificate ${left} and could not be renewed: ${reason}`
    findings.raise({ ...expiring, text, remedy: 'connect this host with the voters' })
  }

  /** What the leader does for all: the founding, until it is agreed on, and the rotation. */
  async #lead(): Promise<void> {
    const { identity, section, clock, random, name, address, rotationMs } = this.#parts
    const founding = identity.kept('founding') as Founding | null
    if (founding !== null && section.authorityState([]) === null) {
      const founder = { name, address, identity: identity.id }
      await submit(this.#parts.consensus, 'foundAdmission', {
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
    await submit(this.#parts.consensus, 'stepGossipKey', { current, step, key })
  }

  /** The leader grants to itself, without a stream. */
  async #ownGrant(): Promise<Grant> {
    const { identity, section, clock, random, name, address, voters } = this.#parts
    const state = section.authorityState(voters())
    if (state === null) throw failure('NOT_ADMITTED', 'no authority is agreed on yet')
    return await grantFor({ clock, random }, state, { name, address }, identity.key.publicKey)
  }
}
