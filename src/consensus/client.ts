import { type Clock, sleep } from '../base/clock.ts'
import { CodecError } from '../base/bytes.ts'
import { withDeadline } from '../base/deadline.ts'
import { type OverlayError, failure, isBug } from '../base/errors.ts'
import { type Random, pick, shuffled } from '../base/random.ts'
import type { ConsensusTransport, MemberState, SubmitOptions } from './ports.ts'
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
    while (session.outstanding.size >= maxOutstanding / 2) await this.#pause(search, 1)
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

  async #call(
    request: Exclude<Request, { kind: 'view' | 'enroll' }>,
    search: Search,
  ): Promise<Uint8Array> {
    for (let pauses = 0; ;) {
      const target = this.#target(search)
      if (target === null) {
        this.#isLost = true
        search.tried.clear()
        await this.#pause(search, ++pauses)
        continue
      }
      search.tried.add(target)
      const left = search.endMs - this.#parts.clock.now()
      if (left <= 0) throw this.#failure(search)
      const answer = await this.#ask(target, request, Math.min(attemptMs, left))
      if (answer === null) search.silent.add(target)
      else search.silent.delete(target)
      if (answer?.kind === 'result') {
        this.#isLost = false
        this.#parts.learn(target, answer.view)
        return answer.bytes
      }
      if (answer?.kind === 'view') this.#redirected(target, answer.view, request, search)
      if (answer?.kind === 'refused' && answer.reason !== 'busy') {
        this.#session = this.#newSession('')
        throw failure('QUORUM', `the voters dropped this member's session; try again`)
      }
    }
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

  /** The leader if it was not tried, another voter, or anybody who may know more. */
  #target({ tried }: Search): string | null {
    const { view, random, members, self } = this.#parts
    const { leader, voters } = view()
    const isAway = (name: string): boolean =>
      members().some((member) => member.name === name && /dead|left/.test(member.state))
    const isOpen = (name: string): boolean => name !== '' && !tried.has(name)
    if (isOpen(memberOf(leader)) && !isAway(memberOf(leader))) return memberOf(leader)
    const names = shuffled(random, voters.map(memberOf)).filter(isOpen)
    const voter = names.find((name) => !isAway(name)) ?? null
    if (voter !== null || tried.size > voters.length) return voter
    const alive = members().filter(({ name, state }) => state === 'alive' && name !== self)
    return pick(random, alive.map(({ name }) => name).filter(isOpen)) ?? null
  }

  async #findCluster(search: Search): Promise<void> {
    for (let pauses = 0; this.#parts.view().clusterId === '';) await this.#pause(search, ++pauses)
  }

  /** Waits a little longer each time. Rejects when the time is over. */
  async #pause(search: Search, pauses: number): Promise<void> {
    const { clock, random } = this.#parts
    const left = search.endMs - clock.now()
    if (left <= 0) throw this.#failure(search)
    const most = Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(pauses, 8))
    await sleep(clock, Math.min(left, most / 2 + (random.uint32() / 2 ** 32) * (most / 2)))
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
    return { endMs, tried: new Set(), silent: new Set() }
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

/** Who does not answer, and what to do: every voter that is dead, gone or silent, by name. */
function whyNoQuorum(
  { clusterId, voters }: ClusterView,
  silent: ReadonlySet<string>,
  members: readonly MemberState[],
): string {
  if (clusterId === '')
    return 'this member has not found a cluster yet; check that the hosts in JOIN run and reach each other'
  const names = voters.map(memberOf).toSorted()
  const stateOf = (name: string): string => members.find((m) => m.name === name)?.state ?? 'unknown'
  const missing = names.filter((name) => silent.has(name) || !/alive|suspect/.test(stateOf(name)))
  const all = `${names.length} voters (${names.join(', ')})`
  if (missing.length === 0)
    return `the ${all} answer but have not agreed on a leader yet; try again in a few seconds`
  return (
    `no majority of the ${all} answers: ${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not. ` +
    'Start them again; if they are gone for good, run `ts-overlay recover` on a voter that is left'
  )
}
