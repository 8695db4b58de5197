import { attempt, failure, isBug, messageOf, OverlayError } from '../../base/errors.ts'
import type { DurableWriter } from '../durable-writer.ts'
import type { Command, IpamPorts, Outcome } from '../ports.ts'
import { tables } from '../tables.ts'

/** Addresses are handed out for this part of the time after which a silent member is evicted. */
const trustedPart = 1 / 2
/** The membership is renewed this often in `forgetAfterMs`. */
const renewalsPerEviction = 16
const heardKey = 'heard'
const identityKey = 'identity'
const identityBytes = 8
/** One renewal takes at most this, ms. */
const renewMs = 3000
/** A command that begins at a request's deadline has this long, ms. */
const minTimeoutMs = 500

/**
 * This member's place in the registry: its identity, which an eviction ends, its registration,
 * which every command needs, and its lease. A member that does not renew its membership for
 * `forgetAfterMs` is evicted, and its blocks are others'; so one that has not renewed it for half
 * of that time hands out nothing before it has. The time is that of both our clocks, the longer of
 * the two: one stands still while a machine sleeps, the other may be set. After a start it is the
 * time since the renewal noted on the disk.
 */
export class Membership {
  readonly #ports: IpamPorts
  readonly #writer: DurableWriter
  readonly #onNewIdentity: () => void
  isRegistered = false
  /** Why the last renewal failed; null when it succeeded. */
  failure: string | null = null
  #renewing: Promise<boolean> | null = null
  /** When the last renewal that succeeded was sent, on our clock and the wall's, ms. */
  #heard: { readonly now: number; readonly wall: number }
  #isLapseLogged = false
  #hasLeft = false

  /** `onNewIdentity`: nothing that we had is ours any more. */
  constructor(ports: IpamPorts, writer: DurableWriter, onNewIdentity: () => void) {
    this.#ports = ports
    this.#writer = writer
    this.#onNewIdentity = onNewIdentity
    const { agreement, clock, store } = ports
    agreement.id = store.get<{ id: string }>(tables.self, identityKey)?.id ?? this.#newId()
    const wall = store.get<{ wall: number }>(tables.self, heardKey)?.wall ?? Infinity
    const passed = clock.wall() - wall
    const isKnown = passed >= 0
    this.#heard = isKnown
      ? { now: clock.now() - passed, wall }
      : { now: -Infinity, wall: -Infinity }
  }

  /** Writes down who we are, before anything is promised under that identity. */
  async open(): Promise<void> {
    const { agreement, store } = this.#ports
    const isKnown = store.get(tables.self, identityKey) !== undefined
    // A full disk must not keep a member that is known already from starting again.
    if (!isKnown) await this.#writeIdentity({ id: agreement.id })
  }

  /** This member came to belong to a cluster that does not know it. */
  clusterChanged(): void {
    this.isRegistered = false
    this.#onNewIdentity()
  }

  get isDue(): boolean {
    return this.#silentMs >= this.#ports.settings.forgetAfterMs / renewalsPerEviction
  }

  /** Whether the others may have evicted us; of two voters neither can evict the other. */
  get isLapsed(): boolean {
    const { cluster, consensus, settings } = this.#ports
    const voters = consensus.voters()
    if (voters.length <= 2 && voters.includes(cluster.self)) return false
    return this.#silentMs > settings.forgetAfterMs * trustedPart
  }

