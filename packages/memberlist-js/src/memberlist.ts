import { EventEmitter } from 'node:events'
import type { Clock } from './ports/clock.ts'
import { assertBytes, assertVersions, invalid, resolveConfig } from './resolve-config.ts'
import type { Config, ConfigInput } from './config.ts'
import { attempt, guardedDelegate } from './core/guarded-delegate.ts'
import { Engine } from './core/engine.ts'
import type { JoinResult } from './core/joining/joiner.ts'
import type { Delegate } from './delegate.ts'
import type { SocketAddress } from './socket-address.ts'
import { MemberlistError } from './errors.ts'
import { EventStream } from './event-stream.ts'
import type { MemberlistEvent, MemberlistEvents } from './events.ts'
import { Keyring } from './keyring.ts'
import { MAX_NAME_BYTES, MAX_RELIABLE_BYTES } from './limits.ts'
import { isPresent, type Member } from './member.ts'
import type { Random } from './ports/random.ts'
import { DEFAULT_DELEGATE_VERSIONS } from './rules/compatibility.ts'
import { systemClock } from './ports/system-clock.ts'
import { systemRandom } from './ports/system-random.ts'
import type { Transport } from './transport/transport.ts'
import { MAX_LABEL_BYTES } from './wire/layers/label.ts'

/** What a {@link Memberlist} is made of. */
export interface MemberlistOptions {
  /** Unique in the cluster, at most 255 bytes. */
  readonly name: string
  /** How packets and streams travel. The list closes it. */
  readonly transport: Transport
  /** A preset or changes to one; `lan` by default. */
  readonly config?: ConfigInput
  /** Encrypts everything; all members need a common key. */
  readonly keyring?: Keyring
  /** Only members with the same label hear each other, at most 255 bytes. */
  readonly label?: string
  /**
   * The application's version range and version: min, max, current; 0 to 255 each. `[2, 5, 4]`
   * unless given.
   */
  readonly delegateVersions?: readonly [min: number, max: number, current: number]
  /** What the application adds to the protocol. */
  readonly delegate?: Delegate
  /** The machine's clock unless given. */
  readonly clock?: Clock
  /** The machine's randomness unless given; nonces come from it, too. */
  readonly random?: Random
}

/**
 * One member of a cluster, and its view of all the others.
 *
 * Events tell of changes of the view; see {@link MemberlistEvents}. A listener runs in the midst of
 * the protocol: it should be quick. An error that it throws is raised as an uncaught exception and
 * does not harm the list.
 */
export class Memberlist extends EventEmitter<MemberlistEvents> implements AsyncDisposable {
  /** The options in force. */
  readonly config: Config
  readonly #engine: Engine
  /** Those that may still be read. */
  readonly #streams = new Set<EventStream>()
  #phase: 'new' | 'running' | 'left' | 'closed' = 'new'

