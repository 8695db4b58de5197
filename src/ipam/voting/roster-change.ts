import type { Clock } from '../../base/clock.ts'
import { failure } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { below, type Random } from '../../base/random.ts'
import { named, toForget } from '../refusals.ts'
import { type Ballot, type Decision, decisionToFinish } from './ballot.ts'
import type { Answered } from './messages.ts'
import { noVotes, oneRelease, unionOf } from './packed-votes.ts'
import { randomHex } from './random-hex.ts'
import {
  changeQuorum,
  holderOf,
  holdersOn,
  memberNamed,
  type Moves,
  type OnRoster,
  refOf,
  type Roster,
  rosterAfter,
  type Voter,
} from './roster.ts'
import type { Seat } from './seat.ts'
import type { Wire } from './wire.ts'

/** A wished change. `gone`: seats known to be empty for good, whose votes cannot be asked for. */
export interface RosterWish extends Partial<Moves> {
  readonly gone?: readonly string[]
  /** Whether one that was to leave or to lose its seat because it was away is there again: then it stays. */
  readonly isBack?: (name: string) => boolean
}

/** A wish for no change but a new number: it ends a change that somebody began and left. */
export const renewal: RosterWish = {}

/**
 * Two that propose at once outbid each other. Before its next try each waits at random: up to this long, and up to
 * twice the time its failed try took, ms, times the number of tries; so soon one is alone for long enough.
 */
const retryMs = 40
const retryTimes = 2

/**
 * Changing the roster, by agreement of a majority of the one that is in force (Paxos, single decree, one for each change).
 * Voters stop voting at the first promise and hand over their books; the union of the books of a majority goes with the
 * decision. So whatever had a majority before has every vote after, whoever joined or left.
 */
export class RosterChange {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #ports: { clock: Clock; random: Random; logger: Logger }
  /** The largest ballot counter that anybody answered with. */
  #counter = 0
  /** Of this run only: our own promises may not have reached the disk before the last one ended. */
  readonly #life: string
  #last: Promise<unknown> = Promise.resolve()

  constructor(seat: Seat, wire: Wire, ports: { clock: Clock; random: Random; logger: Logger }) {
    this.#seat = seat
    this.#wire = wire
    this.#ports = ports
    this.#life = randomHex(ports.random)
  }

  /**
   * Brings the wish about, unless it is so already. Fails with NO_MAJORITY after `deadline` (our clock, ms), with UNSUPPORTED
   * when another member's release says what ours cannot read. One at a time on a member.
   */
  change(wish: RosterWish, deadline: number): Promise<Roster> {
    const result = this.#last.then(() => this.#until(wish, deadline))
    this.#last = result.catch(() => {})
    return result
  }

