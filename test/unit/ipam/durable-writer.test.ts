import { expect } from 'chai'
import fc from 'fast-check'
import { failure } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { DurableWriter } from '../../../src/ipam/durable-writer.ts'
import type { IpamStore, StoreChange } from '../../../src/ipam/ports.ts'

/** A disk of one table whose writes end when the test says so, well or with a refusal. */
class HeldDisk implements IpamStore {
  readonly rows = new Map<string, unknown>()
  readonly #pending: {
    changes: readonly StoreChange[]
    resolve: () => void
    reject: (error: Error) => void
  }[] = []

  get<T>(_: string, key: string): T | undefined {
    return this.rows.get(key) as T | undefined
  }

  entries<T>(): [string, T][] {
    return [...this.rows] as [string, T][]
  }

  write(changes: readonly StoreChange[]): Promise<void> {
    return new Promise((resolve, reject) => this.#pending.push({ changes, resolve, reject }))
  }

  /** Ends the write under way; resolves when whoever waits for it has heard. */
  async end(full: boolean): Promise<void> {
    const write = this.#pending.shift()
    if (write === undefined) return
    if (full) write.reject(failure('STORE', 'no space left on device'))
    else {
      for (const { key, value } of write.changes) this.#put(key, value)
      write.resolve()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }

  get busy(): boolean {
    return this.#pending.length > 0
  }

  #put(key: string, value: unknown): void {
    if (value === null) this.rows.delete(key)
    else this.rows.set(key, value)
  }
}

const row = (key: string, value: unknown): StoreChange => ({ table: 't', key, value })
const shown = (rows: ReadonlyMap<string, unknown>): string =>
  JSON.stringify([...rows].sort(([a], [b]) => (a < b ? -1 : 1)))

function outcomeOf(work: Promise<void>): { now: string } {
  const outcome = { now: 'open' }
  work.then(
    () => (outcome.now = 'written'),
    () => (outcome.now = 'refused'),
  )
  return outcome
}

describe('what stands between memory and the disk', () => {
  it('writes what was refused together with what comes next', async () => {
    const disk = new HeldDisk()
    const writer = new DurableWriter(disk, silentLogger)
    const first = outcomeOf(writer.write([row('a', 1)]))
    await disk.end(true)
    expect(first.now).to.equal('refused')
    expect(disk.rows.size).to.equal(0)
    const second = outcomeOf(writer.write([row('b', 2)]))
    await disk.end(false)
    expect(second.now).to.equal('written')
    expect(shown(disk.rows)).to.equal('[["a",1],["b",2]]')
  })

  it('holds back what came while a write was under way that is then refused', async () => {
    const disk = new HeldDisk()
    const writer = new DurableWriter(disk, silentLogger)
    outcomeOf(writer.write([row('block', 'ours')]))
    const second = outcomeOf(writer.write([row('lease', 'in it')]))
    await disk.end(true)
    expect(second.now).to.equal('open')
    await disk.end(false)
    expect(second.now).to.equal('written')
    expect(shown(disk.rows)).to.equal('[["block","ours"],["lease","in it"]]')
  })

  it('takes back what is revertne, also what was written over it meanwhile', async () => {
    const disk = new HeldDisk()
    const writer = new DurableWriter(disk, silentLogger)
    const first = outcomeOf(writer.write([row('a', 1)], () => [row('a', null)]))
    const second = outcomeOf(writer.write([row('a', 1), row('b', 2)]))
    await disk.end(true)
    await disk.end(false)
    expect([first.now, second.now]).to.deep.equal(['refused', 'written'])
    expect(shown(disk.rows)).to.equal('[["b",2]]')
  })

  it('is durable when all before is written, and not before', async () => {
    const disk = new HeldDisk()
    const writer = new DurableWriter(disk, silentLogger)
    await writer.durable()
    outcomeOf(writer.write([row('a', 1)]))
    const durable = outcomeOf(writer.durable())
    await disk.end(true)
    expect(durable.now, 'the row is owed').to.equal('open')
    await disk.end(true)
    expect(durable.now).to.equal('refused')
    const again = outcomeOf(writer.durable())
    await disk.end(false)
    expect(again.now).to.equal('written')
    expect(disk.busy).to.equal(false)
  })

  it('whatever is refused: the disk has memory as it was once, and what resolved is on it', async () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const act = fc.oneof(
      fc.record({ write: fc.array(fc.tuple(key, fc.integer()), { maxLength: 3 }) }),
      fc.record({ end: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
        const disk = new HeldDisk()
        const writer = new DurableWriter(disk, silentLogger)
        const memory = new Map<string, unknown>()
        const history = [shown(memory)]
        /** The moments of memory that a resolved write has put on the disk. */
        let least = 0
        for (const step of acts) {
          if ('end' in step) await disk.end(step.end)
          else {
            for (const [name, value] of step.write) memory.set(name, value)
            const moment = history.push(shown(memory)) - 1
            writer.write(step.write.map(([name, value]) => row(name, value))).then(
              () => (least = Math.max(least, moment)),
              () => {},
            )
            await Promise.resolve()
          }
          expect(history.slice(least)).to.include(shown(disk.rows))
        }
      }),
      { numRuns: 300 },
    )
  })
})
