import { expect } from 'chai'
import fc from 'fast-check'
import { oidOfName } from '../../../../src/cluster/log/digest.ts'
import { type Delta, OriginLog } from '../../../../src/cluster/log/origin-log.ts'
import { visibleRecords } from '../../../../src/cluster/log/origin.ts'
import { Replica } from '../../../../src/cluster/log/replica.ts'
import { clusterDefaults } from '../../../../src/cluster/sync/options.ts'
import { deltasOf } from '../../../../src/cluster/sync/packing.ts'
import { SignedLogs, signerOf } from '../../../../src/cluster/log/signed-logs.ts'
import { replyTo } from '../../../../src/cluster/sync/sync-server.ts'
import { MemberTable } from '../../../../src/cluster/members/member-table.ts'
import { encodeMeta } from '../../../../src/cluster/wire/piggyback.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { testSignatures } from '../../../support/log-signatures.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

/*
 * What one member shows of another's log, while somebody in between alters, invents, leaves out and
 * repeats: at each moment a state that the owner has signed, and never an older one than before.
 */

const oid = oidOfName('owner')
const epoch = 5

class Scene {
  readonly clock = new VirtualClock()
  readonly owner = new OriginLog(oid, epoch, signerOf(testSignatures('owner')))
  readonly replica: Replica
  readonly signedLogs: SignedLogs
  /** Each state that the owner has signed, in order. */
  readonly signed: string[] = ['']
  readonly sent: Delta[] = []
  /** Which of the signed states was shown last. */
  shown = 0

  constructor() {
    const { clock } = this
    const signatures = testSignatures('us')
    const self = { name: 'us', address: '192.0.2.1' as Ip }
    const members = new MemberTable(self, 0)
    const replica = new Replica({ ...self, epoch }, clusterDefaults, () => {}, signerOf(signatures))
    const meta = encodeMeta({ epoch, address: '192.0.2.2' as Ip })
    const gossiped = { name: 'owner', host: '192.0.2.2' as Ip, port: 7946, state: 'alive' as const }
    replica.member(members.update({ ...gossiped, meta }, 0)!, 0)
    this.replica = replica
    this.signedLogs = new SignedLogs({ clock, members, replica, signatures })
  }

  /** Some writes, and the delta that the owner sends for them. */
  write(writes: readonly { id: string; value: string | null }[]): void {
    const from = this.owner.head
    for (const { id, value } of writes) this.owner.write(id, value, 0)
    this.signed.push(stateOf(this.owner.live()))
    this.sent.push(...this.deltas([{ from, to: this.owner.head }]))
  }

  deltas(ranges: readonly { from: number; to: number }[], reset: number | null = null): Delta[] {
    return [...deltasOf(this.owner, ranges, { reset, repair: false, maxBytes: 60 + 110 })]
  }

  receive(delta: Delta, byOwner = false): void {
    const admitted = this.signedLogs.admit(delta, byOwner ? oid : oidOfName('between'))
    if (admitted !== null) this.replica.apply(admitted, this.clock.now())
    const shown = this.signed.lastIndexOf(stateOf(visibleRecords(this.replica.origin(oid)!)))
    expect(shown, 'a state that the owner has signed, and no older one').to.be.at.least(this.shown)
    this.shown = shown
  }

  /** What the owner answers when it is asked for the rest. */
  repair(): void {
    for (let round = 0; round < 3; round++) {
      const { log } = this.replica.origin(oid)!
      const request = { oid, epoch: log.epoch, coverage: log.coverage }
      const reply = replyTo(request, this.owner)
      if (reply === null) return
      for (const delta of this.deltas(reply.ranges, reply.reset)) this.receive(delta, true)
    }
  }
}

function stateOf(records: Iterable<readonly [string, string]>): string {
  return JSON.stringify([...records].sort(([a], [b]) => (a < b ? -1 : 1))).replace('[]', '')
}

const id = fc.constantFrom('\u0001a', '\u0001b', '\u0001c', '\u0001d')
const write = fc.record({ id, value: fc.option(fc.constantFrom('x', 'y', 'z')) })
const version = fc.nat({ max: 12 })

/** What somebody in between makes of a delta. */
const lie = fc.oneof(
  fc.constant((delta: Delta) => delta),
  fc
    .record({ at: fc.nat(), id, value: fc.option(fc.constantFrom('x', 'forged')) })
    .map(({ at, ...entry }) => (delta: Delta): Delta => ({
      ...delta,
      ranges: delta.ranges.map((range) => ({
        ...range,
        entries: range.entries.map((each, i) =>
          i === at % range.entries.length ? { ...each, ...entry } : each,
        ),
      })),
    })),
  fc.nat().map((at) => (delta: Delta): Delta => {
    const leaveOut = <T>(all: readonly T[]) => all.filter((_, i) => i !== at % all.length)
    return {
      ...delta,
      ranges: delta.ranges.map((range) => ({ ...range, entries: leaveOut(range.entries) })),
    }
  }),
  fc
    .record({ from: version, length: version, reset: fc.option(version), floor: version, id })
    .map(({ from, length, reset, floor, id: made }) => (delta: Delta): Delta => {
      const to = from + length
      const entries = length === 0 ? [] : [{ id: made, version: to, value: 'made up' }]
      return { ...delta, floor, reset, head: to, ranges: [{ from, to, entries }] }
    }),
  fc
    .record({ version, root: fc.constantFrom('r'.repeat(32)) })
    .map((head) => (delta: Delta): Delta => ({ ...delta, signed: { ...delta.signed!, ...head } })),
  fc.constant((delta: Delta): Delta => {
    const { signed: _, ...bare } = delta
    return bare
  }),
)

const step = fc.oneof(
  fc.record({ writes: fc.array(write, { minLength: 1, maxLength: 4 }) }),
  fc.record({ which: fc.nat(), lie }),
  fc.constant({ repair: true as const }),
)

describe('cluster/signed-logs', () => {
  it('show at each moment what their owner has signed, and in the end all of it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const scene = new Scene()
        for (const each of steps) {
          if ('writes' in each) scene.write(each.writes)
          else if ('repair' in each) scene.repair()
          else if (scene.sent.length > 0)
            scene.receive(each.lie(scene.sent[each.which % scene.sent.length]!))
        }
        scene.write([{ id: '\u0001a', value: 'last' }])
        scene.repair()
        const shown = visibleRecords(scene.replica.origin(oid)!)
        expect(stateOf(shown)).to.equal(stateOf(scene.owner.live()))
      }),
      { numRuns: 500 },
    )
  })

  it('are not listened to beyond a bound of checks, which is of who sends what is not genuine', () => {
    const scene = new Scene()
    scene.write([{ id: '\u0001a', value: 'x' }])
    const [delta] = scene.sent
    for (let i = 0; i < 1000; i++)
      scene.receive({ ...delta!, signed: { ...delta!.signed!, version: 2 + i } })
    expect(scene.signedLogs.counters.throttled).to.equal(800)
    scene.write([{ id: '\u0001a', value: 'y' }])
    scene.receive(scene.sent[1]!)
    expect(scene.shown, 'by the one in between').to.equal(0)
    for (const each of scene.sent) scene.receive(each, true)
    expect(scene.shown, 'by the owner').to.equal(2)
  })
})
