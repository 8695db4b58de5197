import type { IpamStore, StoreChange } from '../ports.ts'
import { tables } from '../tables.ts'
import { accepted, type Ballot, type Decision, type Promise_, promised } from './ballot.ts'
import { type Item, itemKey, parseItemKey } from './items.ts'
import type { Asked, Reply } from './messages.ts'
import { packVotes, unpackVotes } from './packed-votes.ts'
import {
  type Holder,
  holderOf,
  holdersOn,
  lists,
  memberNamed,
  nameOfHolder,
  outranks,
  refOf,
  type Roster,
  type RosterRef,
  seats,
  type Voter,
} from './roster.ts'
import { type Vote, VoteBook } from './vote-book.ts'

/** What a seat must know of the rest of the room to vote. */
export interface SeatAdvice {
  /** The member that publishes a block as its own, if any. */
  readonly publishedOwner: (block: Item) => string | null
  /** What we can say of an address that `borrower` wants: whose block it is in, and whether it is free there. */
  readonly lend: (address: Item, borrower: Holder) => 'lent' | 'leased' | 'not ours'
  /** Whether a founding may be spoken of: we know the others that there are. */
  readonly mayFound: () => boolean
  /** A new identity. */
  readonly newId: () => string
  /** Called when another roster came into force; the book is already the new one. */
  readonly installed: (previous: RosterRef | null, roster: Roster) => void
}

/** In the store, our voter id. */
export const identityKey = 'identity'
const currentKey = 'current'
const promiseKey = 'promise'

/**
 * This member's seat among the voters: the roster it follows, what it promised about the next one, and its book of votes.
 * Each answer leaves only after what it promises is on the disk (`Ledger`). Memory may be ahead of the disk, never behind: so a
 * vote is refused too often rather than given twice.
 */
export class Seat {
  readonly book = new VoteBook()
  #voter: Voter
  #roster: Roster | null
  #promise: Promise_ | null
  /** Blocks given back whose record may still be about, until somebody else gets our vote. */
  readonly #returned = new Set<string>()
  readonly #store: IpamStore
  readonly #advice: SeatAdvice

  constructor(voter: Voter, store: IpamStore, advice: SeatAdvice) {
    this.#voter = voter
    this.#store = store
    this.#advice = advice
    const roster = store.get<Partial<Pick<Roster, 'absent'>> & Omit<Roster, 'absent'>>(
      tables.roster,
      currentKey,
    )
    // Rosters written before there were absent members have none.
    this.#roster = roster === undefined ? null : { absent: [], ...roster }
    this.#promise = store.get<Promise_>(tables.roster, promiseKey) ?? null
    for (const [key, holders] of store.entries<Record<string, number>>(tables.votes)) {
      const item = parseItemKey(key)
      if (item === null) continue
      for (const [holder, claim] of Object.entries(holders)) {
        this.book.add({ item, holder: holder as Holder, claim })
      }
    }
  }

  /** Who we are. It changes when we follow another cluster. */
  get voter(): Voter {
    return this.#voter
  }

