import { type Clock, sleep } from '../base/clock.ts'
import { CodecError } from '../base/bytes.ts'
import { withDeadline } from '../base/deadline.ts'
import { type OverlayError, failure, isBug } from '../base/errors.ts'
import { type Random, pick, shuffled } from '../base/random.ts'
import type { ConsensusTransport, MemberState, SubmitOptions } from './ports.ts'
import { whyNoQuorum } from './quorum-failure.ts'
import { maxOutstanding } from './server/replicated-state.ts'
import {
  type Answer,
  type ClusterView,
  type Request,
  decodeAnswer,
  encodeRequest,
  memberOf,
} from './requests.ts'

/** One attempt at one member, ms. */
const attemptMs = 1500
/** A member that has not answered by then is waited for while the others are asked, ms. */
const patienceMs = 300
const minPauseMs = 50
const maxPauseMs = 400

interface ClientParts {
  readonly self: string
  readonly clock: Clock
  readonly random: Random
  readonly transport: ConsensusTransport
  readonly members: () => readonly MemberState[]
  /** Answers a request to this member itself. */
  readonly answerSelf: (request: Request) => Promise<Answer>
  /** What is known of the cluster; learned from answers too. */
  readonly view: () => ClusterView
  readonly learn: (from: string, view: ClusterView) => void
  /** Why this member's own server takes no part; null while it does, or when there is none. */
  readonly ownFailure: () => string | null
}

/** What one call has found out about the voters. */
interface Search {
  readonly endMs: number
  /** Members that did not answer, or do not lead, since the last pause. */
  readonly tried: Set<string>
  /** Voters that did not answer, or that another one does not hear. */
  readonly silent: Set<string>
  /** Requests under way, and the member that each was sent to. */
  readonly asked: Map<Promise<Reply>, string>
  pauses: number
  /** When those that were tried are asked again; null while somebody is left to be asked. */
  pausedUntilMs: number | null
}

interface Reply {
  readonly from: string
  readonly answer: Answer | null
}

/** The client's side of a session. */
interface Session {
  readonly clusterId: string
  readonly incarnation: number
  next: number
  readonly outstanding: Set<number>
  /** A command of it was applied: the voters know it. */
  isOpen: boolean
}

/**
 * Sends commands and questions to the leader, and retries until the time is over (thesis 6.1 to
 * 6.3).
 */
