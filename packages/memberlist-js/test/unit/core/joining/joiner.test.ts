import { expect } from 'chai'
import {
  lan,
  seededRandom,
  VirtualClock,
  type SocketAddress,
  type Member,
  type Transport,
} from 'memberlist-js'
import { FailedMembers } from '../../../../src/core/joining/failed-members.ts'
import { Joiner } from '../../../../src/core/joining/joiner.ts'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { endpointOf } from '../../../support/cluster.ts'
import { SEED } from '../../../support/seed.ts'

function memberAt(index: number, state: Member['state'] = 'alive'): Member {
  const versions = versionsFromBytes(null)
  const rest = { meta: new Uint8Array(), versions, incarnation: 1, state, since: 0 }
  return { name: `m${index}`, ...endpointOf(index), ...rest }
}

/**
 * A joiner at 10.0.0.1 whose contacts are only written down; `answers` tells who is there, `ours`
 * where that is ourselves.
 */
function joinerAmong(
  members: readonly Member[],
  answers: (endpoint: SocketAddress) => boolean,
  ours: (endpoint: SocketAddress) => boolean = nobody,
  resolve?: Transport['resolve'],
) {
  const clock = new VirtualClock()
  const random = seededRandom(SEED)
  const roster = new Roster(random)
  for (const member of members) roster.set(member)
  const contacts: { at: number; address: string }[] = []
  const aliveMessages: string[] = []
  const unused = () => Promise.reject(new Error('not used here'))
  const joiner = new Joiner({
    config: lan,
    clock,
    random,
    roster,
    failed: new FailedMembers(clock, FORGET_MS),
    transport: {
      advertise: endpointOf(0),
      ...(resolve === undefined ? {} : { resolve }),
      send: () => undefined,
      onPacket: () => undefined,
      dial: unused,
      onStream: () => undefined,
      close: unused,
    },
    contact: async (to) => {
      contacts.push({ at: clock.now(), address: to.address })
      if (!answers(to)) throw new Error('nobody there')
    },
    sendAlive: ({ address }) => void aliveMessages.push(address),
    answersAsUs: async (at) => ours(at),
  })
  joiner.start()
  return { clock, roster, joiner, contacts, aliveMessages }
}

/** Longer than the other tests last; a day by default. */
const FORGET_MS = 1_000_000

const nobody = () => false
const everybody = () => true

