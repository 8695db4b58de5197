import { expect } from 'chai'
import type { Member, MemberState, Versions } from '../../../src/member.ts'
import {
  judgeAlive,
  judgeDead,
  judgeSuspect,
  refutingIncarnation,
  type AliveClaim,
  type Knowledge,
  type Verdict,
} from '../../../src/rules/judgement.ts'

const versions: Versions = {
  protocolMin: 1,
  protocolMax: 5,
  protocol: 2,
  delegateMin: 2,
  delegateMax: 5,
  delegate: 4,
}
const NOW = 100_000

function member(state: MemberState, incarnation: number, since = NOW - 1000): Member {
  const place = { address: '10.0.0.1', port: 7946 }
  return { name: 'a', ...place, meta: Buffer.from('m'), versions, incarnation, state, since }
}

function claim(incarnation: number, changes: Partial<AliveClaim> = {}): AliveClaim {
  const place = { address: '10.0.0.1', port: 7946 }
  return { name: 'a', ...place, meta: Buffer.from('m'), versions, incarnation, ...changes }
}

function knowing(known: Member | undefined, changes: Partial<Knowledge> = {}): Knowledge {
  return { known, self: false, leaving: false, now: NOW, ...changes }
}

/** A verdict in one line: `ignore`, `refute 7`, `alive 3`. */
function brief(verdict: Verdict): string {
  if (verdict.act === 'accept') return `${verdict.member.state} ${verdict.member.incarnation}`
  return verdict.act === 'refute' ? `refute ${verdict.incarnation}` : verdict.act
}

const elsewhere = { address: '10.0.0.2' }
const self = { self: true }
const leaving = { self: true, leaving: true }

type Row = readonly [what: string, verdict: Verdict, expected: string]

const aliveRows: readonly Row[] = [
  ['an unknown member', judgeAlive(claim(1), knowing(undefined), 0), 'alive 1'],
  ['an unknown member with incarnation 0', judgeAlive(claim(0), knowing(undefined), 0), 'alive 0'],
  ['the same again', judgeAlive(claim(5), knowing(member('alive', 5)), 0), 'ignore'],
  ['older news', judgeAlive(claim(4), knowing(member('alive', 5)), 0), 'ignore'],
  ['newer news', judgeAlive(claim(6), knowing(member('alive', 5)), 0), 'alive 6'],
  [
    'a suspect at the same incarnation',
    judgeAlive(claim(5), knowing(member('suspect', 5)), 0),
    'ignore',
  ],
  ['a suspect that refutes', judgeAlive(claim(6), knowing(member('suspect', 5)), 0), 'alive 6'],
  [
    'a dead member at the same incarnation',
    judgeAlive(claim(5), knowing(member('dead', 5)), 0),
    'ignore',
  ],
  ['a dead member that refutes', judgeAlive(claim(6), knowing(member('dead', 5)), 0), 'alive 6'],
  ['a member that left, replayed', judgeAlive(claim(5), knowing(member('left', 5)), 0), 'ignore'],
  [
    'a member that left and returns',
    judgeAlive(claim(6), knowing(member('left', 5)), 0),
    'alive 6',
  ],
  [
    'another address for a live name',
    judgeAlive(claim(99, elsewhere), knowing(member('alive', 5)), 0),
    'conflict',
  ],
  [
    'another port for a live name',
    judgeAlive(claim(99, { port: 1 }), knowing(member('alive', 5)), 0),
    'conflict',
  ],
  [
    'another address for a suspect',
    judgeAlive(claim(99, elsewhere), knowing(member('suspect', 5)), 0),
    'conflict',
  ],
  [
    'another address after leaving, even with a lower incarnation',
    judgeAlive(claim(1, elsewhere), knowing(member('left', 5)), 0),
    'alive 1',
  ],
  [
    'another address for the dead, without reclaim',
    judgeAlive(claim(9, elsewhere), knowing(member('dead', 5)), 0),
    'conflict',
  ],
  [
    'another address for the dead, too early',
    judgeAlive(claim(9, elsewhere), knowing(member('dead', 5)), 1000),
    'conflict',
  ],
  [
    'another address for the long dead',
    judgeAlive(claim(1, elsewhere), knowing(member('dead', 5)), 999),
    'alive 1',
  ],
  ['ourselves, as we are', judgeAlive(claim(5), knowing(member('alive', 5), self), 0), 'ignore'],
  [
    'ourselves, an older life',
    judgeAlive(claim(4), knowing(member('alive', 5), self), 0),
    'ignore',
  ],
  [
    'ourselves with other meta',
    judgeAlive(claim(5, { meta: Buffer.from('x') }), knowing(member('alive', 5), self), 0),
    'refute 5',
  ],
  [
    'ourselves with other versions',
    judgeAlive(
      claim(5, { versions: { ...versions, delegate: 5 } }),
      knowing(member('alive', 5), self),
      0,
    ),
    'refute 5',
  ],
  [
    'ourselves from a former life',
    judgeAlive(claim(9), knowing(member('alive', 5), self), 0),
    'refute 9',
  ],
  [
    'ourselves, by a leap',
    judgeAlive(claim(2 ** 31 + 5), knowing(member('alive', 5), self), 0),
    `refute ${2 ** 30 + 5}`,
  ],
  [
    'ourselves while leaving',
    judgeAlive(claim(9), knowing(member('alive', 5), leaving), 0),
    'ignore',
  ],
  [
    'our name at another address',
    judgeAlive(claim(9, elsewhere), knowing(member('alive', 5), self), 0),
    'conflict',
  ],
  [
    'an incarnation that leaps',
    judgeAlive(claim(2 ** 31 + 6), knowing(member('alive', 5)), 0),
    'ignore',
  ],
  [
    'an unknown member near the end of counting',
    judgeAlive(claim(2 ** 32 - 1), knowing(undefined), 0),
    'ignore',
  ],
]