export class Client {
  readonly #parts: ClientParts
  #session: Session
  #isLost = false

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.#session = this.#newSession('')
  }

  /** No voter that is known served, when all were asked last. */
  get isLost(): boolean {
    return this.#isLost
  }

  async submit(command: Uint8Array, options: SubmitOptions): Promise<Uint8Array> {
    const search = this.#searchFor(options)
    await this.#findCluster(search)
    const session = this.#sessionOf(this.#parts.view().clusterId)
    while (session.outstanding.size >= maxOutstanding / 2) await this.#pause(search)
    const sequence = session.next++
    session.outstanding.add(sequence)
    try {
      const { clusterId, incarnation } = session
      const acknowledged = session.isOpen ? Math.min(...session.outstanding) : 1
      const request = { clusterId, incarnation, sequence, acknowledged, command }
      const result = await this.#call({ kind: 'submit', ...request }, search)
      session.isOpen = true
      return result
    } finally {
      session.outstanding.delete(sequence)
    }
  }

  async query(question: Uint8Array, options: SubmitOptions): Promise<Uint8Array> {
    const search = this.#searchFor(options)
    await this.#findCluster(search)
    const { clusterId } = this.#parts.view()
    return this.#call({ kind: 'query', clusterId, question }, search)
  }

  /** Has our server removed from the configuration. Rejects as `submit` does. */
  async leave(server: string, options: SubmitOptions): Promise<void> {
    const { clusterId } = this.#parts.view()
    await this.#call({ kind: 'leave', clusterId, server }, this.#searchFor(options))
  }

  /** Whether that server is in the configuration. Rejects as `submit` does. */
  async isServer(server: string, options: SubmitOptions): Promise<boolean> {
    const { clusterId } = this.#parts.view()
    const search = this.#searchFor(options)
    return (await this.#call({ kind: 'is-server', clusterId, server }, search))[0] === 1
  }

  /** Asks one member to hold a server for the cluster; null when it does not answer. */
  async enroll(member: string, clusterId: string, timeoutMs: number): Promise<string | null> {
    const answer = await this.#ask(member, { kind: 'enroll', clusterId }, timeoutMs)
    return answer?.kind === 'enrolled' ? answer.server : null
  }

  /** Asks one member what it knows; null when it does not answer. */
  async viewOf(member: string): Promise<ClusterView | null> {
    const answer = await this.#ask(member, { kind: 'view' }, attemptMs)
    return answer?.kind === 'view' ? answer.view : null
  }

  /**
   * Asks one member after another, and does not wait for a silent one: what it may still answer
   * counts while the others are asked. The session makes it safe to have a command at two servers.
   */
  async #call(
    request: Exclude<Request, { kind: 'view' | 'enroll' }>,
    search: Search,
  ): Promise<Uint8Array> {
    for (;;) {
      const reply = await this.#nextReply(request, search)
      if (reply === null) continue
      const { from, answer } = reply
      if (answer === null) search.silent.add(from)
      else search.silent.delete(from)
      if (answer?.kind === 'result') {
        this.#isLost = false
        this.#parts.learn(from, answer.view)
        return answer.bytes
      }
      if (answer?.kind === 'view') this.#redirected(from, answer.view, request, search)
      if (answer?.kind === 'refused' && answer.reason !== 'busy') {
        this.#session = this.#newSession('')
        throw failure('QUORUM', `the voters dropped this member's session; try again`)
      }
    }
  }

  /**
   * Asks the next member, if there is one to ask, and waits for an answer of any; null when none
   * came by then.
   */
  async #nextReply(request: Request, search: Search): Promise<Reply | null> {
    const { tried, silent, asked } = search
    const target = this.#target(search)
    if (target === null) {
      this.#isLost ||= asked.size === 0
      return this.#pause(search)
    }
    tried.add(target)
    this.#send(target, request, search)
    if (silent.has(target)) return null
    const reply = await this.#wait(search, patienceMs)
    if (reply === null) silent.add(target)
    return reply
  }

  #send(target: string, request: Request, { asked, endMs }: Search): void {
    const timeoutMs = Math.min(attemptMs, endMs - this.#parts.clock.now())
    const reply = this.#ask(target, request, timeoutMs).then((answer) => {
      asked.delete(reply)
      return { from: target, answer }
    })
    asked.set(reply, target)
  }

  /** Learns where the leader is; that one is next unless it is known. */
  #redirected(
    from: string,
    view: ClusterView,
    request: { clusterId: string },
    search: Search,
  ): void {
    const before = this.#parts.view()
    this.#parts.learn(from, view)
    if (this.#parts.view().clusterId !== request.clusterId)
      throw failure('QUORUM', 'this member came to belong to another cluster; try again')
    for (const id of view.silent) search.silent.add(memberOf(id))
    const leader = memberOf(view.leader)
    if (leader !== from && (view.term > before.term || view.leader !== before.leader))
      search.tried.delete(leader)
  }

  /**
   * The leader if it was not tried, another voter, or anybody who may know more. A voter that is
   * silent comes after those that answer.
   */
  #target({ tried, silent }: Search): string | null {
    const { view, random, members, self } = this.#parts
    const { leader, voters } = view()
    const isAway = (name: string): boolean =>
      members().some((member) => member.name === name && /dead|left/.test(member.state))
    const isOpen = (name: string): boolean => name !== '' && !tried.has(name)
    const names = [memberOf(leader), ...shuffled(random, voters.map(memberOf))]
    const open = names.filter((name) => isOpen(name) && !isAway(name))
    const voter = open.find((name) => !silent.has(name)) ?? open[0] ?? null
    if (voter !== null || tried.size > voters.length) return voter
    const alive = members().filter(({ name, state }) => state === 'alive' && name !== self)
    return pick(random, alive.map(({ name }) => name).filter(isOpen)) ?? null
  }

  async #findCluster(search: Search): Promise<void> {
    while (this.#parts.view().clusterId === '') await this.#pause(search)
  }

  /** Waits a little longer each time, or until an answer comes; then those asked may be again. */
  async #pause(search: Search): Promise<Reply | null> {
    const { clock, random } = this.#parts
    const most = Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(search.pauses + 1, 8))
    search.pausedUntilMs ??= clock.now() + (most / 2) * (1 + random.uint32() / 2 ** 32)
    const reply = await this.#wait(search, search.pausedUntilMs - clock.now())
    if (reply !== null) return reply
    search.pauses++
    search.pausedUntilMs = null
    search.tried.clear()
    for (const member of search.asked.values()) search.tried.add(member)
    return null
  }

  /**
   * The next answer to a request under way; null when none comes within `ms`. Rejects when the time
   * is over.
   */
  #wait(search: Search, ms: number): Promise<Reply | null> {
    const { clock } = this.#parts
    const left = search.endMs - clock.now()
    if (left <= 0) throw this.#failure(search)
    const over = sleep(clock, Math.max(0, Math.min(left, ms))).then(() => null)
    return Promise.race([...search.asked.keys(), over])
  }

  async #ask(member: string, request: Request, timeoutMs: number): Promise<Answer | null> {
    const { self, clock, transport, answerSelf } = this.#parts
    try {
      if (member === self)
        return await withDeadline(clock, timeoutMs, 'this server', answerSelf(request))
      return decodeAnswer(await transport.request(member, encodeRequest(request), timeoutMs))
    } catch (error) {
      if (isBug(error) && !(error instanceof CodecError)) throw error
      return null
    }
  }

  #searchFor({ timeoutMs }: SubmitOptions): Search {
    const endMs = this.#parts.clock.now() + timeoutMs
    const common = { tried: new Set<string>(), silent: new Set<string>() }
    return { endMs, ...common, asked: new Map(), pauses: 0, pausedUntilMs: null }
  }

  #failure({ silent }: Search): OverlayError {
    const why = whyNoQuorum(this.#parts.view(), silent, this.#parts.members())
    const own = this.#parts.ownFailure()
    return failure('QUORUM', own === null ? why : `${own}; until then ${why}`)
  }

  #sessionOf(clusterId: string): Session {
    if (this.#session.clusterId !== clusterId) this.#session = this.#newSession(clusterId)
    return this.#session
  }

  #newSession(clusterId: string): Session {
    const incarnation =
      this.#parts.random.uint32() * 0x1_0000 + (this.#parts.random.uint32() >>> 16)
    return { clusterId, incarnation, next: 1, outstanding: new Set(), isOpen: false }
  }
}
