import type { Clock, Timer } from '../clock.ts'
import type { Config } from '../config.ts'
import { formatEndpoint, parseSeed, sameEndpoint, unmapped, type Endpoint } from '../endpoint.ts'
import { MemberlistError } from '../errors.ts'
import { MAX_SEEDS } from '../limits.ts'
import { isPresent, type Member } from '../member.ts'
import { below, fraction, sample, shuffle, type Random } from '../random.ts'
import type { Transport } from '../transport/transport.ts'
import type { Bounds } from './exchange.ts'
import { LostMembers, type LostMember } from './lost-members.ts'
import type { Roster } from './roster.ts'
import { Ticker } from './ticker.ts'

/** What became of a join. */
export interface JoinResult {
  /** How many addresses answered and were merged with. */
  readonly contacted: number
  /** What went wrong with the others. */
  readonly errors: readonly Error[]
}

export interface JoinerParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly transport: Transport
  readonly roster: Roster
  /** Exchanges states, as a join or not. */
  readonly contact: (to: Endpoint, join: boolean, bounds: Bounds) => Promise<void>
}

/** A background attempt gives up on connecting early: the next one may fall into better times. */
const RECONNECT_BOUNDS: Bounds = { dialTimeoutMs: 1000 }

/** Comparisons with other members after the last return of a lost one. */
const REPAIRS = 3

/**
 * Who lost this share of the members was rather cut off itself. It takes minutes to give up all of a large cluster,
 * one probe after the other, so the share is small.
 */
const ISOLATED_SHARE = 0.1

/** Between introductions to strangers: some, like those that the delegate refuses, stay strangers. */
const STRANGER_PAUSE_MS = 5000

/** Who was cut off asks how others see it within this time after its return, not all in the same moment. */
const SELF_CHECK_MS = 300

/** How long a seed that is a member is left alone, unless some member fails. */
const PRESENT_PAUSE_MS = 10_000

/** A seed that answered but is no member under that address is asked again this much later, then twice as late. */
const FIRST_PAUSE_MS = 2000
const LONGEST_PAUSE_MS = 60_000

interface KnownSeed {
  readonly text: string
  pauseMs: number
  nextTry: number
}

/**
 * Finds the cluster and finds it again. SWIM itself never contacts the dead, so after a partition both halves
 * would stay apart; serf and others add such a loop, and so do we.
 */
export class Joiner {
  readonly #parts: JoinerParts
  readonly #ticker: Ticker
  readonly #seeds = new Map<string, KnownSeed>()
  readonly #lost: LostMembers
  #repairsLeft = 0
  /** Whether we lost so many that it was we who were cut off: then others may still hold us for dead. */
  #wasIsolated = false
  #selfCheck: Timer | undefined
  /** Somebody we do not know holds us for a member. */
  #stranger: Endpoint | undefined
  #noStrangersBefore = 0
  #busy = false

