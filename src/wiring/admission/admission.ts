/**
 * What a host does about admission while it runs: becomes a member, admits others while it leads,
 * renews its grant, and rotates the gossip keys. Its first steps are in standing.ts.
 */
import { attempt, failure, isBug } from '../../base/errors.ts'
import { Every } from '../../base/timers.ts'
import { generateKeyPair, keyDigest } from '../../identity/certificates/keys.ts'
import { durationText, isRenewalDue } from '../../identity/certificates/rules.ts'
import { copyText } from '../../identity/enrolment/authority.ts'
import { serveEnrolment } from '../../identity/enrolment/enrolment.ts'
import { newJoinToken } from '../../identity/enrolment/join-token.ts'
import { type JoinAttempt, endpointOf, endpointText } from '../../identity/enrolment/joining.ts'
import type { Standing } from '../../identity/member-identity.ts'
import { gossipKeyBytes } from '../../identity/packets/gossip-keys.ts'
import type { TlsStream } from '../../identity/streams/tls-stream.ts'
import type { Endpoint } from '../../identity/streams/transport.ts'
import { type AdmissionStatus, statusOf } from './admission-status.ts'
import { type AdmissionParts, answerTo, copyRemedy, ownGrant } from './answering.ts'
import { grantsNow, submit } from './commands.ts'
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

const inviteRemedy = '"ts-overlay invite" on a member prints JOIN and TOKEN for this host'
const notAdmitted = { code: 'HOST_NOT_ADMITTED', subject: 'host' } as const
const expiring = { code: 'CERTIFICATE_EXPIRING', subject: 'host' } as const

export class Admission {
  readonly #parts: AdmissionParts
  readonly #looks: Every
  #renewing: Promise<void> | null = null
  #hintedMs = -Infinity
  #atFormer: HostParts['atFormer']
  /** The gossip keys when this host led last, and since when they are these, monotonic, ms. */
  #keys = { text: '', sinceMs: 0 }

  constructor(parts: AdmissionParts) {
    this.#parts = parts
    this.#atFormer = parts.atFormer
    this.#looks = new Every({
      clock: parts.clock,
      intervalMs: () => (this.isMember ? lookMs : obtainMs),
      run: () => this.#look(),
      // What lasts is a finding.
      warn: () => {},
    })
  }

  get isMember(): boolean {
    const { identity, address } = this.#parts
    return identity.standingAt(address) !== null
  }

  start(): void {
    const { standing } = this.#parts.identity
    this.#looks.start(standing !== null && !this.isMember ? 0 : firstLookMs)
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
    const { authorityPem } = this.#standing()
    await serveEnrolment(stream, authorityPem, (question) => answerTo(this.#parts, question))
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

  async #look(): Promise<void> {
    const isNew = this.#parts.identity.standing === null
    if (!isNew && this.#parts.consensus.isLeader()) await this.#lead()
    if (!this.isMember) return await (isNew ? this.#obtain() : this.#move())
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

  /**
   * This host has moved: its certificate has its former address. Where another host answers as this
   * one at that, this one's disk is a copy of its disk, and it stays out. Who has the authority
   * grants to itself, as its vote may be needed for any other way.
   */
  async #move(): Promise<void> {
    const { identity, section, findings, onMember, port, memberAt, logger, address } = this.#parts
    const { certificate } = this.#standing()
    const before = { address: certificate.address, port }
    const there = await (this.#atFormer ?? memberAt(before))
    this.#atFormer = null
    if (there?.identity === identity.id) {
      // So that the other one's operator hears of it, too.
      await enrolBy(this.#parts, [before], { key: identity.key, token: null })
      throw this.#notAdmitted(copyText(before.address), copyRemedy)
    }
    if (section.authorityState([]) !== null) await identity.adopt(await ownGrant(this.#parts))
    else await this.#moveBy(await this.#members())
    logger.info(`this host has moved from ${before.address} to ${address}`, {
      event: 'member-moved',
    })
    findings.clear(notAdmitted)
    onMember()
  }

  async #moveBy(members: readonly Endpoint[]): Promise<void> {
    const { identity, address } = this.#parts
    const attempt = await enrolBy(this.#parts, members, { key: identity.key, token: null })
    if ('grant' in attempt) return
    const reason = 'refusal' in attempt ? attempt.refusal : attempt.reason
    throw this.#notAdmitted(
      `it has no certificate for ${address} yet: ${reason}`,
      'connect this host with the voters, or name one in JOIN',
    )
  }

  #notAdmitted(reason: string, remedy = inviteRemedy): Error {
    const text = `this host is no member of the cluster: ${reason}`
    this.#parts.findings.raise({ ...notAdmitted, text, remedy })
    return failure('NOT_ADMITTED', text)
  }

  /** Whether the grant is old: other keys are used, somebody was evicted, or time has passed. */
  async #isOld(): Promise<boolean> {
    const { consensus, clock, identity, name, address } = this.#parts
    const { certificate, digest } = this.#standing()
    if (certificate.name !== name || certificate.address !== address) return true
    const present = await grantsNow(consensus, identity.id)
    if (present.digest === '') return false
    const isElsewhere = (present.address ?? address) !== address
    return isElsewhere || present.digest !== digest || isRenewalDue(certificate, clock.wall())
  }

  /** Calls while one runs share it. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => (this.#renewing = null))
    return this.#renewing
  }

  async #renewOnce(): Promise<void> {
    const { identity, consensus } = this.#parts
    if (consensus.isLeader()) return await identity.adopt(await ownGrant(this.#parts))
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
    const member = { name, address, identity: identity.id }
    if (founding !== null && section.authorityState([]) === null) {
      await submit(this.#parts.consensus, 'foundAdmission', {
        ...founding,
        pem: this.#standing().authorityPem,
        founder: member,
      })
    }
    const registered = section.authorityState([])?.enrolled(identity.id)
    if (registered !== undefined && registered.address !== address)
      await submit(this.#parts.consensus, 'enrol', { member, tokenId: null })
    if (founding !== null) await identity.keep('founding', null)
    if (!this.#isSettled()) return
    const step = section.rotationDue(clock.wall(), { everyMs: rotationMs, settleMs })
    if (step === null) return
    const { current } = section.authorityState([])!.keys
    const key =
      step === 'install' ? Buffer.from(random.bytes(gossipKeyBytes)).toString('hex') : null
    await submit(this.#parts.consensus, 'stepGossipKey', { current, step, key })
  }

  /**
   * Whether the gossip keys are as they are for long enough by this host's monotonic clock: a wall
   * clock that jumps must not take away a key before members have the next.
   */
  #isSettled(): boolean {
    const { section, clock } = this.#parts
    const { current, keys } = section.authorityState([])?.keys ?? { current: 0, keys: [] }
    const text = `${current} of ${keys.length}`
    if (text !== this.#keys.text) this.#keys = { text, sinceMs: clock.now() }
    return clock.now() - this.#keys.sinceMs >= settleMs
  }
}
