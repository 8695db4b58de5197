import { expect } from 'chai'
import { seededRandom, type Member } from 'memberlist-js'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { SEED } from '../../../support/seed.ts'

function member(name: string, state: Member['state'] = 'alive'): Member {
  const versions = versionsFromBytes(null)
  const place = { address: '10.0.0.1', port: 1 }
  return { name, ...place, meta: new Uint8Array(), versions, incarnation: 1, state, since: 0 }
}

function rosterOf(...names: string[]): Roster {
  const roster = new Roster(seededRandom(SEED))
  for (const name of names) roster.set(member(name))
  return roster
}

const all = () => true
const none = () => false

describe(`the roster (SEED=${SEED})`, () => {
  it('visits each once per round', () => {
    const roster = rosterOf('a', 'b', 'c', 'd', 'e')
    for (let round = 0; round < 20; round++) {
      const visited = Array.from({ length: 5 }, () => roster.nextInRound(all, none)!.name)
      expect(visited.sort()).to.deep.equal(['a', 'b', 'c', 'd', 'e'])
    }
  })

  it('passes over the unwanted, and gives up when there is nobody', () => {
    const roster = rosterOf('a', 'b', 'c')
    for (let i = 0; i < 10; i++) {
      expect(roster.nextInRound(({ name }) => name === 'b', none)!.name).to.equal('b')
    }
    expect(roster.nextInRound(none, none)).to.equal(undefined)
    expect(rosterOf().nextInRound(all, none)).to.equal(undefined)
  })

  it('removes the expired when a round is over', () => {
    const roster = rosterOf('a', 'b', 'c')
    roster.set(member('b', 'dead'))
    const expired = ({ state }: Member) => state === 'dead'
    for (let i = 0; i < 4; i++) roster.nextInRound(all, expired)
    expect([...roster.members.keys()].sort()).to.deep.equal(['a', 'c'])
    const drawn = roster.draw(3, all).map(({ name }) => name)
    expect(drawn.sort()).to.deep.equal(['a', 'c'])
  })

  it('draws without repetition, and everybody alike', () => {
    const roster = rosterOf('a', 'b', 'c', 'd')
    const counts = new Map<string, number>()
    for (let i = 0; i < 4000; i++) {
      const names = roster.draw(2, ({ name }) => name !== 'd').map(({ name }) => name)
      expect(new Set(names).size).to.equal(2)
      for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).to.deep.equal(['a', 'b', 'c'])
    for (const count of counts.values()) expect(count).to.be.within(2450, 2890)
  })

  it('tells who follows by name, around the end', () => {
    const roster = rosterOf('c', 'e', 'a', 'd', 'b')
    const after = (name: string, count: number, wanted = all as (member: Member) => boolean) =>
      roster.following(name, count, wanted).map((each) => each.name)
    expect(after('b', 2)).to.deep.equal(['c', 'd'])
    expect(after('d', 3)).to.deep.equal(['e', 'a', 'b'])
    expect(after('e', 9)).to.deep.equal(['a', 'b', 'c', 'd'])
    expect(after('bb', 1)).to.deep.equal(['c'])
    expect(after('b', 2, ({ name }) => name !== 'd')).to.deep.equal(['c', 'e'])
    expect(after('b', 2, none)).to.deep.equal([])
  })

  it('gives a newcomer any place in the round', () => {
    const places = new Set<number>()
    for (let seed = 0; seed < 200; seed++) {
      const roster = new Roster(seededRandom(seed))
      for (const name of ['a', 'b', 'c', 'd']) roster.set(member(name))
      const order = Array.from({ length: 4 }, () => roster.nextInRound(all, none)!.name)
      places.add(order.indexOf('d'))
    }
    expect(places.size).to.equal(4)
  })
})
