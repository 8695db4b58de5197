import { expect } from 'chai'
import fc from 'fast-check'
import {
  accepted,
  type Ballot,
  compareBallots,
  type Decision,
  decisionToFinish,
  type Promise_,
  promised,
} from '../../../src/ipam/voting/ballot.ts'
import { noVotes } from '../../../src/ipam/voting/packed-votes.ts'
import {
  changeQuorum,
  majorityOf,
  nameOfHolder,
  holderOf,
  holdersOn,
  outranks,
  refOf,
  type Roster,
  rosterAfter,
  type RosterRef,
  type Voter,
} from '../../../src/ipam/voting/roster.ts'

function rosterOf(count: number): Roster {
  const voters = Array.from({ length: count }, (_, i) => ({ name: `m${i}`, id: `${i}` }))
  return { root: 'r', founded: 1, number: 1, tag: 't', voters, absent: [] }
}

function voterList(figures: string): Voter[] {
  return Array.from(figures, (id) => ({ name: `m${id}`, id }))
}

function named(figures: string): string[] {
  return Array.from(figures, (id) => `m${id}`)
}

describe('roster', () => {
  it('a holder is a name and an id, whatever the name', () => {
    const voter = { name: 'odd#name', id: '17' }
    expect(nameOfHolder(holderOf(voter))).to.equal('odd#name')
  })

  it('any two majorities have a voter in common', () => {
    for (let count = 1; count < 50; count++) {
      expect(2 * majorityOf(count)).to.be.greaterThan(count)
    }
  })

  it('those who decide without a lost seat meet every majority in a seat that is not lost', () => {
    for (let count = 2; count < 50; count++) {
      const { among, needed } = changeQuorum(rosterOf(count), ['m0'])
      expect(among).to.have.length(count - 1)
      // A majority has at least majority - 1 of those that are left; the rest is too few to be `needed`.
      expect(among.length - (majorityOf(count) - 1)).to.be.lessThan(needed)
      expect(2 * needed, 'and each other').to.be.greaterThan(among.length)
    }
  })

  it('when fewer are left than that, all of them must agree', () => {
    expect(changeQuorum(rosterOf(3), ['m0', 'm1'])).to.include({ needed: 1 })
    expect(changeQuorum(rosterOf(5), ['m0', 'm1'])).to.include({ needed: 3 })
    expect(changeQuorum(rosterOf(5), [])).to.include({ needed: 3 })
  })

  it('a member that comes back takes its seat, and nobody sits twice', () => {
    const again = { name: 'm1', id: 'new' }
    const joining = [again, again, { name: 'm7', id: '7' }]
    const next = rosterAfter(rosterOf(3), { joining, leaving: ['m0'], vacating: [] })
    const voters = [again, { name: 'm2', id: '2' }, { name: 'm7', id: '7' }]
    expect(next).to.deep.equal({ voters, absent: [] })
  })

  /* By name and id of one figure: who votes, who is absent; who joins, leaves, loses its seat; who votes and is absent then. */
  for (const [voters, absent, joining, leaving, vacating, then, away] of [
    ['01234', '', '', '', '34', '012', '34'],
    ['01234', '', '', '', '234', '014', '23'],
    ['012', '', '', '', '2', '012', ''],
    ['012', '', '3', '', '2', '013', '2'],
    ['01', '', '', '', '1', '01', ''],
    ['0123', '', '', '2', '3', '013', ''],
    ['012', '34', '3', '', '', '0123', '4'],
    ['012', '34', '', '3', '', '012', '4'],
    ['012', '34', '', '', '3', '012', '34'],
    ['01234', '56', '', '', '7', '01234', '56'],
  ] as const) {
    const asked = `+${joining} -${leaving} ~${vacating}`
    it(`of ${voters} and absent ${absent || 'nobody'}, ${asked}, is ${then} and ${away || 'nobody'}`, () => {
      const base = { voters: voterList(voters), absent: voterList(absent) }
      const moves = {
        joining: voterList(joining),
        leaving: named(leaving),
        vacating: named(vacating),
      }
      const next = rosterAfter(base, moves)
      expect(next).to.deep.equal({ voters: voterList(then), absent: voterList(away) })
    })
  }

  it('an absent member that lost its disk is another: what the former had is not its own', () => {
    const base = { voters: voterList('012'), absent: voterList('3') }
    const joining = [{ name: 'm3', id: 'new' }]
    const next = rosterAfter(base, { joining, leaving: [], vacating: [] })
    expect(next.absent).to.deep.equal([])
    expect(holdersOn(next).has(holderOf(voterList('3')[0]!))).to.equal(false)
  })

  it('the absent have no say, but where an operator’s word stands for a majority', () => {
    const base = { voters: voterList('012'), absent: voterList('34') }
    const names = (gone: string): string => {
      const { among, needed } = changeQuorum(base, named(gone))
      return `${needed} of ${among.map(({ id }) => id).join('')}`
    }
    expect(names('')).to.equal('2 of 012')
    expect(names('3')).to.equal('2 of 012')
    expect(names('2')).to.equal('2 of 01')
    expect(names('12')).to.equal('3 of 034')
    expect(names('124')).to.equal('2 of 03')
    expect(names('0124')).to.equal('1 of 3')
  })

  it('counts the absent where clusters that lived apart compare their size', () => {
    const base = rosterOf(3)
    expect(refOf({ ...base, absent: voterList('78') }).size).to.equal(5)
  })

  const anyRef: fc.Arbitrary<RosterRef> = fc.record({
    root: fc.constantFrom('r1', 'r2'),
    founded: fc.nat(2),
    number: fc.nat(3),
    tag: fc.constantFrom('t1', 't2'),
    size: fc.nat(3),
  })

  it('of two rosters at most one outranks the other, and none itself', () => {
    fc.assert(
      fc.property(anyRef, anyRef, (a, b) => {
        expect(outranks(a, b) && outranks(b, a)).to.equal(false)
        expect(outranks(a, a)).to.equal(false)
        expect(outranks(null, a)).to.equal(false)
        expect(outranks(a, null)).to.equal(true)
      }),
    )
  })

  it('a host that founded alone by mistake gives way to the cluster', () => {
    const alone = { root: 'new', founded: 0, number: 9, tag: 'x', size: 1 }
    const cluster = { root: 'old', founded: 5, number: 2, tag: 'y', size: 3 }
    expect(outranks(cluster, alone)).to.equal(true)
    expect(outranks(alone, cluster)).to.equal(false)
  })
})

