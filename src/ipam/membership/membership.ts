import type { Clock } from '../../base/clock.ts'
import { attempt, failure, isBug, messageOf, OverlayError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { DurableWriter } from '../durable-writer.ts'
import { refusedByState } from '../errors.ts'
import { MembershipLease } from './lease.ts'
import type { IpamAgreement, IpamPorts, Outcome } from '../ports.ts'
import { tables } from '../tables.ts'

const identityKey = 'identity'
const identityBytes = 8
/** One renewal takes at most this, ms. */
const renewMs = 3000
/** A command that begins at a request's deadline has this long, ms. */
const minTimeoutMs = 500

/**
 * This member's place in the registry: its identity, which an eviction ends; its registration,
 * which every command needs; and its lease.
 */
export class Membership {
  readonly lease: MembershipLease
  readonly #self: string
  readonly #agreement: IpamAgreement
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #writer: DurableWriter
  readonly #onNewIdentity: () => void
  #isRegistered = false
  #renewing: Promise<boolean> | null = null
  #failure: string | null = null

  /** `onNewIdentity`: nothing that we had is ours any more. */
  constructor(ports: IpamPorts, writer: DurableWriter, onNewIdentity: () => void) {
    const { agreement, clock, cluster, consensus, logger, random, settings } = ports
    this.#self = cluster.self
    this.#agreement = agreement
    this.#clock = clock
    this.#random = random
    this.#logger = logger
    this.#writer = writer
    this.#onNewIdentity = onNewIdentity
    const known = writer.get<{ id: string }>(tables.self, identityKey)?.id
    agreement.id = known ?? this.#newId()
    this.lease = new MembershipLease({
      self: cluster.self,
      clock,
      logger,
      store: writer,
      forgetAfterMs: settings.forgetAfterMs,
      voters: () => consensus.voters(),
    })
  }

  get isRegistered(): boolean {
    return this.#isRegistered
  }

  /** Why the last renewal failed; null when it succeeded. */
  get failure(): string | null {
    return this.#failure
  }

  /** Writes down who we are, before anything is promised under that identity. */
  async open(): Promise<void> {
    const value = { id: this.#agreement.id }
    const known = this.#writer.get<typeof value>(tables.self, identityKey)?.id
    // A full disk must not keep a member that is known already from starting again.
    if (known !== value.id) await this.#writeIdentity(value)
  }

  /** This member came to belong to a cluster that does not know it. */
  clusterChanged(): void {
    this.#isRegistered = false
    this.#onNewIdentity()
  }

  /** Registers or renews; whether that succeeded. Calls while one runs share it. */
  renew(timeoutMs = renewMs): Promise<boolean> {
    this.#renewing ??= this.#renew(timeoutMs).finally(() => (this.#renewing = null))
    return this.#renewing
  }

  /**
   * Submits a command by `deadline`, on our clock, ms: registers first when that is due. Fails with
   * QUORUM, saying `what` cannot be had.
   */
  async submit<T>(
    what: string,
    deadline: number,
    command: (agreement: IpamAgreement, timeoutMs: number) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const left = (): number => Math.max(minTimeoutMs, deadline - this.#clock.now())
    try {
      if (!this.#isRegistered) await this.renew(left())
      if (!this.#isRegistered) throw failure('QUORUM', this.#failure ?? 'not admitted yet')
      const outcome = await command(this.#agreement, left())
      if (!('refused' in outcome) || !isUnknown(outcome.refused.code)) return outcome
      this.#isRegistered = false
      if (!(await this.renew(left()))) return outcome
      return await command(this.#agreement, left())
    } catch (error) {
      if (!(error instanceof OverlayError) || error.code !== 'QUORUM') throw error
      throw failure(
        'QUORUM',
        `${this.#self} cannot take ${what}: ${messageOf(error)}. What runs goes on running, and ` +
          'addresses from blocks that this host has can be used',
        error,
      )
    }
  }

  /** As `submit`, but a refusal is an error too. */
  async require<T>(
    what: string,
    deadline: number,
    command: (agreement: IpamAgreement, timeoutMs: number) => Promise<Outcome<T>>,
  ): Promise<T> {
    const outcome = await this.submit(what, deadline, command)
    if ('refused' in outcome) throw refusedByState(what, outcome.refused)
    return outcome.ok
  }

  /** Takes this member off the registry; its identity is not used again. */
  async leave(timeoutMs: number): Promise<void> {
    await this.#writer.write([{ table: tables.self, key: identityKey, value: null }])
    this.#isRegistered = false
    await attempt(
      async () => void (await this.#agreement.leave(timeoutMs)),
      (error) => this.#logger.warn('left without telling the voters', { error }),
    )
  }

  async #renew(timeoutMs: number): Promise<boolean> {
    const sent = { now: this.#clock.now(), wall: this.#clock.wall() }
    try {
      const outcome = await this.#agreement.renew(timeoutMs)
      if ('refused' in outcome) {
        await this.#evicted(outcome.refused.code)
        return false
      }
    } catch (error) {
      if (isBug(error)) throw error
      this.#failure = messageOf(error)
      return false
    }
    this.#failure = null
    this.#isRegistered = true
    this.lease.renewed(sent)
    return true
  }

  /** What we had is free for others, and this identity is never ours again: we are a newcomer. */
  async #evicted(code: string): Promise<void> {
    this.#failure = `the cluster does not admit ${this.#self} (${code})`
    if (!isUnknown(code)) return
    this.#logger.warn('this member was evicted: it comes back as a newcomer', {
      identity: this.#agreement.id,
    })
    this.#isRegistered = false
    const id = this.#newId()
    this.#onNewIdentity()
    await this.#writeIdentity({ id })
    this.#agreement.id = id
  }

  #writeIdentity(value: { readonly id: string }): Promise<void> {
    return this.#writer.write([{ table: tables.self, key: identityKey, value }])
  }

  #newId(): string {
    return Buffer.from(this.#random.bytes(identityBytes)).toString('hex')
  }
}

function isUnknown(code: string): boolean {
  return code === 'EVICTED' || code === 'UNKNOWN_MEMBER'
}