  /** Checks the options; throws `invalid-option`. Nothing is sent before {@link start}. */
  constructor(options: MemberlistOptions) {
    super()
    this.config = resolveConfig(options.config)
    assertBytes('name', options.name, 1, MAX_NAME_BYTES)
    assertBytes('label', options.label ?? '', 0, MAX_LABEL_BYTES)
    const delegateVersions = options.delegateVersions ?? DEFAULT_DELEGATE_VERSIONS
    assertVersions(delegateVersions)
    if (options.keyring !== undefined && !(options.keyring instanceof Keyring)) {
      throw invalid('the keyring is none: make one with new Keyring([key])')
    }
    this.#engine = new Engine({
      name: options.name,
      transport: options.transport,
      config: this.config,
      keyring: options.keyring,
      label: new TextEncoder().encode(options.label ?? ''),
      delegateVersions,
      delegate: guardedDelegate(options.delegate ?? {}),
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
      emit: (event, ...args) => this.#emitSafely(event, ...args),
    })
  }

  /** Enters ourselves as the first member, and begins to listen and to probe. */
  start(): void {
    if (this.#phase !== 'new') {
      throw new MemberlistError('not-running', 'a member list is started once')
    }
    this.#phase = 'running'
    this.#engine.start()
  }

  /**
   * Joins the cluster that the seeds (`host`, `host:port`, `[ipv6]:port`) belong to, by exchanging
   * states with every address they resolve to. The port is our own unless given. Seeds that do not
   * answer are tried again in the background. Throws `invalid-address`, or the reason of `signal`.
   */
  async join(seeds: Iterable<string>, options: { signal?: AbortSignal } = {}): Promise<JoinResult> {
    this.#assertRunning()
    return await this.#engine.joiner.join(seeds, options.signal)
  }

  /**
   * Says goodbye and waits until the others should know, at most `timeoutMs` (5 s). Afterwards only
   * {@link close} makes sense. Until then packets are still answered.
   */
  async leave(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#assertRunning()
    this.#phase = 'left'
    await this.#engine.leave(options.timeoutMs ?? 5000)
  }

  /**
   * Stops at once, without a goodbye, and closes the transport. May be called at any time, also
   * twice.
   */
  async close(): Promise<void> {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    await this.#engine.close()
    for (const stream of this.#streams) stream.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Every member we know of, by name, ourselves included; also the dead and the left, until they
   * are forgotten.
   */
  get members(): ReadonlyMap<string, Member> {
    return this.#engine.roster.members
  }

  /** Ourselves, as the others see us. Only after {@link start}. */
  get local(): Member {
    if (this.#phase === 'new') throw new MemberlistError('not-running', 'start the list first')
    return this.#engine.membership.self
  }

  /** How many members are alive or suspect, ourselves included. */
  get numberOfMembers(): number {
    let count = 0
    for (const member of this.members.values()) if (isPresent(member)) count++
    return count
  }

  /**
   * 0 when we are well; higher while our own network or processor seems to be the trouble
   * (Lifeguard).
   */
  get health(): number {
    return this.#engine.awareness.score
  }

  /** Counts of what was dropped, refused or odd since the start, by reason. */
  get counters(): Readonly<Record<string, number>> {
    return this.#engine.counters.snapshot()
  }

  /** The longest user message, in bytes, that {@link send} takes without `reliable`. */
  get maxPacketPayload(): number {
    return this.#engine.maxPacketPayload
  }

  /** The longest user message, in bytes, that {@link broadcast} takes. */
  get maxBroadcastPayload(): number {
    return this.#engine.maxBroadcastPayload
  }

  /**
   * Asks the delegate for our meta and tells the others. Resolves when that was sent often enough.
   */
  async updateMeta(): Promise<void> {
    this.#assertRunning()
    await this.#engine.updateMeta()
  }

  /**
   * Has the member of a `conflict` at the claimant's address from now on, for an application that
   * has made sure that it is the same member. Otherwise a claimant waits until the other has left.
   */
  acceptMove(claimant: Member): void {
    this.#assertRunning()
    this.#engine.membership.acceptMove(claimant)
  }

  /**
   * Exchanges the full state with a random member now, out of turn: for an application that has
   * learnt of a member which is not in `members`. At most once a second, less often above 32
   * members; else nothing happens.
   */
  refresh(): void {
    this.#assertRunning()
    this.#engine.pushPuller.outOfTurn()
  }

  /**
   * Gossips a user message: it is sent `retransmitMult * ceil(log10(n + 1))` times to random
   * members, in packets that travel anyway. To reach all, whoever gets it for the first time must
   * broadcast it again: what makes two messages the same only the application knows. A later one
   * with the same `key` replaces one that waits. Resolves when it was sent often enough or was
   * replaced.
   */
  async broadcast(payload: Uint8Array, options: { key?: string } = {}): Promise<void> {
    this.#assertRunning()
    assertSize('a broadcast', payload, this.maxBroadcastPayload, 'send it to each member instead')
    await this.#engine.broadcast(payload, options.key)
  }

  /**
   * Sends a user message to one member (by name) or endpoint. Over UDP, best effort, it resolves at
   * once; `reliable` goes over TCP, up to 16 MiB, and resolves when the other side has read it.
   * Throws `unknown-member`, `payload-too-large`, and when reliable what broke the connection.
   */
  async send(
    to: string | SocketAddress,
    payload: Uint8Array,
    options: { reliable?: boolean; signal?: AbortSignal } = {},
  ): Promise<void> {
    this.#assertRunning()
    const target = this.#target(to)
    if (options.reliable === true) {
      assertSize('a reliable message', payload, MAX_RELIABLE_BYTES, 'split it')
      await this.#engine.exchange.send(target, payload, { signal: options.signal })
    } else {
      assertSize('a message over UDP', payload, this.maxPacketPayload, 'send it reliably')
      this.#engine.sendPacket(target, payload)
    }
  }

  /**
   * Probes a member directly. Resolves to the round trip in ms; throws `timed-out`,
   * `unknown-member`, or `overloaded` when 1,024 wait for their answers.
   */
  async ping(name: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    this.#assertRunning()
    return await this.#engine.userPings.ping(this.#member(name), options.signal)
  }

  /**
   * The events `join`, `update`, `suspect`, `refuted` and `leave` from now on, or with `snapshot`
   * first a `join` for each member that is present. Ends when `signal` aborts, and after what has
   * happened when the list is closed. Of more than 4,096 events that a reader has not fetched yet
   * the oldest are dropped, and it gets a `lagged` in their place.
   */
  changes(
    options: { signal?: AbortSignal; snapshot?: boolean } = {},
  ): AsyncIterableIterator<MemberlistEvent> {
    const known = options.snapshot === true ? [...this.members.values()] : []
    const others = known.filter((m) => isPresent(m) && m.name !== this.local.name)
    const stream = new EventStream(this, others, this.#streams, options.signal)
    if (this.#phase === 'closed') stream.end()
    return stream
  }

  #target(to: string | SocketAddress): SocketAddress | Member {
    return typeof to === 'string' ? this.#member(to) : to
  }

  #member(name: string): Member {
    const member = this.members.get(name)
    if (member === undefined) {
      throw new MemberlistError('unknown-member', `there is no member ${name}`)
    }
    return member
  }

  #assertRunning(): void {
    if (this.#phase !== 'running') {
      throw new MemberlistError('not-running', `the member list is ${this.#phase}`)
    }
  }

  #emitSafely<K extends keyof MemberlistEvents>(event: K, ...args: MemberlistEvents[K]): void {
    attempt(
      () =>
        (this.emit as (event: K, ...args: MemberlistEvents[K]) => boolean).call(
          this,
          event,
          ...args,
        ),
      false,
    )
  }
}

function assertSize(what: string, payload: Uint8Array, most: number, remedy: string): void {
  if (payload.length <= most) return
  throw new MemberlistError(
    'payload-too-large',
    `${what} has at most ${most} bytes, not ${payload.length}: ${remedy}`,
  )
}
