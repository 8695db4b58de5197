import { expect } from 'chai'
import { oidOfName } from '../../../src/cluster/log/digest.ts'
import { EpochTombstones } from '../../../src/cluster/log/epoch-tombstones.ts'
import { JoinSync } from '../../../src/cluster/sync/join-sync.ts'
import { UnknownOrigins } from '../../../src/cluster/sync/unknown-origins.ts'
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

  it('remembers 4096 unknown origins that sent something, none for longer than half a minute', async () => {
    const { fixture, unknownOrigins } = unknownOriginsIn()
    for (const { oid } of namesOf(6000, 'unknown')) unknownOrigins.heardFrom(oid)
    expect(fixture.replica.unknownOrigins.size).to.equal(4096)
    await fixture.clock.advance(31_000)
    expect(fixture.replica.unknownOrigins.size).to.equal(0)
    for (const { oid } of namesOf(6000, 'later')) unknownOrigins.heardFrom(oid)
    expect(fixture.replica.unknownOrigins.size).to.equal(4096)
    unknownOrigins.close()
  })

  it('refreshes membership once for any number of unknown origins', async () => {
    const { fixture, unknownOrigins } = unknownOriginsIn()
    for (const { oid } of namesOf(100, 'unknown')) unknownOrigins.heardFrom(oid)
    await fixture.clock.advance(fixture.options.resolveUnknownMs - 1)
    expect(fixture.refreshes).to.equal(0)
    await fixture.clock.advance(1)
    expect(fixture.refreshes).to.equal(1)
    unknownOrigins.close()
  })

  it('refreshes nothing for a live member, nor for one that has left', async () => {
    const { fixture, unknownOrigins } = unknownOriginsIn()
    fixture.member('left', 'gone')
    for (const name of ['peer', 'gone']) unknownOrigins.heardFrom(oidOfName(name))
    await fixture.clock.advance(5000)
    expect(fixture.refreshes).to.equal(0)
    unknownOrigins.close()
  })

  it('asks for what is missing of 64 origins at a time, and in the end of all', async () => {
    const fixture = new Fixture()
    fixture.member('alive', 'peer')
    const repair = new AntiEntropy({ ...fixture.syncContext, onOwnAhead: () => {} })
    const origins = namesOf(200, 'owner')
    for (const { oid } of origins) {
      fixture.replica.hearOf({ oid, epoch: 5, prefix: 1, head: 1 }, 0)
      repair.onApplied(oid, false)
    }
    const wanted = new Set<string>()
    let most = 0
    for (let ms = 0; ms < 1500; ms++) {
      await fixture.clock.advance(1)
      const requests = fixture.take('deltaRequest').flatMap(({ frame }) => frame.requests)
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
      const fixture = new Fixture()
      fixture.member('alive', ...namesOf(members).map(({ name }) => name))
      const exchange = fixture.exchange()
      exchange.open()
      fixture.sent = []
      exchange.leave()
      const byes = fixture.take('leave')
      expect(new Set(byes.map(({ member }) => member)).size, `of ${members}`).to.equal(told)
      expect(byes).to.have.length(told)
      exchange.close()
    }
  })

  it('syncs with 64 new members in a turn, and in the end with all', async () => {
    const fixture = new Fixture()
    const hosts = namesOf(200)
    fixture.member('alive', ...hosts.map(({ name }) => name))
    const joinSync = new JoinSync({
      ...fixture.syncContext,
      isOpen: () => true,
      announce: () => {},
    })
    for (const { name } of hosts) joinSync.add(name)
    const synced: number[] = []
    for (let turn = 0; turn < 5; turn++) {
      await fixture.clock.advance(fixture.options.eagerDelayMs)
      synced.push(fixture.take('summaries').length)
    }
    expect(synced).to.deep.equal([64, 64, 64, 8, 0])
    joinSync.close()
  })
})

/** In a cluster of us and a live peer. */
function unknownOriginsIn(): { fixture: Fixture; unknownOrigins: UnknownOrigins } {
  const fixture = new Fixture()
  fixture.member('alive', 'peer')
  const refresh = (): void => fixture.gossip.refresh()
  return { fixture, unknownOrigins: new UnknownOrigins({ ...fixture.syncContext, refresh }) }
}