describe(`the joiner (SEED=${SEED})`, () => {
  it('tries an absent seed once per interval until it is a member', async () => {
    const { clock, joiner, contacts, roster } = joinerAmong([memberAt(0)], nobody)
    await joiner.join(['10.0.0.2'])
    await clock.advance(10_000)
    expect(contacts.length).to.be.within(10, 12)
    roster.set(memberAt(1))
    contacts.length = 0
    await clock.advance(30_000)
    expect(contacts).to.deep.equal([])
  })

  it('never contacts itself', async () => {
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], everybody)
    const result = await joiner.join(['10.0.0.1', '10.0.0.1:7946'])
    await clock.advance(30_000)
    expect(result).to.deep.equal({ contacted: 0, own: 2, errors: [] })
    expect(contacts).to.deep.equal([])
  })

  it('counts no further address of its own, and soon leaves it alone', async () => {
    const own = ({ address }: { readonly address: string }) => address === '127.0.1.1'
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], everybody, own)
    const result = await joiner.join(['127.0.1.1', '10.0.0.9'])
    expect(result).to.deep.equal({ contacted: 1, own: 1, errors: [] })
    contacts.length = 0
    await clock.advance(120_000)
    expect(contacts.filter(own).length).to.be.at.most(8)
  })

  it('a name without an address is an error, not ourselves', async () => {
    const { joiner } = joinerAmong([memberAt(0)], everybody, nobody, async () => [])
    const { contacted, own, errors } = await joiner.join(['nowhere'])
    expect({ contacted, own }).to.deep.equal({ contacted: 0, own: 0 })
    expect(errors.map(({ message }) => message)).to.deep.equal(['nowhere: the name has no address'])
  })

  it('asks a seed that answers but is no member less and less often', async () => {
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], everybody)
    await joiner.join(['10.0.0.2'])
    contacts.length = 0
    await clock.advance(600_000)
    expect(contacts.length).to.be.within(10, 18)
    const last = contacts.at(-1)!.at - contacts.at(-2)!.at
    expect(last).to.be.at.least(60_000)
  })

  it('looks after its seeds at once when a member is lost', async () => {
    const members = [0, 1, 2].map((index) => memberAt(index))
    const { clock, roster, joiner, contacts } = joinerAmong(members, nobody)
    await joiner.join(['10.0.0.2'])
    await clock.advance(1500)
    contacts.length = 0
    // The seed is no member any more, but was seen as one a moment ago.
    roster.set(memberAt(1, 'left'))
    joiner.failed(memberAt(2, 'dead'))
    await clock.advance(1000)
    expect(contacts.map(({ address }) => address)).to.include('10.0.0.2')
  })

  it('seeks the lost with the chance of lost to present', async () => {
    const members = Array.from({ length: 10 }, (_, index) => memberAt(index))
    const { clock, roster, joiner, contacts } = joinerAmong(members, nobody)
    roster.set(memberAt(9, 'dead'))
    joiner.failed(memberAt(9, 'dead'))
    await clock.advance(900_000)
    expect(contacts.length / 900).to.be.within(0.07, 0.16)
  })

  it('forgets who is lost for too long', async () => {
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], nobody)
    joiner.failed(memberAt(1, 'dead'))
    await clock.advance(FORGET_MS)
    expect(contacts.length).to.be.greaterThan(100)
    await clock.advance(2000)
    contacts.length = 0
    await clock.advance(60_000)
    expect(contacts).to.deep.equal([])
  })

  it('gives up a place where somebody else answers', async () => {
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], everybody)
    joiner.failed(memberAt(1, 'dead'))
    await clock.advance(60_000)
    expect(contacts.length).to.equal(10)
  })

  it('compares with others while the lost return, and not for long', async () => {
    const members = Array.from({ length: 30 }, (_, index) => memberAt(index))
    const { clock, joiner, contacts } = joinerAmong(members, everybody)
    for (let index = 1; index < 10; index++) joiner.failed(memberAt(index, 'dead'))
    for (let index = 1; index < 10; index++) joiner.returned(`m${index}`)
    await clock.advance(60_000)
    expect(contacts.length).to.equal(3)
    expect(contacts[0]!.at).to.be.at.most(300)
  })

  it('greets all others while the lost return, three times, and a hundred at most', async () => {
    for (const size of [30, 150]) {
      const members = Array.from({ length: size }, (_, index) => memberAt(index))
      const { clock, joiner, aliveMessages } = joinerAmong(members, everybody)
      for (let index = 1; index < 20; index++) joiner.failed(memberAt(index, 'dead'))
      for (let index = 1; index < 20; index++) joiner.returned(`m${index}`)
      await clock.advance(60_000)
      const greeted = Math.min(100, size - 1)
      expect(new Set(aliveMessages.slice(0, greeted)).size).to.equal(greeted)
      expect(aliveMessages.length).to.equal(3 * greeted)
      expect(aliveMessages).not.to.include(endpointOf(0).address)
    }
  })

  it('does not when a single member returns', async () => {
    const members = Array.from({ length: 30 }, (_, index) => memberAt(index))
    const { clock, joiner, contacts, aliveMessages } = joinerAmong(members, everybody)
    joiner.failed(memberAt(1, 'dead'))
    joiner.returned('m1')
    await clock.advance(60_000)
    expect({ contacts, aliveMessages }).to.deep.equal({ contacts: [], aliveMessages: [] })
  })

  it('meets one outsider in five seconds', async () => {
    const { clock, joiner, contacts } = joinerAmong([memberAt(0)], everybody)
    for (let i = 0; i < 100; i++) {
      joiner.unknownMemberAt(endpointOf(50 + i))
      await clock.advance(200)
    }
    expect(contacts.length).to.be.within(3, 5)
  })

  it('refuses seeds that are none, and more than 256', async () => {
    const { joiner } = joinerAmong([memberAt(0)], nobody)
    const codeOf = async (seeds: string[]) =>
      await joiner.join(seeds).catch((error: { code: string }) => error.code)
    expect(await codeOf(['a b'])).to.equal('invalid-address')
    const many = Array.from({ length: 257 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
    expect(await codeOf(many)).to.equal('invalid-option')
  })
})
