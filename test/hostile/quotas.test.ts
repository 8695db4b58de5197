import { expect } from 'chai'
import { signerOf } from '../../src/cluster/log/signed-logs.ts'
import { oidOfName } from '../../src/cluster/log/digest.ts'
import { type Delta, OriginLog } from '../../src/cluster/log/origin-log.ts'
import { deltasOf } from '../../src/cluster/sync/packing.ts'
import { endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { type Frame, encodeFrame, encodeMessage } from '../../src/cluster/wire/frames.ts'
import type { Outcome } from '../../src/consensus/state/section.ts'
import type { PoolView } from '../../src/net/pool-view.ts'
import { startMs } from '../unit/identity/people.ts'
import { decode, encode } from '../support/agreed-machine.ts'
import { type WholeHost, WholeHosts } from '../simulation/support/whole-hosts.ts'
import { Members, endpointOf, summaryOf } from './members-fixture.ts'

/*
 * A member that sends more than a member may: it uses up what is its own, whoever its messages
 * name, and nothing of the others'. Requests: `members.test.ts`.
 */

const maxRecords = 65_536
const maxRecordBytes = 16 * 1024 * 1024
const maxUnknownOrigins = 4096
const maxBlocks = 256

describe('hostile: quotas', () => {
  describe('of what is published', () => {
    let scene: Members
    let evil: Awaited<ReturnType<Members['evil']>>
    beforeEach(async () => {
      scene = new Members()
      await scene.start()
      evil = await scene.evil()
    })
    afterEach(async () => {
      await scene.during(evil.list.close())
      await scene.close()
    })

    async function send(to: string, ...frames: Frame[]): Promise<void> {
      const bytes = encodeMessage(oidOfName('evil'), frames.map(encodeFrame))
      await scene.during(evil.list.send(to, bytes, { reliable: true }))
    }

    const publish = (): void => {
      for (const [i, cluster] of scene.clusters.entries())
        cluster.put(endpointRecord, endpointOf(i + 4))
    }

    /** Everybody sees what the others have published. */
    function expectOpenToOthers(): void {
      for (const records of scene.records())
        expect(records).to.match(/host1 10.10.0.4 .*host2 10.10.0.5 .*host3 10.10.0.6 /)
    }

    /** A log that its owner has signed. */
    function logOf(entries: number, value: string): Delta[] {
      const log = new OriginLog(
        oidOfName('evil'),
        startMs,
        signerOf(evil.sealed.transport.signatures),
      )
      for (let i = 0; i < entries; i++) log.write(`?${i}`, value, 0)
      const ranges = [{ from: 0, to: log.head }]
      return [...deltasOf(log, ranges, { reset: null, repair: true, maxBytes: 60_000 })]
    }
    it('checks of signatures are those of who sends, not of whom it names', async () => {
      const { epoch, head } = summaryOf(scene.clusters[0]!)
      const oid = oidOfName('host1')
      const forged = (version: number): Frame => {
        const signed = { version, root: 'r'.repeat(32), signature: 's'.repeat(64), certificate: '' }
        const ranges = [{ from: head, to: head + 1, entries: [] }]
        const about = { oid, epoch, floor: 0, head: version, reset: null, repair: false }
        return { kind: 'delta', delta: { ...about, ranges, signed } }
      }
      for (const to of ['host2', 'host3'])
        await send(to, ...Array.from({ length: 250 }, (_, i) => forged(head + 2 + i)))
      for (let ms = 0; ms < 300; ms++) {
        const frame = encodeFrame(forged(head + 1000 + ms))
        for (const to of ['host2', 'host3'])
          void evil.list.send(to, encodeMessage(oidOfName('evil'), [frame])).catch(() => {})
        await scene.advance(1)
        if (ms === 0) publish()
      }
      expect(scene.counted('throttled')).to.be.above(300)
      expectOpenToOthers()
    })

    it('origins are as many as may be, and a member that comes then is seen', async () => {
      const invented = (i: number): Frame => {
        const summary = { oid: oidOfName(`invented${i}`), epoch: startMs, prefix: 1, head: 1 }
        return { kind: 'summaries', answer: false, buckets: [], summaries: [summary] }
      }
      for (let sent = 0; sent < 6000; sent += 1000)
        for (const to of ['host1', 'host2', 'host3'])
          await send(to, ...Array.from({ length: 1000 }, (_, i) => invented(sent + i)))
      for (const cluster of scene.clusters)
        expect(cluster.status().unknownOrigins).to.be.within(1, maxUnknownOrigins)
      await scene.add(4)
      await scene.during(scene.clusters[3]!.join(['10.0.0.1']))
      await scene.advance(3000)
      for (const records of scene.records()) expect(records).to.match(/host4 10.10.0.4 /)
    })

    const quotas: [what: string, entries: number, value: string, kept: number][] = [
      ['records', 70_000, 'x', maxRecords],
      ['bytes', 350, 'x'.repeat(60_000), Math.floor(maxRecordBytes / 60_000)],
    ]
    for (const [what, entries, value, kept] of quotas)
      it(`${what} beyond what one member may publish are not kept`, async () => {
        const deltas = logOf(entries, value).map((delta): Frame => ({ kind: 'delta', delta }))
        for (const delta of deltas) await send('host2', delta)
        publish()
        await scene.advance(2000)
        const { records, counters } = scene.clusters[1]!.status()
        expect(counters['deltas']).to.be.at.least(deltas.length)
        expect(records.visible + records.hidden).to.be.at.most(kept + 4)
        expectOpenToOthers()
      }).timeout(120_000)
  })

  it('blocks are those of the member that asks, whatever its command says', async () => {
    const world = new WholeHosts()
    const pool = '10.0.0.0/8'
    try {
      const [victim, evil] = [await world.add(), await world.add()]
      await world.clock.advance(3000)
      const run = async (host: WholeHost, op: string, id: string, fields: object) => {
        const command = encode({ op, id, pool, ...fields })
        const applied = host.plugin.consensus.submit(command, { timeoutMs: 5000 })
        return decode<Outcome<{ view?: PoolView }>>(await world.done(applied))
      }
      const idOf = (host: WholeHost): string => host.plugin.status().ipam.member.id
      for (const host of [victim, evil]) await run(host, 'holdPool', idOf(host), {})
      const all = { total: 100_000, first: 0, last: 2 ** 24 }
      expect(await run(evil, 'claim', idOf(victim), all)).to.deep.equal({
        refused: { code: 'UNKNOWN_MEMBER' },
      })
      for (let i = 0; i < 8; i++) await run(evil, 'claim', idOf(evil), all)
      const block = 5000
      expect(await run(evil, 'claimBlock', idOf(evil), { block })).to.have.nested.property(
        'refused.code',
        'QUOTA',
      )
      expect(await run(evil, 'claimBlock', idOf(victim), { block })).to.have.nested.property(
        'refused.code',
        'UNKNOWN_MEMBER',
      )
      const given = await run(victim, 'claim', idOf(victim), { ...all, total: 3 })
      expect('ok' in given && given.ok.view?.blocks).to.have.length(3)
      const usage = encode({ op: 'usage', pool })
      const asked = victim.plugin.consensus.query(usage, { timeoutMs: 5000 })
      expect(decode(await world.done(asked))).to.deep.equal({
        ok: [
          { member: evil.name, blocks: maxBlocks },
          { member: victim.name, blocks: 3 },
        ],
      })
    } finally {
      await world.stop()
    }
  })
})
