import { expect } from 'chai'
import fc from 'fast-check'
import { oidOfName } from '../../src/cluster/log/digest.ts'
import { epochLimit } from '../../src/cluster/log/own-epoch.ts'
import { type Frame, encodeFrame, encodeMessage } from '../../src/cluster/wire/frames.ts'
import type { Outcome } from '../../src/consensus/state/section.ts'
import { type WholeHost, WholeHosts } from '../simulation/support/whole-hosts.ts'
import { decode, encode } from '../support/agreed-machine.ts'
import { World } from '../simulation/support/world.ts'

/*
 * A member that sends others' counters at their end. Once it is gone (the operator's command is
 * `docker tsoverlay evict`), everybody sees everybody's records again, old and new ones, also after each
 * host has been restarted. Nothing has to be wiped.
 */

const end = Number.MAX_SAFE_INTEGER
/** What repair may take, in virtual time. */
const repairMs = 60_000

/** Past, within a year from the time of day of these clocks, far ahead, and the last ones. */
const inMonths = Date.UTC(2026, 10, 1)
const epoch = fc.constantFrom(1, inMonths, 2 ** 47, epochLimit - 2, epochLimit - 1)
const version = fc.constantFrom(0, 1, 2 ** 32, 2 ** 48, end - 1, end)

/** A frame about an origin, with counters as they come. */
function frameAbout(oid: string): fc.Arbitrary<Frame> {
  const delta = fc
    .record({ epoch, floor: version, head: version, reset: fc.option(version), to: version })
    .map(({ epoch: at, floor, head, reset, to }): Frame => {
      const ranges = [{ from: 0, to, entries: [] }]
      return { kind: 'delta', delta: { oid, epoch: at, floor, head, reset, repair: false, ranges } }
    })
  const summaries = fc.record({ epoch, prefix: version }).map(({ epoch: at, prefix }): Frame => {
    const summary = { oid, epoch: at, prefix, head: prefix }
    return { kind: 'summaries', answer: false, buckets: [], summaries: [summary] }
  })
  const requests = fc.record({ epoch, prefix: version }).map(({ epoch: at, prefix }): Frame => {
    const coverage = { prefix, above: [] }
    return { kind: 'deltaRequest', requests: [{ oid, epoch: at, coverage }] }
  })
  const leave = epoch.map((at): Frame => ({ kind: 'leave', oid, epoch: at, signature: '' }))
  const id = fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1)
  const bytes = fc.constantFrom(new Uint8Array(0), new Uint8Array(4096).fill(255))
  const others = fc.oneof(
    bytes.map((buckets): Frame => ({ kind: 'digest', buckets })),
    fc.constantFrom<Frame>(
      { kind: 'transfer', state: 'more' },
      { kind: 'transfer', state: 'done' },
    ),
    id.map((request): Frame => ({
      kind: 'request',
      id: request,
      channel: 'pools',
      body: `${end}`,
    })),
    id.map((request): Frame => ({ kind: 'answer', id: request, ok: true, body: `${end}` })),
    bytes.map((body): Frame => {
      return { kind: 'message', channel: 'raft', body: Buffer.from(body).toString('latin1') }
    }),
  )
  return fc.oneof(delta, summaries, requests, leave, others)
}

const target = fc.constantFrom('host-1', 'host-2', 'host-3', 'host-5')
const attack = fc.array(
  target.chain((name) => fc.tuple(fc.constant(name), frameAbout(oidOfName(name)))),
  { minLength: 1, maxLength: 6 },
)

describe('hostile: counters', () => {
  it('of others at their end are forgotten with the member that sent them (row 2)', async function () {
    this.timeout(120_000)
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), attack, async (seed, messages) => {
        const world = new World({ seed, hosts: 4 })
        const evil = world.hosts[3]!
        for (const host of world.hosts.slice(0, 3)) for (let i = 0; i < 3; i++) world.put(host)
        await world.startAll()
        const oid = oidOfName(evil.name)
        for (const [, frame] of messages) {
          const bytes = encodeMessage(oid, [encodeFrame(frame)])
          for (const host of world.hosts.slice(0, 3)) evil.gossip!.sendUnreliable(host.name, bytes)
          await world.clock.advance(700)
        }
        await world.crash(evil, 'lost')
        await world.clock.advance(repairMs)
        expect(world.differences(), 'after the attack').to.deep.equal([])
        for (const host of world.up) world.put(host)
        await world.clock.advance(5000)
        expect(world.differences(), 'of new records').to.deep.equal([])
        for (const host of world.up) {
          await world.crash(host, 'kept')
          await world.start(host, [world.hosts.find((other) => other !== host)!])
          await world.clock.advance(10_000)
        }
        expect(world.differences(), 'after restarts').to.deep.equal([])
        for (const host of world.up) await world.crash(host, 'kept')
      }),
      { numRuns: 25 },
    )
  })

  it('of a member’s commands at their end are gone with its eviction (row 2)', async () => {
    const world = new WholeHosts()
    try {
      const [one, two, evil] = [await world.add(), await world.add(), await world.add()]
      await world.clock.advance(5000)
      const pool = '10.0.0.0/8'
      const run = async (host: WholeHost, op: string, fields: object) => {
        const { id } = host.plugin.status().ipam.member
        const command = encode({ op, id, pool, ...fields })
        const done = host.plugin.consensus.submit(command, { timeoutMs: 5000 })
        return decode<Outcome<{ view?: { blocks: unknown[] } }>>(await world.done(done))
      }
      await run(evil, 'holdPool', {})
      for (const counter of [end, 2 ** 32, 2 ** 24 - 1]) {
        await run(evil, 'claim', { total: end, first: 0, last: counter })
        await run(evil, 'claimBlock', { block: counter })
        await run(evil, 'reserve', { offset: counter })
        await run(evil, 'releasePool', { grant: counter })
        const list = [[counter, end]]
        await run(evil, 'release', { blocks: list, loans: list })
        await run(evil, 'lend', { offset: counter, to: one.name })
        for (const host of [one, two])
          evil.plugin.cluster.requests.send(host.name, 'raft', new Uint8Array(64).fill(255))
      }
      await evil.power(false)
      await world.clock.advance(30_000)
      await world.done(one.plugin.ipam.evict([evil.name], { force: true }))
      world.hosts.pop()
      const claim = async (host: WholeHost) => {
        expect(await run(host, 'holdPool', {})).to.have.property('ok')
        const given = await run(host, 'claim', { total: 5, first: 0, last: 2 ** 24 })
        expect('ok' in given && given.ok.view!.blocks).to.have.length(5)
      }
      for (const host of [one, two]) await claim(host)
      const usage = one.plugin.consensus.query(encode({ op: 'usage', pool }), { timeoutMs: 5000 })
      expect(decode<Outcome<unknown>>(await world.done(usage))).to.deep.equal({
        ok: [one, two].map(({ name }) => ({ member: name, blocks: 5 })),
      })
      // A host without containers gives all back when it stops.
      for (const host of [one, two]) {
        await host.restart()
        await world.clock.advance(5000)
        await claim(host)
      }
    } finally {
      await world.stop()
    }
  }).timeout(120_000)
})
