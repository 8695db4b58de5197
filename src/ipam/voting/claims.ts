import type { Clock } from '../../base/clock.ts'
import { below, type Random } from '../../base/random.ts'
import type { Ledger } from '../ledger.ts'
import type { StoreChange } from '../ports.ts'
import { tables } from '../tables.ts'
import type { GiveBack } from './give-back.ts'
import { type Item, itemKey } from './items.ts'
import { itemsMost } from './messages.ts'
import type { Seat } from './seat.ts'
import { type Rival, type Shortage, shortageOf, type Standing, takenIn, tally } from './tally.ts'
import type { Wire } from './wire.ts'

/** Claim numbers are taken from the store by this many, so that a claim costs no write for its number. */
const claimNumbersReserved = 10_000
/** While voters are busy with a change of the roster a claim waits this long, and up to as much again, ms. */
const retryMs = 30

/** What to claim, and how. */
interface ClaimWish {
  readonly items: readonly Item[]
  /** Pools: nobody else may have an overlapping one. */
  readonly exclusive?: boolean
  /** Addresses: the owner of the block, who must consent. */
  readonly lender?: string
  /** Votes are worth having without a majority too: only what a rival has is given back. */
  readonly bestEffort?: boolean
  /** On our clock, ms: no new round begins after it. */
  readonly deadline: number
}

/** How a claim ended. `shortage` is there when something was lost for want of votes, not to a rival. */
export interface ClaimResult {
  readonly won: readonly Item[]
  readonly lost: readonly { item: Item; rival: Rival | null }[]
  readonly shortage: Shortage | null
}

/** Makes what was won ours in memory, at once, and says what to write. */
type Keep = (won: readonly Item[], claim: number) => readonly StoreChange[]

/**
 * When the disk refuses what was won: takes it back in memory, as `Undo`, and its votes are given back. Left out for what others
 * may rest on already, such as a block with addresses handed out from it: that stays ours, and is written later.
 */
type Unkeep = () => readonly StoreChange[]

interface Keeping {
  readonly keep: Keep
  readonly unkeep: Unkeep | undefined
}

/**
 * Getting votes. A claim asks every voter of the roster at once; what finds a majority is kept, the rest is given back.
 * Votes are only counted together when all were given under one roster, and it is still ours.
 */
export class Claims {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #giveBack: GiveBack
  readonly #ports: { store: Ledger; clock: Clock; random: Random }
  readonly #pursued = new Map<string, number>()
  #next: number
  #reserved: number

  constructor(
    seat: Seat,
    wire: Wire,
    giveBack: GiveBack,
    ports: { store: Ledger; clock: Clock; random: Random },
  ) {
    this.#seat = seat
    this.#wire = wire
    this.#giveBack = giveBack
    this.#ports = ports
    this.#next = ports.store.get<{ below: number }>(tables.self, 'claims')?.below ?? 1
    this.#reserved = this.#next
  }

  /** Items that are being claimed at this moment. */
  get pending(): number {
    return this.#pursued.size
  }

  pursues(item: Item): boolean {
    return this.#pursued.has(itemKey(item))
  }

