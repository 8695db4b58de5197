import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import {
  formatAddress,
  parseSeed,
  sameAddress,
  unmapped,
  type SocketAddress,
} from '../../socket-address.ts'
import { MemberlistError } from '../../errors.ts'
import { MAX_SEEDS } from '../../limits.ts'
import { isPresent, type Member } from '../../member.ts'
import { sample, shuffle, type Random } from '../../ports/random.ts'
import type { Transport } from '../../transport/transport.ts'
import type { Bounds } from '../messaging/stream-client.ts'
import type { FailedMembers } from './failed-members.ts'
import { RECONNECT_BOUNDS, Reconnector } from './reconnector.ts'
import type { Roster } from '../membership/roster.ts'
import { Ticker } from '../ticker.ts'

/** What became of a join. */
export interface JoinResult {
  /** How many addresses of others answered and were merged with. */
  readonly contacted: number
  /** How many addresses turned out to be our own. */
  readonly own: number
  /** What went wrong with the others. Each seed adds to one of the three at least. */
  readonly errors: readonly Error[]
}

export interface JoinerParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly transport: Transport
  readonly roster: Roster
  readonly failed: FailedMembers
  /** Exchanges states, as a join or not. */
  readonly contact: (to: SocketAddress, join: boolean, bounds: Bounds) => Promise<void>
  /** Tells a member that we live. */
  readonly sendAlive: (member: Member) => void
  /** Whether it is our own name that answers there. */
  readonly answersAsUs: (at: SocketAddress) => Promise<boolean>
}

/** How long a seed that is a member is left alone, unless some member fails. */
const PRESENT_PAUSE_MS = 10_000

/**
 * A seed that answered but is no member under that address is asked again this much later, then
 * twice as late.
 */
const FIRST_PAUSE_MS = 2000
const LONGEST_PAUSE_MS = 60_000

interface KnownSeed {
  readonly text: string
  pauseMs: number
  nextTry: number
}

/**
 * Finds the cluster by its seeds, and in the background finds absent seeds and lost members again.
 */
export class Joiner {
  readonly #parts: JoinerParts
  readonly #ticker: Ticker
  readonly #reconnector: Reconnector
  readonly #seeds = new Map<string, KnownSeed>()
  #busy = false

  constructor(parts: JoinerParts) {
    this.#parts = parts
    const { clock, random, config } = parts
    this.#reconnector = new Reconnector({ ...parts, advertise: parts.transport.advertise })
    const interval = () => config.reconnectIntervalMs
    this.#ticker = new Ticker(clock, random, interval, () => void this.#tick())
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
    this.#reconnector.stop()
  }

  /** Contacts all addresses of all seeds, and remembers the seeds. */
  async join(seeds: Iterable<string>, signal?: AbortSignal): Promise<JoinResult> {
    const texts = [...new Set(seeds)]
    for (const text of texts) this.#remember(text)
    const results = await Promise.all(texts.map((text) => this.#contactSeed(text, signal)))
    signal?.throwIfAborted()
    return {
      contacted: results.reduce((sum, result) => sum + result.contacted, 0),
      own: results.reduce((sum, result) => sum + result.own, 0),
      errors: results.flatMap((result) => result.errors),
    }
  }

  /** A member failed: it may be behind a partition. Seeds are worth a try again at once. */
  failed(member: Member): void {
    this.#reconnector.failed(member)
    for (const seed of this.#seeds.values()) seed.nextTry = 0
  }

  /** A member is back, or gone for good. */
  returned(name: string): void {
    this.#reconnector.returned(name)
  }

  /**
   * A member of our cluster that we do not know: we introduce ourselves at the next opportunity.
   */
  unknownMemberAt(endpoint: SocketAddress): void {
    this.#reconnector.unknownMemberAt(endpoint)
  }

  #remember(text: string): void {
    parseSeed(text, this.#parts.transport.advertise.port)
    if (this.#seeds.size >= MAX_SEEDS && !this.#seeds.has(text)) {
      throw new MemberlistError('invalid-option', `more than ${MAX_SEEDS} seeds`)
    }
    this.#seeds.set(text, { text, pauseMs: FIRST_PAUSE_MS, nextTry: 0 })
  }

  async #contactSeed(text: string, signal?: AbortSignal): Promise<JoinResult> {
    const result = { contacted: 0, own: 0, errors: [] as Error[] }
    for (const endpoint of await this.#resolve(text).catch((error: Error) => [error])) {
      if (endpoint instanceof Error) {
        result.errors.push(new MemberlistError('invalid-address', `${text}: ${endpoint.message}`))
      } else if (this.#isSelf(endpoint)) {
        result.own++
      } else {
        const failure = await this.#contact(endpoint, { signal })
        if (failure !== undefined) result.errors.push(failure)
        else if (await this.#isAnother(endpoint)) result.contacted++
        else result.own++
      }
    }
    return result
  }

  async #contact(endpoint: SocketAddress, bounds: Bounds): Promise<Error | undefined> {
    try {
      await this.#parts.contact(endpoint, true, bounds)
      return undefined
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      const code = cause instanceof MemberlistError ? cause.code : 'refused'
      return new MemberlistError(code, `${formatAddress(endpoint)}: ${reason}`, { cause })
    }
  }

  /** At least one address; throws when there is none. */
  async #resolve(text: string): Promise<SocketAddress[]> {
    const { transport } = this.#parts
    const { host, port } = parseSeed(text, transport.advertise.port)
    const addresses = (await transport.resolve?.(host)) ?? [host]
    if (addresses.length === 0) throw new Error('the name has no address')
    return addresses.map((address) => ({ address, port }))
  }

  async #tick(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      await Promise.all([this.#reconnector.tick(), this.#trySeed()])
    } finally {
      this.#busy = false
    }
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
      // A name that does not resolve may do so at any time.
      if (endpoints.length > 0) seed.nextTry = clock.now() + PRESENT_PAUSE_MS
    }
  }

  /**
   * It answered; if it still is no member by that address, it is known by another, and need not be
   * asked so often.
   */
  #pause(seed: KnownSeed): void {
    seed.nextTry = this.#parts.clock.now() + seed.pauseMs
    seed.pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * seed.pauseMs)
  }

  #isSelf(endpoint: SocketAddress): boolean {
    return sameAddress(endpoint, this.#parts.transport.advertise)
  }

  /**
   * Whether it was somebody else who answered there. We have further addresses than the one that
   * the others know, such as the 127.0.1.1 that Debian gives a host's name: if no member is known
   * by this one, it may be ours.
   */
  async #isAnother(endpoint: SocketAddress): Promise<boolean> {
    return this.#memberAt(endpoint) !== undefined || !(await this.#parts.answersAsUs(endpoint))
  }

  #isPresent(endpoint: SocketAddress): boolean {
    const member = this.#memberAt(endpoint)
    return this.#isSelf(endpoint) || (member !== undefined && isPresent(member))
  }

  #memberAt({ address, port }: SocketAddress): Member | undefined {
    const members = [...this.#parts.roster.members.values()]
    return members.find((each) => unmapped(each.address) === address && each.port === port)
  }
}
