import { failure } from '../../base/errors.ts'
import { type Item, parseItemKey } from './items.ts'
import type { Holder } from './roster.ts'
import type { Vote } from './vote-book.ts'

/**
 * Votes for a message or the store: holders named once, then per kind and pool a flat list of item number,
 * holder's place, claim. About ten bytes a vote; 1,000 blocks are 10 kB.
 */
export interface PackedVotes {
  readonly holders: readonly string[]
  readonly lists: readonly { kind: Item['kind']; poolKey: string; votes: readonly number[] }[]
}

/** The most votes a message may carry: 2^17 blocks (the largest pool has as many) and some. */
const packedVotesMost = 200_000

/** What to do when members do not understand each other. */
export const oneRelease = 'have all members run the same release'

export const noVotes: PackedVotes = { holders: [], lists: [] }

export function packVotes(votes: Iterable<Vote>): PackedVotes {
  const holders: string[] = []
  const places = new Map<string, number>()
  const lists = new Map<string, { kind: Item['kind']; poolKey: string; votes: number[] }>()
  for (const { item, holder, claim } of votes) {
    let place = places.get(holder)
    if (place === undefined) places.set(holder, (place = holders.push(holder) - 1))
    const name = `${item.kind} ${item.poolKey}`
    let list = lists.get(name)
    if (list === undefined) {
      list = { kind: item.kind, poolKey: item.poolKey, votes: [] }
      lists.set(name, list)
    }
    list.votes.push(item.number, place, claim)
  }
  return { holders, lists: [...lists.values()] }
}

/** The votes again. Null when something in it makes no sense: then none of it is used. */
export function unpackVotes(packed: PackedVotes): Vote[] | null {
  const result: Vote[] = []
  for (const { kind, poolKey, votes } of packed.lists) {
    if (votes.length % 3 !== 0 || result.length + votes.length / 3 > packedVotesMost) return null
    for (let i = 0; i < votes.length; i += 3) {
      const item = parseItemKey(`${kind} ${votes[i]} ${poolKey}`)
      const holder = packed.holders[votes[i + 1]!]
      if (item === null || holder === undefined) return null
      result.push({ item, holder: holder as Holder, claim: votes[i + 2]! })
    }
  }
  return result
}

/**
 * All votes of several books, each once, with the latest claim; those of holders that `keep` denies are dropped. Fails with UNSUPPORTED when
 * a book cannot be read.
 */
export function unionOf(
  books: readonly PackedVotes[],
  keep: (holder: Holder) => boolean,
): PackedVotes {
  const union = new Map<string, Vote>()
  for (const book of books) {
    const votes = unpackVotes(book)
    // Taken for an empty one, it would give away what others were promised.
    if (votes === null)
      throw failure('UNSUPPORTED', `a member's votes cannot be read; ${oneRelease}`)
    for (const vote of votes) {
      if (!keep(vote.holder)) continue
      const key = `${vote.item.kind} ${vote.item.number} ${vote.item.poolKey} ${vote.holder}`
      const known = union.get(key)
      if (known === undefined || known.claim < vote.claim) union.set(key, vote)
    }
  }
  return packVotes(union.values())
}
