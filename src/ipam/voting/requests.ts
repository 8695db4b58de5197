import type { Claims } from './claims.ts'
import type { Enrolment } from './enrolment.ts'
import { type Item, itemKey } from './items.ts'
import type { Asked, Reply, Request } from './messages.ts'
import { holderOf } from './roster.ts'
import type { Seat } from './seat.ts'

/** Who answers which request of another member. */
export interface Respondents {
  readonly seat: Seat
  readonly claims: Claims
  readonly enrolment: Enrolment
  /** Whether we own or use an item. */
  readonly wanted: (item: Item) => boolean
  readonly spare: (asked: Asked<'spare'>) => Promise<Reply>
  readonly conflicts: (member: string, items: readonly Item[]) => readonly Item[]
}

/** The answer to a request. */
export async function respond(parts: Respondents, { from, roster, body }: Request): Promise<Reply> {
  const { seat, claims, enrolment, wanted } = parts
  switch (body.kind) {
    case 'hello':
      // While the roster is being changed, who asks may be on its way out.
      if (seat.sealed) return { kind: 'sealed' }
      return { kind: roster?.tag === seat.roster?.tag ? 'done' : 'elsewhere' }
    case 'fetch':
      return { kind: 'state', decision: seat.state() }
    case 'install':
      await seat.install(body.decision)
      return { kind: 'done' }
    case 'join':
      return { kind: (await enrolment.admit(from)) ? 'done' : 'elsewhere' }
    case 'prepare':
      return seat.prepare(body)
    case 'accept':
      return seat.accept(body)
    case 'vote':
      return seat.vote(from, body)
    case 'release':
      await seat.release(holderOf(from), body.items, body.claim)
      return { kind: 'done' }
    case 'check': {
      const unwanted = body.items.filter(({ item }) => !wanted(item) && !claims.pursues(item))
      const items = unwanted.map(({ item, claim }) => ({ item: itemKey(item), claim }))
      return { kind: 'unwanted', items }
    }
    case 'spare':
      return parts.spare(body)
    case 'conflicts':
      return { kind: 'doubled', items: parts.conflicts(from.name, body.items).map(itemKey) }
  }
}
