import { expect } from 'chai'
import { lan, seededRandom, VirtualClock, type Member } from 'memberlist-js'
import { FailedMembers } from '../../../../src/core/joining/failed-members.ts'
import { Reprober, type ReproberParts } from '../../../../src/core/joining/reprober.ts'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { endpointOf } from '../../../support/cluster.ts'
import { SEED } from '../../../support/seed.ts'

function memberAt(index: number, state: Member['state'] = 'alive'): Member {
  const versions = versionsFromBytes(null)
  const rest = { meta: new Uint8Array(), versions, incarnation: 7, state, since: 0 }
  return { name: `m${index}`, ...endpointOf(index), ...rest }
}

/** A reprober of m0 among `size` members; `sent` has the names of those that it told. */
function reproberAmong(size: number, config = lan) {
  const clock = new VirtualClock()
  const random = seededRandom(SEED)
  const roster = new Roster(random)
  for (let i = 0; i < size; i++) roster.set(memberAt(i))
  const failed = new FailedMembers(clock, 1_000_000)
  const sent: string[] = []
  const messenger = {
    sendExactly: ([message]: readonly { body: { node: string; incarnation: number } }[]) => {
      expect(message!.body.incarnation).to.equal(7)
      sent.push(message!.body.node)
    },
  } as unknown as ReproberParts['messenger']
  const self = () => memberAt(0)
  const reprober = new Reprober({ config, clock, random, roster, failed, messenger, self })
  reprober.start()
  const fail = (index: number): void => {
    roster.set(memberAt(index, 'dead'))
    failed.add(memberAt(index, 'dead'))
    reprober.failed(memberAt(index, 'dead'))
  }
  return { clock, failed, reprober, sent, fail }
}

describe(`the reprober (SEED=${SEED})`, () => {
  it('tells a suspect at once, and again when it failed', async () => {
    const { clock, reprober, sent, fail } = reproberAmong(5)
    reprober.suspected(memberAt(3, 'suspect'))
    expect(sent).to.deep.equal(['m3'])
    await clock.advance(3000)
    expect(sent).to.deep.equal(['m3'])
    fail(3)
    expect(sent).to.deep.equal(['m3', 'm3'])
  })

  it('tells each member once in an interval, whatever comes from it', async () => {
    const { clock, reprober, sent } = reproberAmong(5)
    reprober.suspected(memberAt(3, 'suspect'))
    for (let i = 0; i < 1000; i++) {
      reprober.heardFrom(endpointOf(3))
      await clock.advance(10)
    }
    expect(sent.length).to.be.within(20, 21)
  })

  it('leaves those alone that are well, whatever comes from them', () => {
    const { reprober, sent, failed, fail } = reproberAmong(5)
    fail(3)
    reprober.suspected(memberAt(2, 'suspect'))
    sent.length = 0
    failed.delete('m3')
    reprober.settled('m2')
    for (const index of [1, 2, 3]) reprober.heardFrom(endpointOf(index))
    expect(sent).to.deep.equal([])
  })

  it('tells a failed member some eight times a second, of all members together', async () => {
    const { clock, sent, fail } = reproberAmong(40)
    fail(3)
    await clock.advance(100_000)
    const ofAll = (sent.length / 100) * 39
    expect(ofAll).to.be.within(5, 11)
  })

  it('tells all that it lost when it was cut off itself, 64 at most, and not at every accusation', () => {
    const { reprober, sent, fail } = reproberAmong(300)
    for (let index = 1; index < 200; index++) fail(index)
    sent.length = 0
    for (let accusation = 0; accusation < 10; accusation++) reprober.wereAccused()
    expect(new Set(sent).size).to.equal(64)
    expect(sent).to.have.length(64)
  })

  it('does not when it lost few', () => {
    const { reprober, sent, fail } = reproberAmong(300)
    for (const index of [1, 2]) fail(index)
    sent.length = 0
    reprober.wereAccused()
    expect(sent).to.deep.equal([])
  })

  it('does nothing when it is turned off', async () => {
    const { clock, reprober, sent, fail } = reproberAmong(5, { ...lan, reprobeIntervalMs: 0 })
    fail(3)
    reprober.suspected(memberAt(2, 'suspect'))
    reprober.heardFrom(endpointOf(2))
    await clock.advance(10_000)
    expect(sent).to.deep.equal([])
  })
})
