import { expect } from 'chai'
import { EpochTombstones } from '../../../src/cluster/log/epoch-tombstones.ts'
import { JoinSync } from '../../../src/cluster/sync/join-sync.ts'
import { UnknownMembers } from '../../../src/cluster/sync/unknown-members.ts'
import { Reprober } from '../../../src/cluster/sync/reprober.ts'
import { AntiEntropy } from '../../../src/cluster/sync/anti-entropy.ts'
import { Fixture, namesOf } from './fixture.ts'

/*
 * What comes in any number is kept, asked for and told in bounded number: whatever the others send,
 * memory and packets stay within what docs/cluster-state.md says.
 */

describe('cluster/bounds', () => {
  it('remembers 4096 epochs that are over, the last ones', () => {
    const certificates = new EpochTombstones()
    const over = { epoch: 5, left: true, untilMs: 1000 }
    const origins = namesOf(5000)
    for (const { oid } of origins) certificates.set(oid, over)
    certificates.set(origins[0]!.oid, { ...over, epoch: 6 })
    certificates.expire(0)
    expect(certificates.size).to.equal(4096)
    expect(certificates.get(origins[0]!.oid)?.epoch).to.equal(6)
    const kept = origins.slice(-4095)
    for (const { oid } of kept) expect(certificates.get(oid), oid).to.equal(over)
  })

  it('remembers 4096 strangers that spoke, and none for longer than half a minute', async () => {
    const room = new Fixture()
    room.member('alive', 'peer')
    const unknownMembers = unknownMembersIn(room)
    for (const { oid } of namesOf(6000, 'stranger')) unknownMembers.heardFrom(oid)
    expect(room.replica.unknownOrigins.size).to.equal(4096)
    await room.clock.advance(31_000)
    expect(room.replica.unknownOrigins.size).to.equal(0)
    for (const { oid } of namesOf(6000, 'later')) unknownMembers.heardFrom(oid)
    expect(room.replica.unknownOrigins.size).to.equal(4096)
    unknownMembers.close()
  })

  it('asks two members after 32 strangers at a time', async () => {
    const room = new Fixture()
    room.member('alive', ...namesOf(10).map(({ name }) => name))
    const unknownMembers = unknownMembersIn(room)
    for (const { oid } of namesOf(100, 'stranger')) unknownMembers.heardFrom(oid)
    await room.clock.advance(room.options.resolveUnknownMs + 1)
    const asked = room.take('who')
    expect(new Set(asked.map(({ member }) => member)).size).to.equal(2)
    expect(asked).to.have.length(2 * 32)
    unknownMembers.close()
  })

  it('asks for what is missing of 64 origins at a time, and in the end of all', async () => {
    const room = new Fixture()
    room.member('alive', 'peer')
    const repair = new AntiEntropy({ ...room.syncContext, onOwnAhead: () => {} })
    const origins = namesOf(200, 'owner')
    for (const { oid } of origins) {
      room.replica.hearOf({ oid, epoch: 5, prefix: 1, head: 1 }, 0)
      repair.onApplied(oid, false)
    }
    const wanted = new Set<string>()
    let most = 0
    for (let ms = 0; ms < 1500; ms++) {
      await room.clock.advance(1)
      const requests = room.take('deltaRequest').flatMap(({ frame }) => frame.requests)
      most = Math.max(most, requests.length)
      for (const { oid } of requests) wanted.add(oid)
    }
    expect(most, 'in one turn').to.equal(64)
    expect(wanted.size).to.equal(origins.length)
    repair.close()
  })

  it('tells 128 members itself that it leaves, or all that there are', () => {
    for (const [members, told] of [
      [50, 50],
      [300, 128],
    ] as const) {
      const room = new Fixture()
      room.member('alive', ...namesOf(members).map(({ name }) => name))
      const exchange = room.exchange()
      exchange.open()
      room.sent = []
      exchange.leave()
      const byes = room.take('leave')
      expect(new Set(byes.map(({ member }) => member)).size, `of ${members}`).to.equal(told)
      expect(byes).to.have.length(told)
      exchange.close()
    }
  })

  it('reprober at 64 members when it was away itself, and at four that are dead in a turn', async () => {
    const room = new Fixture()
    room.member('dead', ...namesOf(500).map(({ name }) => name))
    const reprober = new Reprober(room.syncContext)
    reprober.start()
    reprober.atAll()
    expect(room.take('who')).to.have.length(64)
    let knocked = 0
    for (let turn = 0; turn < 20; turn++) {
      await room.clock.advance(500)
      const { length } = room.take('who')
      expect(length).to.be.at.most(2 * 4)
      knocked += length
    }
    expect(knocked).to.be.within(10 * 4, 30 * 4)
    reprober.close()
  })

  it('greets 64 members in a turn, and in the end all', async () => {
    const room = new Fixture()
    const hosts = namesOf(200)
    room.member('alive', ...hosts.map(({ name }) => name))
    const joinSync = new JoinSync({
      ...room.syncContext,
      isOpen: () => true,
      announce: () => {},
    })
    for (const { name } of hosts) joinSync.add(name)
    const greeted: number[] = []
    for (let turn = 0; turn < 5; turn++) {
      await room.clock.advance(room.options.eagerDelayMs)
      greeted.push(room.take('summaries').length)
    }
    expect(greeted).to.deep.equal([64, 64, 64, 8, 0])
    joinSync.close()
  })
})

function unknownMembersIn(room: Fixture): UnknownMembers {
  const reprober = new Reprober(room.syncContext)
  const joinSync = new JoinSync({ ...room.syncContext, isOpen: () => true, announce: () => {} })
  return new UnknownMembers({ ...room.syncContext, reprober, joinSync, announceSelf: () => {} })
}
