import { expect } from 'chai'
import { oidOfName } from '../../../src/cluster/log/digest.ts'
import { EpochTombstones } from '../../../src/cluster/log/epoch-tombstones.ts'
import { JoinSync } from '../../../src/cluster/sync/join-sync.ts'
import { UnknownOrigins } from '../../../src/cluster/sync/unknown-origins.ts'
import { AntiEntropy } from '../../../src/cluster/sync/anti-entropy.ts'
import { CodecError } from '../../../src/base/bytes.ts'
import { OriginLog } from '../../../src/cluster/log/origin-log.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/cluster/wire/frames.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { Fixture, namesOf } from './fixture.ts'

/*
 * What comes in any number is kept, asked for and told in bounded number: whatever the others send,
 * memory and packets stay within what docs/cluster-state.md says.
 */

describe('cluster/bounds', () => {
  it('remembers 4096 epochs that are over, the last ones', () => {
    const certificates = new EpochTombstones()
    const over = { epoch: 5, left: true, untilMs: 1000, signature: '', version: 0 }
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

  it('keeps 4096 origins that no member is known for, whatever is told of others', () => {
    const { replica } = new Fixture()
    for (const { oid } of namesOf(6000, 'invented'))
      replica.hearOf({ oid, epoch: 5, prefix: 0, head: 1 }, 0)
    expect([...replica.origins]).to.have.length(4097)
    expect(
      replica.hearOf({ oid: oidOfName('more'), epoch: 5, prefix: 0, head: 1 }, 0),
    ).to.deep.equal({ kind: 'refused' })
    // One that membership knows is no invention.
    const member = { name: 'more', state: 'alive', address: '192.0.2.9' as Ip, epoch: 5 } as const
    replica.member(member, 0)
    expect(replica.origin(oidOfName('more'))?.standing).to.equal('visible')
  })

  it('keeps 65,536 records of one origin and 16 MB, also while values change', () => {
    const log = new OriginLog('origin-1', 5)
    let version = 0
    const apply = (entries: readonly (readonly [id: string, value: string | null])[]): void => {
      const from = version
      const written = entries.map(([id, value]) => ({ id, value, version: ++version }))
      const ranges = [{ from, to: version, entries: written }]
      const head = { floor: 0, head: version, reset: null, repair: false }
      log.apply({ oid: 'origin-1', epoch: 5, ...head, ranges }, 0)
    }
    apply(Array.from({ length: 70_000 }, (_, i) => [`r${i}`, 'x']))
    expect(log.size).to.equal(65_536)
    expect(log.complete, 'nothing is asked for again').to.equal(true)
    apply([
      ['r1', null],
      ['new', 'y'],
      ['newer', 'y'],
      ['r2', 'z'],
    ])
    expect([log.value('new'), log.value('newer'), log.value('r2')]).to.deep.equal(['y', null, 'z'])
    const megabyte = 'x'.repeat(1 << 20)
    apply(Array.from({ length: 20 }, (_, i) => [`r${i + 10}`, megabyte]))
    const large = Array.from(log.live()).filter(([, value]) => value.length > 9)
    expect(large).to.have.length(15)
  })

  it('takes 2048 frames and 256 KB of deltas in one message', () => {
    const transfer = encodeFrame({ kind: 'transfer', state: 'more' })
    const message = (count: number, frame: Uint8Array) =>
      encodeMessage(
        '12345678',
        Array.from({ length: count }, () => frame),
      )
    expect(decodeMessage(message(2048, transfer))!.frames).to.have.length(2048)
    expect(() => decodeMessage(message(2049, transfer))).to.throw(CodecError, 'too much')
    const entries = [{ id: 'xkey', version: 1, value: 'v'.repeat(100_000) }]
    const ranges = [{ from: 0, to: 1, entries }]
    const head = { floor: 0, head: 1, reset: null, repair: false, epoch: 5 }
    const delta = encodeFrame({ kind: 'delta', delta: { oid: '12345678', ...head, ranges } })
    expect(decodeMessage(message(2, delta))!.frames).to.have.length(2)
    expect(() => decodeMessage(message(3, delta))).to.throw(CodecError, 'too much')
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
