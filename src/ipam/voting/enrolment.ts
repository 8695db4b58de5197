import type { Clock } from '../../base/clock.ts'
import { failure, isBug, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { below, pick, type Random } from '../../base/random.ts'
import { named, toForget } from '../refusals.ts'
import { lists, majorityOf, memberNamed, type Roster, seats, type Voter } from './roster.ts'
import { renewal, type RosterChange, type RosterWish } from './roster-change.ts'
import type { Seat } from './seat.ts'
import type { Wire } from './wire.ts'

/** A voter that was asked for a seat collects others that ask for one during this time, ms. */
const gatheringMs = 30
/** A change of the roster is given up after this long; whoever wanted it tries again, ms. */
const changeMs = 4000
/** A change that somebody else began is finished by us when it has taken this long, and up to twice as long, ms. */
const sealedMostMs = 2000
/**
 * A host without JOIN and with an empty disk may be a new cluster's first, or one that lost its disk: members that remember it are
 * given this long to call, ms.
 */
const foundingGraceMs = 1500
/** Every so many steps a random member is asked which roster it follows. */
const stepsBetweenHellos = 5

/**
 * Getting and keeping a seat among the voters: following the best roster that any member tells of, founding a cluster when
 * there is none, and having oneself put on the roster. Driven by `step`, about once a second and whenever
 * members change.
 */
export class Enrolment {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #change: RosterChange
  readonly #ports: { clock: Clock; random: Random; logger: Logger }
  readonly #synced: () => boolean
  readonly #fetching = new Set<string>()
  #joiners: Voter[] = []
  #admission: Promise<void> | null = null
  readonly #born: number
  #steps = 0
  #attempts = 0
  #sealedSince: number | null = null
  #leaving = false

  constructor(
    seat: Seat,
    wire: Wire,
    change: RosterChange,
    ports: { clock: Clock; random: Random; logger: Logger },
    synced: () => boolean,
  ) {
    this.#seat = seat
    this.#wire = wire
    this.#change = change
    this.#ports = ports
    this.#synced = synced
    this.#born = ports.clock.now()
  }

  /** Does what is due. What fails is tried again at the next step. */
  async step(): Promise<void> {
    this.#steps++
    try {
      if (this.#leaving) return
      if (this.#seat.roster === null) await this.#start()
      else if (!this.#seat.seated) await this.#askForSeat(this.#seat.roster)
      else await this.#unseal()
      if (this.#steps % stepsBetweenHellos === 0) await this.#greet()
    } catch (error) {
      if (isBug(error)) throw error
      this.#ports.logger.debug('no seat yet', { error: messageOf(error) })
    }
  }

  /** Whether a member told of a better roster, and we are about to follow it. */
  get following(): boolean {
    return this.#fetching.size > 0
  }

  /** Follows the roster of a member whose envelope told of a better one. */
  follow(member: string): void {
    if (this.#fetching.has(member)) return
    this.#fetching.add(member)
    this.#fetch(member)
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        this.#ports.logger.debug('could not fetch a roster', { member, error: messageOf(error) })
      })
      .finally(() => this.#fetching.delete(member))
  }

  /** A voter's part in `join`: puts the joiner on the roster, together with others that ask now. */
  async admit(joiner: Voter): Promise<boolean> {
    if (!this.#seat.seated || this.#leaving) return false
    this.#joiners.push(joiner)
    this.#admission ??= this.#admitAll()
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        this.#ports.logger.debug('could not admit members', { error: messageOf(error) })
      })
      .finally(() => (this.#admission = null))
    await this.#admission
    const { roster } = this.#seat
    return seats(roster, joiner)
  }

  /**
   * Agrees with the others that these members are gone for good; `byHand`: on an operator's word, without them. Where
   * there is no cluster yet because one of them does not answer, the others found it.
   */
  async forget(members: readonly string[], byHand: boolean): Promise<void> {
    if (this.#seat.roster === null && byHand) return this.#foundWithout(members)
    // When all voters are gone, whoever is told so begins anew.
    const joining = this.#seat.seated ? [] : [this.#seat.voter]
    const deadline = this.#ports.clock.now() + changeMs
    if (byHand) await this.#change.change({ joining, leaving: members, gone: members }, deadline)
    else await this.#forgetAway(joining, members, deadline)
  }

  /** Those that come back meanwhile stay. */
  async #forgetAway(
    joining: readonly Voter[],
    leaving: readonly string[],
    deadline: number,
  ): Promise<void> {
    const wish: RosterWish = { joining, leaving, isBack: (name) => this.#isBack(name) }
    const roster = await this.#change.change(wish, deadline)
    const back = leaving.filter((name) => memberNamed(roster, name) !== undefined)
    if (back.length > 0) throw failure('NO_MAJORITY', `not forgotten, being back: ${named(back)}`)
  }

  /** Gives up our own place on the roster, unless nobody else has a seat. */
  async resign(deadline: number): Promise<void> {
    this.#leaving = true
    const { roster, listed, seated, voter } = this.#seat
    if (roster === null || !listed || (seated && roster.voters.length === 1)) return
    await this.#change.change({ leaving: [voter.name] }, deadline)
  }

  /** A change that cannot come about only keeps those from voting that are left. */
  #seesMajority(): boolean {
    const { roster, voter } = this.#seat
    if (roster === null) return false
    const there = new Set([...this.#wire.others(), voter.name])
    const living = roster.voters.filter(({ name }) => there.has(name)).length
    return living >= majorityOf(roster.voters.length)
  }

  #isBack(name: string): boolean {
    return this.#wire.others().includes(name)
  }

  /** First start, or the disk is new: somebody has a roster, or we found the cluster together. */
  async #start(): Promise<void> {
    if (!this.#synced()) return
    const { voter } = this.#seat
    const { voters, missing } = await this.#founders([])
    // The first by name proposes, so that not all do.
    const firstName = voters.map(({ name }) => name).sort()[0]
    const alone = voters.length === 1 && this.#ports.clock.now() - this.#born < foundingGraceMs
    if (missing.length === 0 && firstName === voter.name && !alone) await this.#change.found(voters)
  }

  async #foundWithout(gone: readonly string[]): Promise<void> {
    const others = new Set(this.#wire.states().keys())
    others.delete(this.#seat.voter.name)
    const known = gone.filter((name) => others.has(name))
    const waited = this.#synced() && known.length > 0
    const { voters, missing } = await this.#founders(gone)
    if (waited && missing.length === 0 && (await this.#change.found(voters))) return
    throw failure(
      'NO_MAJORITY',
      'this host is in no cluster yet, and all members that it knows have to agree to found one; ' +
        `no answer from ${named(missing) || 'any yet'}. Bring them back or have all that are gone for good forgotten at once: ` +
        toForget([...known, ...missing]),
    )
  }

  /** Who can found the cluster, and whose word is missing: all must agree, since one that is away may have a roster. */
  async #founders(gone: readonly string[]): Promise<{ voters: Voter[]; missing: string[] }> {
    const { voter } = this.#seat
    const voters = [voter]
    const missing: string[] = []
    const names = [...this.#wire.states().keys()]
    const asked = names.filter((name) => name !== voter.name && !gone.includes(name))
    await Promise.all(
      asked.map(async (name) => {
        const answer = await this.#wire.ask(name, { kind: 'hello' }).catch(() => null)
        // Whoever has a roster was told of by the wire, and we are about to follow it.
        if (answer === null || answer.roster !== null) missing.push(name)
        else voters.push(answer.from)
      }),
    )
    return { voters, missing }
  }

  async #askForSeat(roster: Roster): Promise<void> {
    const states = this.#wire.states()
    const others = roster.voters.filter(({ name }) => {
      const state = states.get(name)
      return name !== this.#seat.voter.name && (state === 'alive' || state === 'suspect')
    })
    const voter = others[this.#attempts++ % Math.max(1, others.length)]
    if (voter !== undefined) await this.#wire.ask(voter.name, { kind: 'join' })
    else if (roster.voters.every(({ name }) => name === this.#seat.voter.name)) {
      await this.#replaceOurselves(roster)
    }
  }

  /** The only seat is our own, with the id of a disk that is lost. Nobody else has a say. */
  async #replaceOurselves(roster: Roster): Promise<void> {
    const { voter } = this.#seat
    if (roster.voters.length !== 1) return
    const wish = { joining: [voter], gone: [voter.name] }
    await this.#change.change(wish, this.#ports.clock.now() + changeMs)
  }

  async #unseal(): Promise<void> {
    const now = this.#ports.clock.now()
    if (!this.#seat.sealed) {
      this.#sealedSince = null
      return
    }
    this.#sealedSince ??= now + below(this.#ports.random, sealedMostMs)
    if (now - this.#sealedSince < sealedMostMs) return
    this.#sealedSince = null
    await this.#change.change(renewal, now + changeMs)
  }

  async #greet(): Promise<void> {
    const member = pick(this.#ports.random, this.#wire.others())
    if (member !== undefined) await this.#wire.ask(member, { kind: 'hello' })
  }

  async #fetch(member: string): Promise<void> {
    const { body } = await this.#wire.ask(member, { kind: 'fetch' })
    if (body.kind === 'state' && body.decision !== null) await this.#seat.install(body.decision)
  }

  /** Whether the disk that is on the roster with this name still answers: whoever asks for its place now is somebody else. */
  async #isThere(name: string): Promise<boolean> {
    const known = memberNamed(this.#seat.roster!, name)
    if (known === undefined) return false
    const answer = await this.#wire.ask(name, { kind: 'hello' }).catch(() => null)
    return answer?.from.id === known.id
  }

  /**
   * All that ask within a moment come in one change; but only one at a time may take over the place of a lost disk,
   * because the others must then decide without it. An absent member that is back has its own.
   */
  async #admitAll(): Promise<void> {
    await this.#wire.pause(gatheringMs)
    const joiners = this.#joiners
    this.#joiners = []
    const deadline = this.#ports.clock.now() + changeMs
    const { roster } = this.#seat
    const isReplacing = (joiner: Voter): boolean =>
      roster !== null &&
      memberNamed(roster, joiner.name) !== undefined &&
      !lists({ ...roster, voters: [] }, joiner)
    const replacing = joiners.filter((joiner) => isReplacing(joiner))
    const joining = joiners.filter((joiner) => !isReplacing(joiner))
    for (const voter of replacing) {
      if (await this.#isThere(voter.name)) continue
      await this.#change.change({ joining: [voter], gone: [voter.name] }, deadline)
    }
    if (joining.length > 0 && this.#seesMajority()) await this.#change.change({ joining }, deadline)
  }
}
