import { expect } from 'chai'
import fc from 'fast-check'
import { addressItem, blockItem, type Item, poolItem } from '../../../src/ipam/voting/items.ts'
import { noVotes, packVotes, unionOf, unpackVotes } from '../../../src/ipam/voting/packed-votes.ts'
import type { Holder } from '../../../src/ipam/voting/roster.ts'
import { type Vote, VoteBook } from '../../../src/ipam/voting/vote-book.ts'

const pool = '10.0.0.0/24'
const [a, b, c] = ['a#1', 'b#2', 'c#3'] as Holder[] as [Holder, Holder, Holder]

function bookOf(...votes: [Item, Holder, number][]): VoteBook {
  const book = new VoteBook()
  for (const [item, holder, claim] of votes) book.add({ item, holder, claim })
  return book
}

describe('vote book', () => {
  it('gives a block to the first that asks, and to nobody else', () => {
    const book = bookOf([blockItem(pool, 3), a, 1])
    expect(book.judge(blockItem(pool, 3), a, false)).to.deep.equal({ granted: true, taken: [] })
    expect(book.judge(blockItem(pool, 3), b, false)).to.include({ granted: false, holder: a })
    expect(book.judge(blockItem(pool, 4), b, false)).to.include({ granted: true })
  })

  it('takes a vote back, but not one given to a later claim', () => {
    const item = blockItem(pool, 3)
    const book = bookOf([item, a, 5])
    expect(book.free({ item, holder: a, claim: 4 })).to.equal(false)
    expect(book.free({ item, holder: b, claim: 9 })).to.equal(false)
    expect(book.judge(item, b, false)).to.include({ granted: false })
    expect(book.free({ item, holder: a, claim: 5 })).to.equal(true)
    expect(book.judge(item, b, false)).to.include({ granted: true })
    expect(book.size).to.equal(0)
  })

  it('keeps the later claim, in whatever order they come', () => {
    const item = blockItem(pool, 3)
    const book = bookOf([item, a, 5], [item, a, 4])
    expect(book.holders(item).get(a)).to.equal(5)
  })

  it('gives nobody new an item that two may own, after books were merged', () => {
    const item = blockItem(pool, 3)
    const book = bookOf([item, a, 1], [item, b, 1])
    for (const holder of [a, b, c]) expect(book.judge(item, holder, false).granted).to.equal(false)
    book.free({ item, holder: b, claim: 1 })
    expect(book.judge(item, a, false).granted).to.equal(true)
  })

  it('tells with a block which addresses in it others have', () => {
    const book = bookOf(
      [addressItem(pool, 25), b, 7],
      [addressItem(pool, 26), a, 8],
      [addressItem(pool, 32), b, 9],
    )
    expect(book.judge(blockItem(pool, 3), a, false)).to.deep.equal({
      granted: true,
      taken: [{ item: addressItem(pool, 25), holder: b, claim: 7 }],
    })
    expect(book.judge(addressItem(pool, 25), a, false)).to.include({ granted: false, holder: b })
  })

  const clashes: [held: string, asked: string, exclusive: boolean, granted: boolean][] = [
    ['10.0.0.0/24', '10.0.0.0/24', false, true],
    ['10.0.0.0/24', '10.0.0.0/24', true, false],
    ['10.0.0.0/24', '10.0.0.0/25', false, false],
    ['10.0.0.0/24', '10.0.0.0/16', true, false],
    ['10.0.0.0/24', '10.0.1.0/24', true, true],
    ['10.0.0.0/24 blue', '10.0.0.0/25', false, true],
    ['10.0.0.0/24 blue', '10.0.0.0/25', true, false],
    ['10.0.0.0/24 blue', '10.0.0.0/25 blue', false, false],
    ['fd00::/64', '10.0.0.0/8', true, true],
  ]
  for (const [held, asked, exclusive, granted] of clashes) {
    it(`pool ${asked} ${exclusive ? 'for oneself ' : ''}beside ${held}: ${granted ? 'yes' : 'no'}`, () => {
      const book = bookOf([poolItem(held), a, 1])
      expect(book.judge(poolItem(asked), b, exclusive).granted).to.equal(granted)
      expect(book.judge(poolItem(asked), a, exclusive).granted, 'beside one’s own').to.equal(true)
    })
  }
})

const anyVote: fc.Arbitrary<Vote> = fc.record({
  item: fc.oneof(
    fc.record({
      kind: fc.constant('block' as const),
      poolKey: fc.constant(pool),
      number: fc.nat(31),
    }),
    fc.record({
      kind: fc.constant('address' as const),
      poolKey: fc.constantFrom(pool, 'fd00::/64 blue'),
      number: fc.nat(255),
    }),
    fc.record({
      kind: fc.constant('pool' as const),
      poolKey: fc.constant(pool),
      number: fc.constant(0),
    }),
  ),
  holder: fc.constantFrom(a, b, c),
  claim: fc.nat(),
})

function sorted(votes: Iterable<Vote>): string[] {
  return Array.from(votes, (vote) => JSON.stringify(vote)).sort()
}

describe('packed votes', () => {
  it('are the same votes when unpacked', () => {
    fc.assert(
      fc.property(fc.array(anyVote), (votes) => {
        expect(sorted(unpackVotes(packVotes(votes))!)).to.deep.equal(sorted(votes))
      }),
    )
  })

  it('that make no sense are not used at all', () => {
    const good = packVotes([{ item: blockItem(pool, 1), holder: a, claim: 1 }])
    const bad = [
      { ...good, holders: [] },
      { ...good, lists: [{ kind: 'block' as const, poolKey: pool, votes: [1, 0] }] },
      { ...good, lists: [{ kind: 'block' as const, poolKey: pool, votes: [99, 0, 1] }] },
      { ...good, lists: [{ kind: 'block' as const, poolKey: 'x', votes: [1, 0, 1] }] },
    ]
    expect(unpackVotes(good)).to.have.length(1)
    for (const packed of bad) expect(unpackVotes(packed)).to.equal(null)
  })

  it('of several books unite to each vote once, with its latest claim, without those who are out', () => {
    const item = blockItem(pool, 1)
    const books = [
      packVotes([{ item, holder: a, claim: 1 }]),
      packVotes([
        { item, holder: a, claim: 3 },
        { item, holder: c, claim: 9 },
      ]),
      packVotes([{ item, holder: b, claim: 2 }]),
      noVotes,
    ]
    const union = unpackVotes(unionOf(books, (holder) => holder !== c))!
    expect(sorted(union)).to.deep.equal(
      sorted([
        { item, holder: a, claim: 3 },
        { item, holder: b, claim: 2 },
      ]),
    )
  })
})
