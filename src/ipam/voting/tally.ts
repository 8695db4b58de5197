import type { Item } from './items.ts'
import type { Answer } from './messages.ts'
import { unpackVotes } from './packed-votes.ts'
import { type Holder, majorityOf, type Roster } from './roster.ts'
import type { Vote } from './vote-book.ts'

/** Who has an item instead of us, as a voter said, and which item that was: for a pool it may be another that overlaps. */
export interface Rival {
  readonly holder: Holder
  readonly held: Item
}

/** Why there was no majority. */
export interface Shortage {
  readonly got: number
  readonly needed: number
  readonly of: number
  /** Voters that gave no answer. */
  readonly missing: readonly string[]
}

/** How a claim stands for one of its items. */
export interface Standing {
  readonly item: Item
  readonly outcome: 'won' | 'lost' | 'open'
  readonly granted: number
  readonly rival: Rival | null
}

type Answers = ReadonlyMap<string, Answer['body']>

/**
 * Counts the answers to a claim. An item is won with a majority of the roster and, for an address inside the block of `lender`, only
 * with the lender's consent among them; it is lost when that cannot be reached any more.
 */
export function tally(
  roster: Roster,
  items: readonly Item[],
  lender: string | null,
  answers: Answers,
  outstanding: number,
): Standing[] {
  const needed = majorityOf(roster.voters.length)
  return items.map((item, place) => {
    let granted = 0
    let rival: Rival | null = null
    let consent: boolean | null = lender === null ? true : null
    for (const [voter, answer] of answers) {
      if (answer.kind !== 'votes') continue
      const refusal = answer.refused[place]
      if (refusal === undefined) continue
      if (refusal === null) granted++
      else if (rival === null || voter === lender) rival = refusal as Rival
      if (voter === lender) consent = refusal === null && answer.lent[place] === true
    }
    const outcome = outcomeOf(granted, needed, outstanding, consent)
    return { item, outcome, granted, rival }
  })
}

function outcomeOf(
  granted: number,
  needed: number,
  outstanding: number,
  consent: boolean | null,
): Standing['outcome'] {
  if (granted >= needed && consent === true) return 'won'
  if (consent === false || granted + outstanding < needed) return 'lost'
  return consent === null && outstanding === 0 ? 'lost' : 'open'
}

/** Addresses that others hold in the blocks that were granted, by the word of any voter. */
export function takenIn(answers: Answers): Vote[] {
  const taken: Vote[] = []
  for (const answer of answers.values()) {
    if (answer.kind === 'votes') taken.push(...(unpackVotes(answer.taken) ?? []))
  }
  return taken
}

/** What to say of a claim that found no majority and no rival. */
export function shortageOf(
  roster: Roster,
  standings: readonly Standing[],
  missing: readonly string[],
): Shortage {
  const of = roster.voters.length
  const got = Math.max(0, ...standings.map(({ granted }) => granted))
  return { got, needed: majorityOf(of), of, missing: [...missing].sort() }
}
