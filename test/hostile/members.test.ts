import { expect } from 'chai'
import { addLabel } from '../../packages/memberlist-js/src/wire/layers/label.ts'
import { encodeMessage as encodePacket } from '../../packages/memberlist-js/src/wire/messages.ts'
import type { Cluster } from '../../src/cluster/cluster.ts'
import { type Delta, OriginLog } from '../../src/cluster/log/origin-log.ts'
import { deltasOf } from '../../src/cluster/sync/packing.ts'
import { signerOf } from '../../src/cluster/log/signed-logs.ts'
import { oidOfName } from '../../src/cluster/log/digest.ts'
import { endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { type Frame, encodeFrame, encodeMessage } from '../../src/cluster/wire/frames.ts'
import { encodeRecord } from '../../src/cluster/wire/record-type.ts'
import { installGossipKey, useGossipKey } from '../../src/identity/packets/gossip-keys.ts'
import { testMember } from '../unit/identity/people.ts'
import { type SealedMember, TestCluster } from '../unit/identity/test-cluster.ts'
import { Members, claimedAt, endpointOf, label, summaryOf } from './members-fixture.ts'

/*
 * A member whose keys somebody else has, and somebody who has the gossip key alone, against three
 * members with their logs, requests and messages.
 */

/** What a message about host1 may say, with counters as they are. */
function forgeries(epoch: number, head: number): Frame[] {
  const oid = oidOfName('host1')
  const { id, value } = encodeRecord(endpointRecord, endpointOf(1, claimedAt + 3_000_000))
  const ranges = [{ from: head, to: head + 1, entries: [{ id, version: head + 1, value }] }]
  const common = { oid, epoch, floor: 0, head: head + 1, reset: null, repair: false }
  return [
    { kind: 'delta', delta: { ...common, ranges } },
    { kind: 'leave', oid, epoch, signature: '' },
    { kind: 'request', id: 5, channel: 'ask', body: '"x"' },
    { kind: 'answer', id: 1, ok: true, body: '"forged"' },
    { kind: 'message', channel: 'raft', body: oid },
  ]
}

/** What host1 might send next, and what somebody in between makes of it. */
function liesOf(host1: Cluster, owner: SealedMember, evil: SealedMember) {
  const oid = oidOfName('host1')
  const { epoch, head } = summaryOf(host1)
  const nextBy = (member: SealedMember, inEpoch = epoch): Delta => {
    const log = new OriginLog(oid, inEpoch, signerOf(member.transport.signatures))
    for (let i = 0; i <= head; i++) {
      const { id, value } = encodeRecord(endpointRecord, endpointOf(i < head ? 1 : 7))
      log.write(id, value, 0)
    }
    const ranges = [{ from: head, to: log.head }]
    return [...deltasOf(log, ranges, { reset: null, repair: false, maxBytes: 1200 })][0]!
  }
  const [genuine, own] = [nextBy(owner), nextBy(evil)]
  const altered = genuine.ranges.map((range) => {
    const { value } = encodeRecord(endpointRecord, endpointOf(9))
    return { ...range, entries: range.entries.map((entry) => ({ ...entry, value })) }
  })
  const empty = [{ from: 0, to: head + 1, entries: [] }]
  const { signed, ...unsigned } = genuine
  const lies: Record<string, Frame> = {
    altered: { kind: 'delta', delta: { ...genuine, ranges: altered } },
    unsigned: { kind: 'delta', delta: unsigned },
    'signed by another': { kind: 'delta', delta: own },
    'left out': { kind: 'delta', delta: { ...genuine, ranges: empty } },
    cleared: { kind: 'delta', delta: { ...genuine, reset: head + 1, ranges: empty } },
    'of an epoch before': { kind: 'delta', delta: nextBy(owner, 1) },
    goodbye: { kind: 'leave', oid, epoch, signature: '' },
    'goodbye with another signature': { kind: 'leave', oid, epoch, signature: signed!.signature },
  }
  return { genuine: { kind: 'delta', delta: genuine } satisfies Frame, lies }
}

describe('hostile: members', () => {
  let scene: Members
  let truth: string[]
  beforeEach(async () => {
    scene = new Members()
    await scene.start()
    truth = scene.records()
    expect(new Set(truth).size).to.equal(1)
    expect(truth[0]).to.match(/host1.*host2.*host3/)
  })
  afterEach(() => scene.close())

  it('is heard as itself alone, whatever its messages say, by packets and streams (row 6)', async () => {
    const { list } = await scene.evil()
    const { epoch, head } = summaryOf(scene.clusters[0]!)
    for (const frame of forgeries(epoch, head))
      for (const reliable of [false, true]) {
        const message = encodeMessage(oidOfName('host1'), [encodeFrame(frame)])
        await scene.during(list.send('host2', message, { reliable }))
      }
    await scene.advance(200)
    expect(scene.handled).to.deep.equal([])
    expect(scene.counted('forged')).to.equal(10)
    expect(scene.records()).to.deep.equal(truth)
    const [first] = scene.clusters
    first!.requests.send('host2', 'raft', new Uint8Array(1))
    await scene.during(first!.request('host2', 'ask', 'x', { timeoutMs: 1000 }))
    expect(scene.handled).to.have.members(['host2 told by host1', 'host2 asked by host1'])
    await scene.during(list.close())
  })

  it('cannot alter, invent, leave out or repeat records of others, or say goodbye for them', async () => {
    const { list, sealed } = await scene.evil()
    const send = async (frame: Frame): Promise<void> => {
      const message = encodeMessage(oidOfName('evil'), [encodeFrame(frame)])
      for (const to of ['host2', 'host3'])
        for (const reliable of [false, true])
          await scene.during(list.send(to, message, { reliable }))
    }
    const [host1] = scene.sealed
    for (const what of Object.keys(liesOf(scene.clusters[0]!, host1!, sealed).lies)) {
      // What has been signed by host1's key and is not in its log makes it begin another epoch.
      const { lies } = liesOf(scene.clusters[0]!, host1!, sealed)
      await send(lies[what]!)
      for (let i = 0; i < 60; i++) {
        expect(scene.records(), what).to.deep.equal(truth)
        await scene.advance(25)
      }
    }
    expect(scene.counted('unsigned')).to.be.greaterThan(5)
    await scene.during(list.close())
  })

  it('passes on what another has signed', async () => {
    const { list, sealed } = await scene.evil()
    const { genuine } = liesOf(scene.clusters[0]!, scene.sealed[0]!, sealed)
    const message = encodeMessage(oidOfName('evil'), [encodeFrame(genuine)])
    list.send('host2', message).catch(() => {})
    const seen: string[] = []
    for (let i = 0; i < 50; i++) {
      seen.push(scene.records()[1]!)
      await scene.advance(1)
    }
    expect(seen.join()).to.match(/host1 10.10.0.7/)
    await scene.during(list.close())
  })

  it('passes on records that it forged, and a goodbye, without effect (row 6)', async () => {
    const { list } = await scene.evil()
    const { epoch, head } = summaryOf(scene.clusters[0]!)
    for (const frame of forgeries(epoch, head).slice(0, 2)) {
      for (const to of ['host2', 'host3'])
        await scene.during(list.send(to, encodeMessage(oidOfName('evil'), [encodeFrame(frame)])))
      for (let i = 0; i < 20; i++) {
        await scene.advance(50)
        expect(scene.records(), frame.kind).to.deep.equal(truth)
      }
    }
    await scene.during(list.close())
  })

  it('uses up its own requests alone, whoever it says that it is', async () => {
    const { list } = await scene.evil()
    for (let id = 0; id < 600; id++) {
      const oid = oidOfName(id % 3 === 0 ? 'host1' : 'evil')
      const frame = encodeFrame({ kind: 'request', id, channel: 'hang', body: '1' })
      await list.send('host2', encodeMessage(oid, [frame]))
      if (id % 20 === 0) await scene.advance(5)
    }
    await scene.advance(500)
    expect(scene.handled).to.deep.equal(Array.from({ length: 256 }, () => 'evil'))
    const answer = scene.clusters[0]!.request('host2', 'ask', 'x', { timeoutMs: 1000 })
    expect(await scene.during(answer)).to.equal('answer')
    await scene.during(list.close())
  })

  it('gets nothing that is for another, at the address that gossip says that one has', async () => {
    const { sealed, list } = await scene.evil()
    const got: string[] = []
    sealed.transport.onPacket((packet) => got.push(Buffer.from(packet).toString('latin1')))
    const own = scene.sealed[1]!.transport
    const at = { address: '10.0.0.9', port: 7946, name: 'host1' }
    const { signal } = new AbortController()
    own.send(Buffer.from('for host1'), at)
    const dialled = await scene.during(
      own.dial(at, { signal }).catch((error: Error) => error.message),
    )
    await scene.advance(1000)
    expect(dialled).to.match(/evil .*where that of host1 was expected/)
    expect(got.join()).to.not.contain('for host1')
    await scene.during(list.close())
  })

  it('who has the gossip key alone is heard by nobody, before and after keys rotate', async () => {
    const leaked = scene.identities.keys
    // A certificate of its own making, and the gossip key of the cluster.
    const outside = new TestCluster(scene.clock(), { seed: 9 })
    outside.keys = leaked
    const thief = outside.member(
      'host1',
      scene.at(9),
      testMember(outside.authority, 'host1', '10.0.0.9'),
    )
    const rotations = [
      () => leaked,
      () => installGossipKey(scene.identities.keys, new Uint8Array(32).fill(7)),
      () => useGossipKey(scene.identities.keys),
    ]
    thief.transport.onPacket(() => {})
    for (const rotate of rotations) {
      scene.identities.keys = rotate()
      await scene.advance(3000)
      const { epoch, head } = summaryOf(scene.clusters[0]!)
      for (const frame of forgeries(epoch, head)) {
        const body = encodeMessage(oidOfName('host1'), [encodeFrame(frame)])
        const packet = addLabel(encodePacket({ type: 'user', body }), Buffer.from(label))
        for (const host of [2, 3])
          thief.transport.send(packet, { address: `10.0.0.${host}`, port: 7946 })
        await scene.advance(500)
      }
      expect(scene.handled).to.deep.equal([])
      expect(scene.records()).to.deep.equal(truth)
      for (const cluster of scene.clusters)
        expect(cluster.members().map(({ state }) => state)).to.deep.equal([
          'alive',
          'alive',
          'alive',
        ])
    }
    const refused = scene.sealed.flatMap(({ notes }) => notes).join('\n')
    expect(refused).to.match(/host1 certificate: .*not of this cluster's authority/)
  })
})