  /** A number above all that we ever used, also before a crash: none is used before the disk knows of it. */
  async number(): Promise<number> {
    while (this.#next >= this.#reserved) {
      const value = { below: this.#next + claimNumbersReserved }
      await this.#ports.store.write([{ table: tables.self, key: 'claims', value }])
      this.#reserved = Math.max(this.#reserved, value.below)
    }
    return this.#next++
  }

  /**
   * Claims items; resolves when what was won is on the disk. Never waits long past the deadline. Fails with STORE when the
   * disk refuses: `unkeep` has run then, or what was won is ours and owed to the disk.
   */
  async claim(wish: ClaimWish, keep: Keep, unkeep?: Unkeep): Promise<ClaimResult> {
    const items = wish.items.slice(0, itemsMost)
    const claim = await this.number()
    await this.#ports.store.durable()
    for (const item of items) this.#pursued.set(itemKey(item), claim)
    try {
      return await this.#rounds({ ...wish, items }, claim, { keep, unkeep })
    } finally {
      for (const item of items) {
        if (this.#pursued.get(itemKey(item)) === claim) this.#pursued.delete(itemKey(item))
      }
    }
  }

  /** Asks again while voters are busy with a change of the roster, or a silent one would decide, and there is time. */
  async #rounds(wish: ClaimWish, claim: number, keeping: Keeping): Promise<ClaimResult> {
    const won: Item[] = []
    let open = wish.items
    let standings: readonly Standing[] = []
    let missing: readonly string[] = []
    for (;;) {
      const round = await this.#round({ ...wish, items: open }, claim, keeping)
      if (round !== null) {
        won.push(...round.won)
        standings = round.standings
        missing = round.missing
        open = standings.filter(({ outcome }) => outcome !== 'won').map(({ item }) => item)
        if (open.length === 0 || round.final) break
      }
      if (this.#ports.clock.now() >= wish.deadline) break
      if (wish.bestEffort === true && !this.#seat.seated) break
      await this.#wire.pause(retryMs + below(this.#ports.random, retryMs))
    }
    const rivals = new Map(standings.map(({ item, rival }) => [itemKey(item), rival]))
    const lost = open.map((item) => ({ item, rival: rivals.get(itemKey(item)) ?? null }))
    const hopeless = lost.filter(({ rival }) => rival !== null || wish.bestEffort !== true)
    await this.#abandon(
      hopeless.map(({ item }) => item),
      claim,
    )
    const short = lost.some(({ rival }) => rival === null)
    return { won, lost, shortage: short ? this.shortage(standings, missing) : null }
  }

  /** One question to all voters. Null when we have no say: not on a roster, or it is being changed. */
  async #round(
    { items, exclusive = false, lender: owner, bestEffort = false }: ClaimWish,
    claim: number,
    keeping: Keeping,
  ): Promise<{
    won: Item[]
    standings: Standing[]
    missing: readonly string[]
    final: boolean
  } | null> {
    const { roster, seated, sealed } = this.#seat
    if (roster === null || !seated || sealed) return null
    const lender = owner ?? null
    const query = {
      kind: 'vote',
      tag: roster.tag,
      claim,
      exclusive,
      items: items.map((item) => itemKey(item)),
    } as const
    const own = this.#seat.voter.name
    const { answers, missing, silent } = await this.#wire.gather(
      roster.voters,
      query,
      // Our own vote is waited for, so that people are told the right count.
      (answers, left) =>
        answers.has(own) &&
        tally(roster, items, lender, answers, left).every(({ outcome }) => outcome !== 'open'),
    )
    if (this.#seat.roster?.tag !== roster.tag) return null
    const standings = tally(roster, items, lender, answers, 0)
    const won = standings.filter(({ outcome }) => outcome === 'won').map(({ item }) => item)
    await this.#keep(won, claim, keeping, takenIn(answers))
    const busy = [...answers.values()].some(({ kind }) => kind === 'sealed' || kind === 'elsewhere')
    const isShort = standings.some(({ outcome, rival }) => outcome !== 'won' && rival === null)
    const mayBeGiven = silent && isShort && !bestEffort
    return { won, standings, missing, final: !busy && !mayBeGiven }
  }

  async #keep(
    won: readonly Item[],
    claim: number,
    { keep, unkeep }: Keeping,
    taken: Parameters<Seat['learn']>[0],
  ): Promise<void> {
    if (won.length === 0) return
    const kept = keep(won, claim)
    const own = won.map((item) => ({ item, holder: this.#seat.holder, claim }))
    const learnt = this.#seat.learn([...own, ...taken])
    const settled = this.#giveBack.forget(won)
    const undo =
      unkeep === undefined ? null : () => [...unkeep(), ...this.#giveBack.note(won, claim)]
    await this.#ports.store.write([...learnt, ...settled, ...kept], undo)
  }

  /** What was not won is given back to everybody: a lost answer may have been a vote. */
  async #abandon(items: readonly Item[], claim: number): Promise<void> {
    if (items.length === 0) return
    await this.#ports.store.write(this.#giveBack.note(items, claim))
    void this.#giveBack.send()
  }

  /** What is lacking after a round of questions, or when we have no say and cannot ask. */
  shortage(standings: readonly Standing[] = [], missing: readonly string[] = []): Shortage {
    const { roster, seated } = this.#seat
    if (roster !== null && seated) return shortageOf(roster, standings, missing)
    const states = this.#wire.states()
    const names = roster?.voters.map(({ name }) => name) ?? [...states.keys()].sort()
    // Those that are there have to admit us; they are not what is lacking.
    const isThere = (name: string): boolean =>
      roster !== null && (states.get(name) ?? 'dead') !== 'dead'
    const away = names.filter((name) => name !== this.#seat.voter.name && !isThere(name))
    const of = names.length
    return { got: 0, needed: Math.floor(of / 2) + 1, of, missing: away }
  }
}
