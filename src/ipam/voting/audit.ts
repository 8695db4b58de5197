import { isBug } from '../../base/errors.ts'
import { type Item, itemKey } from './items.ts'
import { itemsMost } from './messages.ts'
import { type Holder, nameOfHolder } from './roster.ts'
import type { Seat } from './seat.ts'
import type { Vote } from './vote-book.ts'
import type { Wire } from './wire.ts'

/**
 * Frees votes that nobody wants: a request that arrived after its claim was given up, a holder that crashed between
 * the votes and its own note, a vote that came back with a merged book. Each holder is asked; its
 * word is what counts, never a time-out. Holders that are away keep what they have.
 *
 * `known` says of a vote that its holder is known to use it, so that it need not be asked.
 */
export async function auditVotes(
  seat: Seat,
  wire: Wire,
  wanted: (item: Item) => boolean,
  known: (item: Item, holder: Holder) => boolean,
): Promise<number> {
  const doubtful = new Map<Holder, Vote[]>()
  for (const vote of seat.book.votes()) {
    if (vote.holder === seat.holder ? wanted(vote.item) : known(vote.item, vote.holder)) continue
    const votes = doubtful.get(vote.holder) ?? []
    if (votes.length < itemsMost) doubtful.set(vote.holder, [...votes, vote])
  }
  let freed = 0
  for (const [holder, votes] of doubtful) {
    const unwanted = holder === seat.holder ? votes : await unwantedBy(wire, holder, votes)
    freed += unwanted.length
    await seat.free(unwanted)
  }
  return freed
}

/** Which of these the holder does not need. None when it does not answer, or has another identity. */
async function unwantedBy(wire: Wire, holder: Holder, votes: readonly Vote[]): Promise<Vote[]> {
  try {
    const items = votes.map(({ item, claim }) => ({ item: itemKey(item), claim }))
    const answer = await wire.ask(nameOfHolder(holder), { kind: 'check', items })
    if (`${answer.from.name}#${answer.from.id}` !== holder) return []
    if (answer.body.kind !== 'unwanted') return []
    return answer.body.items.map(({ item, claim }) => ({ item, holder, claim }))
  } catch (error) {
    if (isBug(error)) throw error
    return []
  }
}
