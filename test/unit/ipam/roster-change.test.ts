import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { blockItem } from '../../../src/ipam/voting/items.ts'
import type { Answer, Query } from '../../../src/ipam/voting/messages.ts'
import { noVotes, packVotes, unionOf } from '../../../src/ipam/voting/packed-votes.ts'
import { holderOf, type Roster, type Voter } from '../../../src/ipam/voting/roster.ts'
import { renewal, RosterChange } from '../../../src/ipam/voting/roster-change.ts'
import { Seat } from '../../../src/ipam/voting/seat.ts'
import type { Gathered, Wire } from '../../../src/ipam/voting/wire.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const voters = ['a', 'b', 'c', 'd', 'e'].map((name): Voter => ({ name, id: `id-${name}` }))

/** Votes for an item that no release of ours has. */
const strange = {
  holders: ['a#id-a'],
  lists: [{ kind: 'pool' as const, poolKey: `10.9.0.0/24 ${'x'.repeat(200)}`, votes: [0, 0, 1] }],
}

function rosterOf(number: number, of: readonly Voter[]): Roster {
  return { root: 'r', founded: 1, number, tag: `t${number}`, voters: of, absent: [] }
}

/** Seats in one process, and what they are asked. */
class Table {
  readonly clock = new VirtualClock()
  readonly seats = new Map<string, Seat>()

  static async of(those: readonly Voter[]): Promise<Table> {
    const table = new Table()
    for (const voter of those) {
      const seat = new Seat(voter, new MemoryStore(), {
        publishedOwner: () => null,
        lend: () => 'not ours',
        mayFound: () => true,
        newId: () => 'new',
        installed: () => {},
      })
      await seat.install({ roster: rosterOf(1, those), votes: noVotes })
      table.seats.set(voter.name, seat)
    }
    return table
  }

  seat(name: string): Seat {
    return this.seats.get(name)!
  }

  async tell(name: string, query: Query): Promise<Answer['body']> {
    const seat = this.seat(name)
    const asked = structuredClone(query) as never
    if (query.kind === 'prepare') return (await seat.prepare(asked)) as Answer['body']
    if (query.kind === 'accept') return (await seat.accept(asked)) as Answer['body']
    await seat.install((asked as { decision: never }).decision)
    return { kind: 'done' }
  }

  /** Changes the roster from a seat, whose messages to some are lost. */
  change(from: string, lost: (to: string, query: Query) => boolean, seed = 1): RosterChange {
    const pause = (ms: number): Promise<void> => {
      return new Promise((resolve) => this.clock.setTimeout(resolve, ms))
    }
    const gather = async (of: readonly Voter[], query: Query): Promise<Gathered> => {
      await pause(1)
      const answers = new Map<string, Answer['body']>()
      const reached = of.map(({ name }) => name).filter((name) => !lost(name, query))
      for (const name of reached) answers.set(name, await this.tell(name, query))
      const missing = of.map(({ name }) => name).filter((name) => !reached.includes(name))
      return { answers, missing, silent: missing.length > 0 }
    }
    const ports = { clock: this.clock, random: seededRandom(seed), logger: silentLogger }
    return new RosterChange(this.seat(from), { pause, gather } as unknown as Wire, ports)
  }

  /** What came of it in a minute. */
  async outcome(work: Promise<Roster>): Promise<string> {
    const told: string[] = []
    work.then(
      ({ number, voters }) => told.push(`${number}: ${voters.map(({ name }) => name).join('')}`),
      (error: Error) => told.push(error.message),
    )
    for (let i = 0; i < 600 && told.length === 0; i++) await this.clock.advance(100)
    return told[0] ?? 'nothing'
  }
}

function joining(name: string): typeof renewal {
  return { joining: [{ name, id: name }] }
}

describe('a change of the roster', () => {
  it('is not made from a book that cannot be read: it is not an empty one', async () => {
    const book = packVotes([
      { item: blockItem('10.0.0.0/24', 3), holder: holderOf(voters[0]!), claim: 1 },
    ])
    const mixed = { ...book, lists: [...book.lists, ...strange.lists] }
    expect(() => unionOf([book, mixed], () => true)).to.throw('cannot be read')
    const table = await Table.of(voters.slice(0, 3))
    const tell = table.tell.bind(table)
    table.tell = async (name, query) => {
      const answer = await tell(name, query)
      return answer.kind === 'promise' && name === 'b'
        ? { ...answer, votes: mixed as never }
        : answer
    }
    const work = table.change('a', (to) => to === 'c').change(joining('n'), 4000)
    expect(await table.outcome(work)).to.contain('the same release')
    expect(table.seat('b').roster!.number).to.equal(1)
  })

  it('ends when another release decided what cannot be read', async () => {
    const three = voters.slice(0, 3)
    const table = await Table.of(three)
    const decision = { roster: rosterOf(2, three), votes: strange }
    const ballot = { counter: 1, id: 'id-b' }
    for (const name of ['b', 'c']) {
      await table.tell(name, { kind: 'accept', after: 't1', ballot, decision })
    }
    const work = table.change('a', () => false).change(joining('n'), 4000)
    expect(await table.outcome(work)).to.contain('the same release')
  })

  it('begun before a crash is not taken for the one after it', async () => {
    const table = await Table.of(voters)
    const late: Query[] = []
    // a's own disk is slow, so nothing of this is on it; the second round reaches b only.
    const lostFirst = (to: string, query: Query): boolean => {
      if (query.kind === 'accept' && (to === 'c' || to === 'd')) late.push(query)
      return to === 'a' || to === 'e' || (query.kind === 'accept' && to !== 'b')
    }
    void table
      .change('a', lostFirst, 1)
      .change(joining('n1'), 0)
      .catch(() => {})
    while (late.length < 2) await table.clock.advance(1)
    const lostThen = (to: string, { kind }: Query): boolean =>
      kind === 'install' || to === 'b' || to === 'd'
    const second = table.change('a', lostThen, 2).change(joining('n2'), 1e9)
    expect(await table.outcome(second)).to.equal('2: abcden2')
    for (const name of ['c', 'd']) await table.tell(name, late[0]!)
    const third = table.change('d', (to) => to === 'a' || to === 'e', 3)
    await table.outcome(third.change(renewal, table.clock.now() + 1000))
    expect(table.seat('d').roster!.voters).to.deep.include({ name: 'n2', id: 'n2' })
  })
})