  /** Logs once when it lapsed, and once when it is renewed. */
  reportLease(): void {
    if (this.isLapsed === this.#isLapseLogged) return
    this.#isLapseLogged = this.isLapsed
    const { logger } = this.#ports
    if (this.#isLapseLogged) logger.warn(`no new addresses: ${this.#reason()}`)
    else logger.info('the membership is renewed: addresses are handed out again')
  }

  /** Fails with QUORUM while the membership has lapsed, with why the last renewal failed. */
  checkLease(what: string): void {
    if (!this.isLapsed) return
    throw failure(
      'QUORUM',
      `${this.#ports.cluster.self} cannot hand out ${what}: ${this.#reason()}. What runs goes on running. ` +
        (this.failure ?? 'Connect this host with the voters again'),
    )
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
  async submit<T>(what: string, deadline: number, command: Command<T>): Promise<Outcome<T>> {
    const { clock, cluster } = this.#ports
    const left = (): number => Math.max(minTimeoutMs, deadline - clock.now())
    try {
      if (this.#hasLeft) throw failure('QUORUM', 'this host is leaving the cluster')
      if (!this.isRegistered) await this.renew(left())
      if (!this.isRegistered) throw failure('QUORUM', this.failure ?? 'not admitted yet')
      const outcome = await command(left())
      if (!('refused' in outcome) || !isUnknown(outcome.refused.code)) return outcome
      this.isRegistered = false
      if (!(await this.renew(left()))) return outcome
      return await command(left())
    } catch (error) {
      if (!(error instanceof OverlayError) || error.code !== 'QUORUM') throw error
      throw failure(
        'QUORUM',
        `${cluster.self} cannot take ${what}: ${messageOf(error)}. What runs goes on running, and ` +
          'addresses from blocks that this host has can be used',
        error,
      )
    }
  }

  /**
   * Takes this member off the registry; its identity is not used again. What a command under way
   * may still grant is not ours: the voters free it when they apply that we left.
   */
  async leave(timeoutMs: number): Promise<void> {
    const { agreement, logger } = this.#ports
    this.#hasLeft = true
    this.#onNewIdentity()
    await this.#writeIdentity(null)
    this.isRegistered = false
    await attempt(
      async () => void (await agreement.leave()(timeoutMs)),
      (error) => logger.warn('left without telling the voters', { error }),
    )
  }

  async #renew(timeoutMs: number): Promise<boolean> {
    const { agreement, clock } = this.#ports
    const sent = { now: clock.now(), wall: clock.wall() }
    try {
      const outcome = await agreement.renew()(timeoutMs)
      if ('refused' in outcome) {
        await this.#evicted(outcome.refused.code)
        return false
      }
    } catch (error) {
      if (isBug(error)) throw error
      this.failure = messageOf(error)
      return false
    }
    this.failure = null
    this.isRegistered = true
    this.#renewed(sent)
    return true
  }

  /** What we had is free for others, and this identity is never ours again: we are a newcomer. */
  async #evicted(code: string): Promise<void> {
    const { agreement, cluster, logger } = this.#ports
    this.failure = `the cluster does not admit ${cluster.self} (${code})`
    if (!isUnknown(code)) return
    const identity = agreement.id
    logger.warn('this member was evicted: it comes back as a newcomer', { identity })
    this.isRegistered = false
    const id = this.#newId()
    this.#onNewIdentity()
    await this.#writeIdentity({ id })
    agreement.id = id
  }

  #renewed(sent: { readonly now: number; readonly wall: number }): void {
    if (sent.now < this.#heard.now) return
    this.#heard = sent
    const row = { table: tables.self, key: heardKey, value: { wall: sent.wall } }
    void attempt(
      () => this.#writer.write([row]),
      (error) => this.#ports.logger.debug('could not note the renewal', { error }),
    )
  }

  get #silentMs(): number {
    const { clock } = this.#ports
    return Math.max(clock.now() - this.#heard.now, clock.wall() - this.#heard.wall)
  }

  #reason(): string {
    const hours = this.#silentMs / 3_600_000
    const time = Number.isFinite(hours) ? `for ${hours.toFixed(1)} h` : 'since it was started'
    const risk = 'may have been evicted and its addresses given to others (FORGET_AFTER)'
    return `it has not reached a majority of the voters ${time}, and ${risk}`
  }

  #writeIdentity(value: { readonly id: string } | null): Promise<void> {
    return this.#writer.write([{ table: tables.self, key: identityKey, value }])
  }

  #newId(): string {
    return Buffer.from(this.#ports.random.bytes(identityBytes)).toString('hex')
  }
}

function isUnknown(code: string): boolean {
  return code === 'EVICTED' || code === 'UNKNOWN_MEMBER'
}
