import { expect } from 'chai'
import fc from 'fast-check'
import { ByteReader } from '../../../../src/base/bytes.ts'
import { deltasOf } from '../../../../src/cluster/sync/packing.ts'
import { decodeDelta, encodeDelta } from '../../../../src/cluster/wire/delta-codec.ts'
import { type Delta, OriginLog } from '../../../../src/cluster/log/origin-log.ts'
import { sorted } from '../sorted.ts'
import { replyTo } from '../../../../src/cluster/sync/sync-server.ts'

/**
 * One owner and three replicas that tell each other of the owner's log: by single entries and by
 * answers, in messages that are lost, doubled and reordered at will, while anybody drops
 * tombstones. Checked against the list of all that the owner ever wrote.
 */
const oid = 'origin-1'
const epoch = 3
const replicas = 3
const keys = ['a', 'b', 'c']

type Step =
  | { do: 'write'; key: string; remove: boolean }
  | { do: 'tell'; by: number; to: number; which: number }
  | { do: 'answer'; by: number; to: number; small: boolean }
  | { do: 'deliver'; which: number; keep: boolean }
  | { do: 'drop'; at: number; most: number }

const party = fc.nat({ max: replicas })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      key: fc.constantFrom(...keys),
      remove: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      by: party,
      to: party,
      which: fc.nat(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      by: party,
      to: party,
      small: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      which: fc.nat(),
      keep: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('drop' as const), at: party, most: fc.nat({ max: 2 }) }),
  },
)

class Model {
  readonly logs = Array.from({ length: replicas + 1 }, () => new OriginLog(oid, epoch))
  readonly history: { key: string; value: string | null }[] = []
  /** By replica and key: the newest version ever held, and whether it still is. */
  readonly #newest = new Map<string, { version: number; held: boolean }>()
  #wire: { to: number; delta: Delta }[] = []

  get owner(): OriginLog {
    return this.logs[0]!
  }

  run(step: Step): void {
    if (step.do === 'write') this.#write(step.key, step.remove)
    else if (step.do === 'tell') this.#tell(step)
    else if (step.do === 'answer') this.#answer(step)
    else if (step.do === 'deliver') this.#deliver(step)
    else this.logs[step.at]!.dropTombstones(0, step.most)
    this.check()
  }

  /** Answers by the owner until nothing is missing anywhere. */
  finish(): void {
    for (const [i, log] of this.logs.entries()) {
      for (let round = 0; log !== this.owner && round < 3; round++) {
        this.#answer({ by: 0, to: i, small: round === 0 })
        while (this.#wire.length > 0) this.#deliver({ which: 0, keep: false })
      }
    }
  }

  check(): void {
    for (const log of this.logs.slice(1)) this.#checkOne(log)
  }

  /** A replica may lag behind, but holds only what was written, and never goes back. */
  #checkOne(log: OriginLog): void {
    for (const key of keys) {
      const entry = log.entry(key)
      const mark = `${this.logs.indexOf(log)} ${key}`
      const before = this.#newest.get(mark) ?? { version: 0, held: false }
      if (entry !== undefined) {
        const written = this.history[entry.version - 1]
        expect([key, entry.value]).to.deep.equal([written?.key, written?.value])
        const least = before.held ? before.version : before.version + 1
        expect(entry.version, `${key} came back`).to.be.at.least(least)
      }
      this.#newest.set(mark, {
        version: entry?.version ?? before.version,
        held: entry !== undefined,
      })
    }
    if (log.coverage.prefix < this.history.length) return
    expect(sorted(log)).to.deep.equal(sorted(this.owner))
  }

  #write(key: string, remove: boolean): void {
    if (remove && this.owner.value(key) === null) return
    const value = remove ? null : `${key}${this.history.length + 1}`
    this.owner.write(key, value, 0)
    this.history.push({ key, value })
  }

  /** One entry, as gossip tells it. */
  #tell({ by, to, which }: { by: number; to: number; which: number }): void {
    const log = this.logs[by]!
    const entries = log.between(0, log.head)
    const entry = entries[which % (entries.length || 1)]
    if (entry === undefined) return
    const range = { from: log.rangeStart(entry.version), to: entry.version, entries: [entry] }
    const bare = { oid, epoch, floor: log.floor, head: log.head, reset: null, repair: false }
    this.#send(to, { ...bare, ranges: [range] })
  }

  #answer({ by, to, small }: { by: number; to: number; small: boolean }): void {
    const want = { oid, epoch, coverage: this.logs[to]!.coverage }
    const reply = replyTo(want, this.logs[by]!)
    if (reply === null) return
    const maxBytes = small ? 64 : 4096
    for (const delta of deltasOf(reply.log, reply.ranges, {
      reset: reply.reset,
      repair: true,
      maxBytes,
    })) {
      this.#send(to, delta)
    }
  }

  #send(to: number, delta: Delta): void {
    if (to === 0) return
    this.#wire.push({ to, delta: decodeDelta(new ByteReader(encodeDelta(delta))) })
  }

  #deliver({ which, keep }: { which: number; keep: boolean }): void {
    const at = which % (this.#wire.length || 1)
    const message = this.#wire[at]
    if (message === undefined) return
    if (!keep) this.#wire.splice(at, 1)
    this.logs[message.to]!.apply(message.delta, 0)
  }
}

describe('cluster/origin-log against a list of all that was written', () => {
  it('never shows what was replaced or deleted, and ends equal', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 150, size: 'max' }), (steps) => {
        const model = new Model()
        for (const each of steps) model.run(each)
        model.finish()
        const truth = sorted(model.owner)
        for (const log of model.logs) {
          expect(sorted(log)).to.deep.equal(truth)
          expect(log.coverage.prefix).to.equal(model.owner.head)
        }
      }),
      { numRuns: Number(process.env['RUNS'] ?? 400) },
    )
  })
})
