import { expect } from 'chai'
import fc from 'fast-check'
import { Raft } from '../../src/consensus/core/raft.ts'
import type { Entry, Persistent } from '../../src/consensus/core/types.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Invariants } from './raft/invariants.ts'
import { type Observed, isLinearizable } from './raft/linearizability.ts'
import { type RegisterOperation, transition } from './raft/register-map.ts'
import { emptyDisk } from './raft/server.ts'

/*
 * What the simulations are judged by can fail: each of Raft's safety properties, and linearizability.
 */

const write = (value: number): RegisterOperation => ({ kind: 'write', key: 'a', value })
const read: RegisterOperation = { kind: 'read', key: 'a' }
const swap = (expected: number, value: number): RegisterOperation => ({
  kind: 'swap',
  key: 'a',
  expected,
  value,
})

/** An operation called and returned at these moments; without the second nobody heard of its end. */
function seen(
  operation: RegisterOperation,
  result: number | null,
  calledAt: number,
  returnedAt = Infinity,
): Observed {
  return { operation, result, calledAt, returnedAt }
}

/** By the definition: tries all orders of all operations that ended and any of the others. */
function isLinearizableByTrial(left: readonly Observed[], state = 0): boolean {
  if (left.every(({ returnedAt }) => returnedAt === Infinity)) return true
  const firstReturn = Math.min(...left.map(({ returnedAt }) => returnedAt))
  return left.some((one) => {
    if (one.calledAt > firstReturn) return false
    const { after, result } = transition(state, one.operation)
    if (one.result !== null && one.result !== result) return false
    return isLinearizableByTrial(
      left.filter((other) => other !== one),
      after,
    )
  })
}

describe('the check of what clients saw', () => {
  const written = transition(0, write(1)).result

  it('takes operations that overlap in any order', () => {
    const history = [seen(write(1), written, 1, 10), seen(read, 0, 2, 3), seen(read, 1, 4, 5)]
    expect(isLinearizable(history)).to.equal(true)
  })

  it('finds a read of what was replaced before it was called', () => {
    const history = [seen(write(1), written, 1, 2), seen(read, 0, 3, 4)]
    expect(isLinearizable(history)).to.equal(false)
  })

  it('finds two reads that saw a write come and go', () => {
    const history = [seen(write(1), written, 1, 10), seen(read, 1, 2, 3), seen(read, 0, 4, 5)]
    expect(isLinearizable(history)).to.equal(false)
  })

  it('finds a command that was carried out twice', () => {
    const first = transition(0, swap(0, 5))
    const history = [
      seen(swap(0, 5), first.result, 1, 2),
      seen(swap(0, 6), transition(0, swap(0, 6)).result, 3, 4),
    ]
    expect(isLinearizable(history)).to.equal(false)
  })

  it('lets a command without an answer have happened late, or never, but not before its call', () => {
    const lost = seen(write(1), null, 3)
    const before = [seen(read, 0, 1, 2), lost]
    expect(isLinearizable([...before, seen(read, 0, 4, 5), seen(read, 1, 6, 7)])).to.equal(true)
    expect(isLinearizable([...before, seen(read, 0, 4, 5)])).to.equal(true)
    expect(isLinearizable([seen(read, 1, 1, 2), lost])).to.equal(false)
  })

  it('says of any short history what the definition says', () => {
    const value = fc.nat(2)
    const operation = fc.oneof(
      fc.constant(read),
      value.map(write),
      fc.tuple(value, value).map(([expected, next]) => swap(expected, next)),
    )
    const call = fc.tuple(operation, fc.nat(2), fc.nat(12), fc.nat(6), fc.nat(5))
    fc.assert(
      fc.property(fc.array(call, { maxLength: 6 }), (calls) => {
        const history = calls.map(([what, result, at, length, chance], i) => {
          // No two moments are alike.
          const calledAt = at + i / 100
          return chance === 0 && what.kind !== 'read'
            ? seen(what, null, calledAt)
            : seen(what, result, calledAt, calledAt + length + 0.001)
        })
        expect(isLinearizable(history)).to.equal(isLinearizableByTrial(history))
      }),
      { numRuns: 3000 },
    )
  })
})

describe("the check of Raft's safety properties", () => {
  const voters = ['a', 'b', 'c']
  const command = (index: number, term: number, byte = 0): Entry => ({
    index,
    term,
    timeMs: 0,
    kind: 'command',
    data: Uint8Array.of(byte),
  })

  /** A server with that log, in that term. */
  function raftOf(id: string, term: number, entries: readonly Entry[]): Raft {
    const configuration = { voters, learners: [] }
    const snapshot = { ...emptyDisk.snapshot, index: 1, term: 1, version: 1, configuration }
    const persistent: Persistent = { ...emptyDisk, term, snapshot, entries: [...entries] }
    return new Raft({ id, random: seededRandom(1), knows: 1, persistent })
  }

  /** One whose commit index is at its end. */
  function committedOf(id: string, term: number, entries: readonly Entry[]): Raft {
    const raft = raftOf(id, term, entries)
    const { lastIndex: prevIndex, lastTerm: prevTerm } = raft.log
    const heard = { kind: 'append', term, prevIndex, prevTerm, entries: [], round: 1 } as const
    raft.receive('c', { ...heard, commit: prevIndex }, 0)
    expect(raft.commit).to.equal(prevIndex)
    return raft
  }

  it('finds two leaders of one term', () => {
    const invariants = new Invariants()
    invariants.led(raftOf('a', 2, []))
    invariants.led(raftOf('a', 2, []))
    expect(() => invariants.led(raftOf('b', 2, []))).to.throw('election safety')
  })

  it('finds a leader that lacks what was committed', () => {
    const invariants = new Invariants()
    invariants.committed(committedOf('a', 2, [command(2, 2)]), 1)
    invariants.led(raftOf('b', 3, [command(2, 2)]))
    expect(() => invariants.led(raftOf('c', 4, []))).to.throw('leader completeness')
    expect(() => invariants.led(raftOf('c', 5, [command(2, 1)]))).to.throw('leader completeness')
  })

  it('finds two entries with one index and term, and two that follow different ones', () => {
    const invariants = new Invariants()
    const entries = [command(2, 2), command(3, 3)]
    invariants.wrote(raftOf('a', 3, entries), entries)
    invariants.wrote(raftOf('b', 3, entries), entries)
    const other = [command(2, 2, 7)]
    expect(() => invariants.wrote(raftOf('b', 3, other), other)).to.throw('log matching')
    const after = [command(2, 1), command(3, 3)]
    expect(() => invariants.wrote(raftOf('b', 3, after), after.slice(1))).to.throw('log matching')
  })

  it('finds an entry that was committed and is another one elsewhere', () => {
    const invariants = new Invariants()
    invariants.committed(committedOf('a', 2, [command(2, 2)]), 1)
    const other = committedOf('b', 3, [command(2, 3)])
    expect(() => invariants.committed(other, 1)).to.throw('committed entry 2')
  })

  it('finds two states after one entry', () => {
    const invariants = new Invariants()
    invariants.applied('a', 2, 'x')
    invariants.applied('b', 2, 'x')
    expect(() => invariants.applied('c', 2, 'y')).to.throw('state machine safety')
  })
})