const accuse = (incarnation: number, from = 'b') => ({ name: 'a', incarnation, from })

const suspectRows: readonly Row[] = [
  ['an unknown member', judgeSuspect(accuse(5), knowing(undefined), false), 'ignore'],
  ['an older life', judgeSuspect(accuse(4), knowing(member('alive', 5)), false), 'ignore'],
  ['a live member', judgeSuspect(accuse(5), knowing(member('alive', 5)), false), 'suspect 5'],
  [
    'a live member, ahead of us',
    judgeSuspect(accuse(7), knowing(member('alive', 5)), false),
    'suspect 7',
  ],
  ['a suspect, again', judgeSuspect(accuse(5), knowing(member('suspect', 5)), true), 'confirm'],
  ['a dead member', judgeSuspect(accuse(5), knowing(member('dead', 5)), false), 'ignore'],
  ['a member that left', judgeSuspect(accuse(5), knowing(member('left', 5)), false), 'ignore'],
  ['ourselves', judgeSuspect(accuse(5), knowing(member('alive', 5), self), false), 'refute 5'],
  [
    'ourselves, ahead of us',
    judgeSuspect(accuse(40), knowing(member('alive', 5), self), false),
    'refute 40',
  ],
  [
    'ourselves, by a leap',
    judgeSuspect(accuse(2 ** 31 + 5), knowing(member('alive', 5), self), false),
    `refute ${2 ** 30 + 5}`,
  ],
  [
    'ourselves after leaving',
    judgeSuspect(accuse(5), knowing(member('left', 5), leaving), false),
    'ignore',
  ],
  [
    'an incarnation that leaps',
    judgeSuspect(accuse(2 ** 32 - 1), knowing(member('alive', 5), self), false),
    'ignore',
  ],
  [
    'another, by a leap',
    judgeSuspect(accuse(2 ** 30 + 6), knowing(member('alive', 5)), false),
    'ignore',
  ],
]

const deadRows: readonly Row[] = [
  ['an unknown member', judgeDead(accuse(5), knowing(undefined)), 'ignore'],
  ['an older life', judgeDead(accuse(4), knowing(member('alive', 5))), 'ignore'],
  ['a live member', judgeDead(accuse(5), knowing(member('alive', 5))), 'dead 5'],
  ['a suspect', judgeDead(accuse(5), knowing(member('suspect', 5))), 'dead 5'],
  ['a dead member, again', judgeDead(accuse(6), knowing(member('dead', 5))), 'ignore'],
  ['a goodbye', judgeDead(accuse(5, 'a'), knowing(member('alive', 5))), 'left 5'],
  ['a goodbye from the dead', judgeDead(accuse(5, 'a'), knowing(member('dead', 5))), 'left 5'],
  ['a goodbye, again', judgeDead(accuse(5, 'a'), knowing(member('left', 5))), 'ignore'],
  ['the death of one that left', judgeDead(accuse(5), knowing(member('left', 5))), 'ignore'],
  ['ourselves', judgeDead(accuse(5), knowing(member('alive', 5), self)), 'refute 5'],
  [
    'ourselves, by a leap',
    judgeDead(accuse(2 ** 31 + 5), knowing(member('alive', 5), self)),
    `refute ${2 ** 30 + 5}`,
  ],
  [
    'ourselves, a former goodbye',
    judgeDead(accuse(9, 'a'), knowing(member('alive', 1), self)),
    'refute 9',
  ],
  ['our own goodbye', judgeDead(accuse(5, 'a'), knowing(member('alive', 5), leaving)), 'left 5'],
  [
    'an incarnation that leaps',
    judgeDead(accuse(2 ** 30 + 6), knowing(member('alive', 5))),
    'ignore',
  ],
]

describe('judgement', () => {
  const tables = { alive: aliveRows, suspect: suspectRows, dead: deadRows }
  for (const [kind, rows] of Object.entries(tables)) {
    for (const [what, verdict, expected] of rows) {
      it(`${kind}: ${what}: ${expected}`, () => expect(brief(verdict)).to.equal(expected))
    }
  }

  it('a change of state is dated, news of a live member is not', () => {
    const sinceOf = (verdict: Verdict) => (verdict.act === 'accept' ? verdict.member.since : NaN)
    expect(sinceOf(judgeAlive(claim(6), knowing(member('alive', 5, 7)), 0))).to.equal(7)
    expect(sinceOf(judgeAlive(claim(6), knowing(member('suspect', 5, 7)), 0))).to.equal(NOW)
    expect(sinceOf(judgeSuspect(accuse(5), knowing(member('alive', 5, 7)), false))).to.equal(NOW)
  })

  it('refutes above the accusation and above ourselves', () => {
    expect(refutingIncarnation(1, 1)).to.equal(2)
    expect(refutingIncarnation(1, 40)).to.equal(41)
    expect(refutingIncarnation(9, 4)).to.equal(10)
  })
})