  constructor(parts: JoinerParts) {
    this.#parts = parts
    const { clock, random, config } = parts
    this.#lost = new LostMembers(clock, config.reconnectTimeoutMs)
    const interval = () => config.reconnectIntervalMs
    this.#ticker = new Ticker(clock, random, interval, () => void this.#tick())
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
    if (this.#selfCheck !== undefined) this.#parts.clock.clearTimeout(this.#selfCheck)
  }

  /** Contacts all addresses of all seeds, and remembers the seeds. */
  async join(seeds: Iterable<string>, signal?: AbortSignal): Promise<JoinResult> {
    const texts = [...new Set(seeds)]
    for (const text of texts) this.#remember(text)
    const results = await Promise.all(texts.map((text) => this.#contactSeed(text, signal)))
    signal?.throwIfAborted()
    return {
      contacted: results.reduce((sum, result) => sum + result.contacted, 0),
      errors: results.flatMap((result) => result.errors),
    }
  }

  /** A member failed: it may be behind a partition. Seeds are worth a try again at once. */
  lost(member: Member): void {
    this.#lost.add(member)
    for (const seed of this.#seeds.values()) seed.nextTry = 0
  }

  /** A member is back, or gone for good. */
  found(name: string): void {
    const before = this.#lost.size
    if (!this.#lost.delete(name)) return
    this.#repairsLeft = REPAIRS
    const { clock, random, roster } = this.#parts
    const many = Math.max(2, ISOLATED_SHARE * roster.size)
    if (this.#wasIsolated || before < many) return
    this.#wasIsolated = true
    this.#selfCheck = clock.setTimeout(() => void this.#repair(), fraction(random) * SELF_CHECK_MS)
  }

  /** A member of our cluster that we do not know: we introduce ourselves at the next opportunity. */
  strangerAt(endpoint: Endpoint): void {
    this.#stranger ??= endpoint
  }

  #remember(text: string): void {
    parseSeed(text, this.#parts.transport.advertise.port)
    if (this.#seeds.size >= MAX_SEEDS && !this.#seeds.has(text)) {
      throw new MemberlistError('invalid-option', `more than ${MAX_SEEDS} seeds`)
    }
    this.#seeds.set(text, { text, pauseMs: FIRST_PAUSE_MS, nextTry: 0 })
  }

  async #contactSeed(text: string, signal?: AbortSignal): Promise<JoinResult> {
    const errors: Error[] = []
    let contacted = 0
    for (const endpoint of await this.#resolve(text).catch((error: Error) => [error])) {
      if (endpoint instanceof Error) {
        errors.push(new MemberlistError('invalid-address', `${text}: ${endpoint.message}`))
      } else if (!this.#isSelf(endpoint)) {
        const failure = await this.#contact(endpoint, { signal })
        if (failure === undefined) contacted++
        else errors.push(failure)
      }
    }
    return { contacted, errors }
  }

  async #contact(endpoint: Endpoint, bounds: Bounds): Promise<Error | undefined> {
    try {
      await this.#parts.contact(endpoint, true, bounds)
      return undefined
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      const code = cause instanceof MemberlistError ? cause.code : 'refused'
      return new MemberlistError(code, `${formatEndpoint(endpoint)}: ${reason}`, { cause })
    }
  }

  async #resolve(text: string): Promise<Endpoint[]> {
    const { transport } = this.#parts
    const { host, port } = parseSeed(text, transport.advertise.port)
    const addresses = (await transport.resolve?.(host)) ?? [host]
    return addresses.map((address) => ({ address, port }))
  }

  async #tick(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      await Promise.all([
        this.#tryLostMember(),
        this.#trySeed(),
        this.#repair(),
        this.#meetStranger(),
      ])
    } finally {
      this.#busy = false
    }
  }

  /** With the probability failed/alive, so that a large cluster does not storm one dead member. */
  async #tryLostMember(): Promise<void> {
    const { random, roster } = this.#parts
    const lost = this.#lost.current()
    if (lost.length === 0) return
    const present = [...roster.members.values()].filter(isPresent).length
    if (fraction(random) >= lost.length / present) return
    await this.#reunite(lost[below(random, lost.length)]!)
  }

  /**
   * When lost members return, a partition is healing, and then so much is told at once that some of it gets lost.
   * Others may know of returns that we missed: we compare with them as long as that brings anybody back. Who was cut
   * off also learns this way that others hold it for dead.
   */
  async #repair(): Promise<void> {
    const { roster, transport } = this.#parts
    const worthwhile = this.#lost.size > 0 || this.#wasIsolated
    if (this.#repairsLeft === 0 || !worthwhile) return
    if (--this.#repairsLeft === 0) this.#wasIsolated = false
    const [partner] = roster.draw(
      1,
      (member) => isPresent(member) && !sameEndpoint(member, transport.advertise),
    )
    if (partner === undefined) return
    await this.#parts.contact(partner, false, RECONNECT_BOUNDS).catch(() => undefined)
  }

  /**
   * The first exchange tells each side that the other holds it for dead, so both refute; the second carries the
   * refutations across.
   */
  async #reunite(lost: LostMember): Promise<void> {
    for (let exchange = 0; exchange < 2 && this.#lost.has(lost.name); exchange++) {
      if ((await this.#contact(lost.endpoint, RECONNECT_BOUNDS)) !== undefined) return
    }
    if (this.#lost.has(lost.name)) this.#lost.contactedInVain(lost)
  }

  /** One seed that is no member, if there is one. */
  async #trySeed(): Promise<void> {
    const { clock, random } = this.#parts
    const due = [...this.#seeds.values()].filter((seed) => seed.nextTry <= clock.now())
    shuffle(random, due)
    for (const seed of due) {
      const endpoints = await this.#resolve(seed.text).catch(() => [])
      const [absent] = sample(random, endpoints, 1, (endpoint) => !this.#isPresent(endpoint))
      if (absent !== undefined) {
        const failure = await this.#contact(absent, RECONNECT_BOUNDS)
        if (failure === undefined) this.#pause(seed)
        return
      }
      seed.nextTry = clock.now() + PRESENT_PAUSE_MS
    }
  }

  /** It answered; if it still is no member by that address, it is known by another, and need not be asked so often. */
  #pause(seed: KnownSeed): void {
    seed.nextTry = this.#parts.clock.now() + seed.pauseMs
    seed.pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * seed.pauseMs)
  }

  async #meetStranger(): Promise<void> {
    const endpoint = this.#stranger
    const now = this.#parts.clock.now()
    if (endpoint === undefined || now < this.#noStrangersBefore) return
    this.#stranger = undefined
    this.#noStrangersBefore = now + STRANGER_PAUSE_MS
    await this.#contact(endpoint, RECONNECT_BOUNDS)
  }

  #isSelf(endpoint: Endpoint): boolean {
    return sameEndpoint(endpoint, this.#parts.transport.advertise)
  }

  #isPresent(endpoint: Endpoint): boolean {
    if (this.#isSelf(endpoint)) return true
    for (const member of this.#parts.roster.members.values()) {
      const same = unmapped(member.address) === endpoint.address && member.port === endpoint.port
      if (same && isPresent(member)) return true
    }
    return false
  }
}
