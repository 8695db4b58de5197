import { expect } from 'chai'
import { addressItem, blockItem, itemKey } from '../../../src/ipam/voting/items.ts'
import type { Answer } from '../../../src/ipam/voting/messages.ts'
import { parseAnswer, parseRequest } from '../../../src/ipam/voting/messages.ts'
import { noVotes } from '../../../src/ipam/voting/packed-votes.ts'
import type { Roster } from '../../../src/ipam/voting/roster.ts'
import { shortageOf, tally } from '../../../src/ipam/voting/tally.ts'

const voters = ['a', 'b', 'c'].map((name) => ({ name, id: name }))
const roster: Roster = { root: 'r', founded: 1, number: 1, tag: 't', voters, absent: [] }
const block = blockItem('10.0.0.0/24', 1)
const address = addressItem('10.0.0.0/24', 9)

function votes(refused: (string | null)[], lent: boolean[] = []): Answer['body'] {
  return {
    kind: 'votes',
    refused: refused.map((holder) => (holder === null ? null : { holder, held: block })),
    lent: refused.map((_, i) => lent[i] ?? false),
    taken: noVotes,
  } as unknown as Answer['body']
}

function outcomes(
  answers: Record<string, Answer['body']>,
  outstanding: number,
  lender: string | null = null,
): string[] {
  const items = lender === null ? [block] : [address]
  const map = new Map(Object.entries(answers))
  return tally(roster, items, lender, map, outstanding).map(({ outcome }) => outcome)
}

describe('tally', () => {
  const yes = votes([null])
  const no = votes(['x#1'])
  const sealed: Answer['body'] = { kind: 'sealed' }
  const table: [string, Record<string, Answer['body']>, number, string][] = [
    ['two of three', { a: yes, b: yes }, 1, 'won'],
    ['one of three, one to come', { a: yes, b: no }, 1, 'open'],
    ['one of three, none to come', { a: yes }, 0, 'lost'],
    ['two refusals', { a: no, b: no }, 1, 'lost'],
    ['a voter that is busy gives no vote', { a: yes, b: sealed }, 0, 'lost'],
    ['nothing yet', {}, 3, 'open'],
  ]
  for (const [what, answers, outstanding, outcome] of table) {
    it(`${what}: ${outcome}`, () => expect(outcomes(answers, outstanding)).to.deep.equal([outcome]))
  }

  it('an address needs its owner’s consent besides the majority', () => {
    const consent = votes([null], [true])
    expect(outcomes({ a: yes, b: yes }, 1, 'c')).to.deep.equal(['open'])
    expect(outcomes({ a: yes, b: yes }, 0, 'c')).to.deep.equal(['lost'])
    expect(outcomes({ a: yes, c: consent }, 1, 'c')).to.deep.equal(['won'])
    expect(outcomes({ a: yes, b: yes, c: yes }, 0, 'c'), 'not its owner any more').to.deep.equal([
      'lost',
    ])
    expect(outcomes({ c: no }, 2, 'c'), 'in use').to.deep.equal(['lost'])
  })

  it('says what is lacking', () => {
    const standings = tally(roster, [block], null, new Map([['a', yes]]), 0)
    expect(shortageOf(roster, standings, ['c', 'b'])).to.deep.equal({
      got: 1,
      needed: 2,
      of: 3,
      missing: ['b', 'c'],
    })
  })
})

describe('messages', () => {
  const envelope = { version: 2, from: { name: 'a', id: '1' }, roster: null }

  it('are read when they are whole', () => {
    const body = { kind: 'vote', tag: 't', claim: 1, exclusive: false, items: [itemKey(block)] }
    expect(parseRequest({ ...envelope, body })?.body).to.deep.include({ items: [block] })
    expect(parseAnswer({ ...envelope, body: { kind: 'done' } })?.body).to.deep.equal({
      kind: 'done',
    })
  })

  it('are nothing otherwise', () => {
    const body = { kind: 'release', claim: 1, items: [itemKey(block)] }
    for (const bad of [
      null,
      'x',
      [],
      {},
      { ...envelope, body: { kind: 'nonsense' } },
      { ...envelope, version: 3, body },
      { ...envelope, from: { name: 'a' }, body },
      { ...envelope, body: { ...body, claim: -1 } },
      { ...envelope, body: { ...body, claim: 1.5 } },
      { ...envelope, body: { ...body, items: ['block 99 10.0.0.0/24'] } },
      { ...envelope, body: { ...body, items: Array(5000).fill(itemKey(block)) } },
    ]) {
      expect(parseRequest(bad), JSON.stringify(bad)?.slice(0, 100)).to.equal(null)
    }
  })
})