/** A proposer of the property below: where it stands with its one ballot. */
interface Proposer {
  readonly ballot: Ballot
  readonly own: Decision
  readonly promises: Map<number, Promise_>
  readonly acceptances: Set<number>
  decision: Decision | null
}

describe('the decision on the next roster', () => {
  it('is one, however the messages of several proposers fall', () => {
    const acceptors = 5
    // Long enough that most scripts decide something, or there is nothing to contradict.
    const message = fc.tuple(fc.nat(3), fc.nat(acceptors - 1))
    const script = fc.array(message, { minLength: 40, maxLength: 120 })
    fc.assert(
      fc.property(script, (steps) => {
        const state: (Promise_ | null)[] = Array<null>(acceptors).fill(null)
        const proposers: Proposer[] = [0, 1, 2, 3].map((n) => ({
          ballot: { counter: n >> 1, id: `p${n}` },
          own: { roster: { ...rosterOf(n + 1), tag: `t${n}` }, votes: noVotes },
          promises: new Map(),
          acceptances: new Set(),
          decision: null,
        }))
        for (const [n, acceptor] of steps) step(proposers[n]!, state, acceptor)
        const decided = proposers.filter(
          ({ acceptances }) => acceptances.size >= majorityOf(acceptors),
        )
        expect(new Set(decided.map(({ decision }) => decision!.roster.tag)).size).to.be.at.most(1)
      }),
      { numRuns: 3000 },
    )
  })

  it('ballots of different proposers are never equal', () => {
    expect(compareBallots({ counter: 1, id: 'a' }, { counter: 1, id: 'b' })).to.be.lessThan(0)
    expect(compareBallots({ counter: 2, id: 'a' }, { counter: 1, id: 'b' })).to.be.greaterThan(0)
  })
})

/** One message of a proposer reaches one acceptor. */
function step(proposer: Proposer, state: (Promise_ | null)[], acceptor: number): void {
  const { ballot, promises, acceptances } = proposer
  if (proposer.decision === null) {
    const promise = promised(state[acceptor]!, 't', ballot)
    if (promise === null) return
    state[acceptor] = promise
    promises.set(acceptor, promise)
    if (promises.size < majorityOf(state.length)) return
    proposer.decision = decisionToFinish([...promises.values()]) ?? proposer.own
    return
  }
  const promise = accepted(state[acceptor]!, 't', ballot, proposer.decision)
  if (promise === null) return
  state[acceptor] = promise
  acceptances.add(acceptor)
}
