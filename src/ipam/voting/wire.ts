import type { Clock } from '../../base/clock.ts'
import { AssertionError, OverlayError, failure, isBug, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { IpamCluster, Json, MemberState } from '../ports.ts'
import {
  type Answer,
  messageVersion,
  parseAnswer,
  parseRequest,
  type Query,
  type Reply,
  type Request,
} from './messages.ts'
import { outranks, type RosterRef, type Voter } from './roster.ts'

/** A message or its answer may be lost: a second try follows a short first one. All requests may be repeated. */
const attemptsMs: readonly number[] = [600, 1500]

/** What says when all that this host did so far is on its disk. */
interface Durability {
  readonly durable: () => Promise<void>
}

/** Who speaks, and which roster it follows. */
interface Speaker {
  readonly voter: Voter
  readonly ref: RosterRef | null
}

/** What came of asking several voters. */
export interface Gathered {
  readonly answers: ReadonlyMap<string, Answer['body']>
  /** Names of those that did not answer, or are not who they were. */
  readonly missing: readonly string[]
  /** Whether one of them is a member that is there, as far as we know, and was silent: it may be busy. */
  readonly silent: boolean
}

/**
 * Requests between members in envelopes that say who asks and which roster it follows. Whatever envelope
 * tells of a better roster than ours is reported, so that nobody follows an old one for long. No request and no answer
 * leaves before everything that it may follow from is on the disk.
 */
export class Wire {
  readonly #cluster: IpamCluster
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #disk: Durability
  readonly #speaker: Speaker
  readonly #betterRoster: (member: string) => void
  #handler: (request: Request) => Promise<Reply> = async () => ({
    kind: 'error',
    message: 'not ready',
  })

  constructor(
    ports: { cluster: IpamCluster; clock: Clock; logger: Logger; store: Durability },
    speaker: Speaker,
    betterRoster: (member: string) => void,
  ) {
    this.#cluster = ports.cluster
    this.#clock = ports.clock
    this.#logger = ports.logger
    this.#disk = ports.store
    this.#speaker = speaker
    this.#betterRoster = betterRoster
  }

  /** Answers requests with `handler` from now on, our own ones to ourselves included. */
  listen(handler: (request: Request) => Promise<Reply>): void {
    this.#handler = handler
    this.#cluster.onAsk((from, message) => this.#answer(from, message))
  }

  /** The members that there are, by name. */
  states(): Map<string, MemberState['state']> {
    return new Map(Array.from(this.#cluster.voters(), ({ name, state }) => [name, state]))
  }

  /** Names of the members that are not dead, without our own. */
  others(): string[] {
    const names: string[] = []
    for (const { name, state } of this.#cluster.voters()) {
      if (state !== 'dead' && name !== this.#speaker.voter.name) names.push(name)
    }
    return names.sort()
  }

  /** Asks a member. Rejects when it is away, late, or answers nonsense, and with STORE while our disk is behind. */
  async ask(member: string, query: Query, states = this.states()): Promise<Answer> {
    await this.#disk.durable()
    const message = this.#envelope(query)
    if (member === this.#speaker.voter.name)
      return this.#read(member, await this.#answer(member, message))
    const state = states.get(member)
    if (state === undefined || state === 'dead') {
      throw failure('MEMBER_AWAY', `${member} is ${state ?? 'gone'}`)
    }
    let failed: unknown
    for (const timeoutMs of attemptsMs) {
      try {
        return this.#read(member, await this.#cluster.ask(member, message, timeoutMs))
      } catch (error) {
        failed = error
      }
    }
    throw failed
  }

  /**
   * Asks voters side by side until all have answered or failed, or `enough` says so. Only the answer
   * of the very voter counts, not that of a successor with its name.
   */
  gather(
    voters: readonly Voter[],
    query: Query,
    enough: (answers: ReadonlyMap<string, Answer['body']>, outstanding: number) => boolean,
  ): Promise<Gathered> {
    const answers = new Map<string, Answer['body']>()
    const missing: string[] = []
    let silent = false
    const states = this.states() // once: a map for each of a thousand voters takes its time
    return new Promise((resolve) => {
      let outstanding = voters.length
      const settle = (): void => {
        if (outstanding === 0 || enough(answers, outstanding)) resolve({ answers, missing, silent })
      }
      for (const voter of voters) {
        this.ask(voter.name, query, states)
          .then((answer) => {
            if (answer.from.id === voter.id && answer.body.kind !== 'error')
              answers.set(voter.name, answer.body)
            else missing.push(voter.name)
          })
          .catch((error: unknown) => {
            if (isBug(error)) throw error
            missing.push(voter.name)
            silent ||= error instanceof OverlayError && error.code === 'DEADLINE'
            this.#logger.debug('no answer', { member: voter.name, error: messageOf(error) })
          })
          .finally(() => {
            outstanding--
            settle()
          })
      }
      if (voters.length === 0) settle()
    })
  }

  /** Resolves after `ms`. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimeout(resolve, ms))
  }

  async #answer(from: string, message: Json): Promise<Json> {
    const request = parseRequest(message)
    if (request === null || request.from.name !== from) {
      return this.#envelope({ kind: 'error', message: 'not a request of this version' })
    }
    this.#compare(from, request.roster)
    try {
      const reply = await this.#handler(request)
      await this.#disk.durable()
      return this.#envelope(reply)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      this.#logger.warn('a request of another member failed', {
        from,
        kind: request.body.kind,
        error: messageOf(error),
      })
      return this.#envelope({ kind: 'error', message: messageOf(error) })
    }
  }

  #envelope(body: Query | Reply): Json {
    const { voter, ref } = this.#speaker
    return { version: messageVersion, from: voter, roster: ref, body } as unknown as Json
  }

  #read(member: string, message: Json): Answer {
    const answer = parseAnswer(message)
    if (answer === null || answer.from.name !== member) {
      throw failure('MEMBER_ERROR', `${member} gave no answer of this version`)
    }
    this.#compare(member, answer.roster)
    return answer
  }

  #compare(member: string, theirs: RosterRef | null): void {
    if (outranks(theirs, this.#speaker.ref)) this.#betterRoster(member)
  }
}