  /** Founds the cluster: all `voters` must agree, since none of them has a roster. False when it did not come off. */
  async found(voters: readonly Voter[]): Promise<boolean> {
    if (this.#seat.roster !== null) return true
    const roster: Roster = {
      root: randomHex(this.#ports.random),
      founded: Math.floor(this.#ports.clock.wall()),
      number: 1,
      tag: randomHex(this.#ports.random),
      ...rosterAfter({ voters: [], absent: [] }, { joining: voters, leaving: [], vacating: [] }),
    }
    const decided = await this.#decide(null, voters, voters.length, () => ({
      roster,
      votes: noVotes,
    }))
    return 'decision' in decided
  }

  async #until(wish: RosterWish, deadline: number): Promise<Roster> {
    const { clock, random } = this.#ports
    let renewed = false
    for (let tries = 1; ; tries++) {
      const began = clock.now()
      const base = this.#seat.roster
      if (base === null) throw failure('NO_MAJORITY', 'this member has not joined a cluster yet')
      // Asked again at each use: an agreement takes seconds while members are away, and they may come back.
      const next = (): OnRoster => rosterAfter(base, movesOf(wish))
      const wanted = wish === renewal ? !renewed : !sameRoster(base, next())
      if (!wanted || next().voters.length === 0) return base
      const { among, needed } = changeQuorum(base, wish.gone ?? [])
      const outcome = await this.#decide(base.tag, among, needed, (promises) =>
        successor(base, next(), promises, randomHex(this.#ports.random)),
      )
      renewed = 'decision' in outcome
      if (renewed) continue
      const now = clock.now()
      if (now >= deadline) throw noMajority(base, wish, outcome as Failed, needed)
      const most = (retryMs + retryTimes * (now - began)) * tries
      await this.#wire.pause(1 + below(random, Math.ceil(Math.min(most, deadline - now))))
    }
  }

  /** The two rounds of one ballot. */
  async #decide(
    after: string | null,
    among: readonly Voter[],
    needed: number,
    propose: (promises: readonly Answered<'promise'>[]) => Decision,
  ): Promise<{ decision: Decision } | Failed> {
    const ballot = this.#ballot()
    const first = await this.#round(among, needed, 'promise', { kind: 'prepare', after, ballot })
    if (first.agreed.length < needed) return first
    const decision = decisionToFinish(first.agreed) ?? propose(first.agreed)
    const query = { kind: 'accept', after, ballot, decision } as const
    const second = await this.#round(among, needed, 'accepted', query)
    if (second.agreed.length < needed) return second
    await this.#seat.install(decision)
    if ((this.#seat.ref?.tag ?? null) === after) {
      throw failure('UNSUPPORTED', `a roster that was decided cannot be read here; ${oneRelease}`)
    }
    await this.#announce(among, decision)
    return { decision }
  }

  async #round<Kind extends 'promise' | 'accepted'>(
    among: readonly Voter[],
    needed: number,
    kind: Kind,
    query: Parameters<Wire['gather']>[1],
  ): Promise<Failed & { agreed: Answered<Kind>[] }> {
    const own = this.#seat.voter.name
    const { answers, missing } = await this.#wire.gather(among, query, (answers, outstanding) => {
      const agreed = [...answers.values()].filter((answer) => answer.kind === kind).length
      // Our own answer is waited for, so that people are told the right count; and where all must agree, everybody's, so
      // that they are told of all that are missing.
      const isLost = agreed + outstanding < needed && answers.has(own) && needed < among.length
      return agreed >= needed || isLost
    })
    for (const answer of answers.values()) {
      if (answer.kind === 'outbid') this.#counter = Math.max(this.#counter, answer.ballot.counter)
    }
    const agreed = [...answers.values()].filter((answer) => answer.kind === kind)
    return { agreed: agreed as Answered<Kind>[], missing }
  }

  /** Tells old and new voters; waits for most of the new ones, so that they are ready to vote. */
  async #announce(among: readonly Voter[], decision: Decision): Promise<void> {
    const own = holderOf(this.#seat.voter)
    const voters = new Map([...among, ...decision.roster.voters].map((v) => [holderOf(v), v]))
    voters.delete(own)
    const most = Math.floor(voters.size / 2)
    await this.#wire.gather(
      [...voters.values()],
      { kind: 'install', decision },
      (answers) => answers.size >= most,
    )
    const { number, voters: seated } = decision.roster
    this.#ports.logger.debug('roster decided', { number, voters: seated.map(({ name }) => name) })
  }

  #ballot(): Ballot {
    this.#counter = Math.max(this.#counter, this.#seat.ballot?.counter ?? 0) + 1
    return { counter: this.#counter, id: `${this.#seat.voter.id} ${this.#life}` }
  }
}

interface Failed {
  readonly agreed: readonly unknown[]
  readonly missing: readonly string[]
}

/** Who comes and goes by a wish as things are now. */
function movesOf({ joining = [], leaving = [], vacating = [], isBack }: RosterWish): Moves {
  const isAway = (name: string): boolean => isBack?.(name) !== true
  return { joining, leaving: leaving.filter(isAway), vacating: vacating.filter(isAway) }
}

function successor(
  base: Roster,
  next: OnRoster,
  promises: readonly Answered<'promise'>[],
  tag: string,
): Decision {
  const holders = holdersOn(next)
  const books = promises.map(({ votes }) => votes)
  return {
    roster: { ...base, number: base.number + 1, tag, ...next },
    votes: unionOf(books, (holder) => holders.has(holder)),
  }
}

function sameRoster(a: OnRoster, b: OnRoster): boolean {
  return sameVoters(a.voters, b.voters) && sameVoters(a.absent, b.absent)
}

function sameVoters(a: readonly Voter[], b: readonly Voter[]): boolean {
  const holders = new Set<string>(a.map((voter) => holderOf(voter)))
  return a.length === b.length && b.every((voter) => holders.has(holderOf(voter)))
}

function noMajority(
  base: Roster,
  { gone = [] }: RosterWish,
  { agreed, missing }: Failed,
  needed: number,
): Error {
  const known = gone.filter((name) => memberNamed(base, name) !== undefined)
  return failure(
    'NO_MAJORITY',
    `roster ${refOf(base).number} cannot be changed: ${agreed.length} of ${base.voters.length} members ` +
      `agreed and ${needed} are needed; no answer from ${named(missing) || 'nobody'}. ` +
      'Bring those members back or, if they are gone for good, have all of them forgotten at once: ' +
      toForget([...new Set([...known, ...missing])].sort()),
  )
}