  get holder(): Holder {
    return holderOf(this.#voter)
  }

  get roster(): Roster | null {
    return this.#roster
  }

  get ref(): RosterRef | null {
    return this.#roster === null ? null : refOf(this.#roster)
  }

  /** Whether we have a seat on the roster that we follow. */
  get seated(): boolean {
    return seats(this.#roster, this.voter)
  }

  /** Whether we are on the roster that we follow, with a seat or without: then our blocks are ours. */
  get listed(): boolean {
    return lists(this.#roster, this.voter)
  }

  /** Whether we stopped voting because a change of the roster is under way. */
  get sealed(): boolean {
    return this.#promise !== null
  }

  /** The largest ballot we have promised; null when we promised none. */
  get ballot(): Ballot | null {
    return this.#promise?.ballot ?? null
  }

  /** The roster and the votes as a decision that another member can follow. */
  state(): Decision | null {
    return this.#roster === null
      ? null
      : { roster: this.#roster, votes: packVotes(this.book.votes()) }
  }

  async prepare({ after, ballot }: Asked<'prepare'>): Promise<Reply> {
    if (!this.#mayDecide(after)) return { kind: 'elsewhere' }
    const promise = promised(this.#promise, after, ballot)
    if (promise === null) return { kind: 'outbid', ballot: this.#promise!.ballot }
    await this.#keepPromise(promise)
    const votes = packVotes(this.book.votes())
    return { kind: 'promise', accepted: promise.accepted, votes }
  }

  async accept({ after, ballot, decision }: Asked<'accept'>): Promise<Reply> {
    if (!this.#mayDecide(after)) return { kind: 'elsewhere' }
    const promise = accepted(this.#promise, after, ballot, decision)
    if (promise === null) return { kind: 'outbid', ballot: this.#promise!.ballot }
    await this.#keepPromise(promise)
    return { kind: 'accepted' }
  }

  /** Follows what was decided, if it outranks what we follow. Everything is on the disk when it resolves. */
  async install(decision: Decision): Promise<void> {
    const votes = unpackVotes(decision.votes)
    const previous = this.ref
    if (votes === null || !outranks(refOf(decision.roster), previous)) return
    const changed = this.#takeOver(decision.roster, votes)
    // The votes that we gave in another cluster are forgotten, so there we are somebody else from now on.
    if (previous !== null && previous.root !== decision.roster.root) {
      this.#voter = { ...this.#voter, id: this.#advice.newId() }
    }
    this.#roster = decision.roster
    this.#promise = null
    this.#returned.clear()
    const written = this.#store.write([
      { table: tables.self, key: identityKey, value: { id: this.#voter.id } },
      { table: tables.roster, key: currentKey, value: decision.roster },
      { table: tables.roster, key: promiseKey, value: null },
      ...[...changed.values()].map((item) => this.#row(item)),
    ])
    this.#advice.installed(previous, decision.roster)
    await written
  }

  async vote(voter: Voter, asked: Asked<'vote'>): Promise<Reply> {
    if (asked.tag !== this.#roster?.tag || !seats(this.#roster, voter)) return { kind: 'elsewhere' }
    if (this.sealed) return { kind: 'sealed' }
    const holder = holderOf(voter)
    const refused: ({ holder: string; held: string } | null)[] = []
    const lent: boolean[] = []
    const taken: Vote[] = []
    const changes: StoreChange[] = []
    for (const item of asked.items) {
      const verdict = this.#judge(item, holder, asked.exclusive)
      refused.push(verdict.rival)
      lent.push(verdict.lent)
      if (verdict.rival !== null) continue
      taken.push(...verdict.taken)
      this.book.add({ item, holder, claim: asked.claim })
      this.#returned.delete(itemKey(item))
      changes.push(this.#row(item))
    }
    await this.#store.write(changes)
    return { kind: 'votes', refused, lent, taken: packVotes(taken) }
  }

  /** Takes back what `holder` does not need any more. */
  async release(holder: Holder, items: readonly Item[], claim: number): Promise<void> {
    for (const item of items) {
      const owner = item.kind === 'block' ? this.#advice.publishedOwner(item) : null
      if (owner === nameOfHolder(holder)) this.#returned.add(itemKey(item))
    }
    await this.free(items.map((item) => ({ item, holder, claim })))
  }

  /** Takes votes back; those given to later claims stay. */
  async free(votes: readonly Vote[]): Promise<void> {
    const freed = votes.filter((vote) => this.book.free(vote))
    await this.#store.write(freed.map(({ item }) => this.#row(item)))
  }

  /** Writes down votes of others that we learnt of: addresses taken in a block that became ours. */
  learn(votes: readonly Vote[]): StoreChange[] {
    return votes.filter((vote) => this.book.add(vote)).map(({ item }) => this.#row(item))
  }

  /**
   * A vote on the roster after the one with this tag (null: none yet) is ours to give. Without a seat we are asked only where
   * an operator's word stands for a majority.
   */
  #mayDecide(after: string | null): boolean {
    if (after === null) return this.#roster === null && this.#advice.mayFound()
    return this.#roster?.tag === after && this.listed
  }

  async #keepPromise(promise: Promise_): Promise<void> {
    this.#promise = promise
    await this.#store.write([{ table: tables.roster, key: promiseKey, value: promise }])
  }

  #judge(
    item: Item,
    holder: Holder,
    exclusive: boolean,
  ): { rival: { holder: string; held: string } | null; lent: boolean; taken: readonly Vote[] } {
    const verdict = this.book.judge(item, holder, exclusive)
    if (!verdict.granted) {
      const rival = { holder: verdict.holder, held: itemKey(verdict.held) }
      return { rival, lent: false, taken: [] }
    }
    const rival = this.#rivalByRecord(item, holder)
    if (rival !== null) return { rival, lent: false, taken: [] }
    const advice = item.kind === 'address' ? this.#advice.lend(item, holder) : 'not ours'
    if (advice === 'leased') {
      return { rival: { holder: this.holder, held: itemKey(item) }, lent: false, taken: [] }
    }
    return { rival: null, lent: advice === 'lent', taken: verdict.taken }
  }

  /**
   * A block that another member of the roster publishes as its own is not voted away, whatever the book says: a disk may
   * have been restored from an old copy. Unless the owner itself gave it back, and only its record is late.
   */
  #rivalByRecord(item: Item, holder: Holder): { holder: string; held: string } | null {
    if (item.kind !== 'block' || this.#returned.has(itemKey(item))) return null
    const owner = this.#advice.publishedOwner(item)
    if (owner === null || owner === nameOfHolder(holder)) return null
    const member = memberNamed(this.#roster!, owner)
    return member === undefined ? null : { holder: holderOf(member), held: itemKey(item) }
  }

  /**
   * Makes the book that of a new roster. Votes for those who are not on it any more are dropped: that is how the blocks of a
   * member that is gone become free. Our own claims only stay if the decision carries them: whatever
   * we owned is in it, or we were left out of a roster in between. Without a seat we gave no vote: what our book has is a copy
   * of an older decision, and nobody told us what was given back since.
   */
  #takeOver(roster: Roster, votes: readonly Vote[]): Map<string, Item> {
    const changed = new Map<string, Item>()
    const given = this.seated && this.#roster?.root === roster.root
    const onRoster = holdersOn(roster)
    for (const vote of this.book.votes()) {
      const stays = given && onRoster.has(vote.holder) && vote.holder !== this.holder
      if (!stays && this.book.free(vote)) changed.set(itemKey(vote.item), vote.item)
    }
    for (const vote of votes) {
      if (onRoster.has(vote.holder) && this.book.add(vote)) {
        changed.set(itemKey(vote.item), vote.item)
      }
    }
    return changed
  }

  #row(item: Item): StoreChange {
    const holders = this.book.holders(item)
    const value = holders.size === 0 ? null : Object.fromEntries(holders)
    return { table: tables.votes, key: itemKey(item), value }
  }
}
