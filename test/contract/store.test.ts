import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { silentLogger } from '../../src/base/logger.ts'
import { FileStore } from '../../src/store/file-store.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import type { Store, StoreChange } from '../../src/store/store.ts'

/** A store to test, and the way to be rid of it. */
interface Subject {
  readonly store: Store
  dispose(): Promise<void>
}

async function fileSubject(): Promise<Subject> {
  const directory = await mkdtemp(join(tmpdir(), 'ts-overlay-store-'))
  const store = await FileStore.open(directory, { logger: silentLogger })
  const dispose = async (): Promise<void> => {
    await store.close()
    await rm(directory, { recursive: true })
  }
  return { store, dispose }
}

async function memorySubject(): Promise<Subject> {
  return { store: new MemoryStore(), dispose: async () => {} }
}

const aTable = fc.constantFrom('networks', 'leases')
const aKey = fc.oneof(fc.constantFrom('a', 'b', '__proto__', 'Ω\n"'), fc.string({ unit: 'binary' }))
const aChange: fc.Arbitrary<StoreChange> = fc.record({
  table: aTable,
  key: aKey,
  value: fc.oneof(fc.constant(null), fc.jsonValue()),
})

/** What a store is to show after these changes, kept the simplest way. */
class Model {
  readonly #rows = new Map<string, Map<string, unknown>>()

  write(changes: readonly StoreChange[]): void {
    for (const { table, key, value } of changes) {
      const rows = this.#rows.get(table) ?? new Map<string, unknown>()
      this.#rows.set(table, rows)
      if (value === null) rows.delete(key)
      else rows.set(key, JSON.parse(JSON.stringify(value)))
    }
  }

  entries(table: string): [string, unknown][] {
    return [...(this.#rows.get(table) ?? [])]
  }
}

for (const [name, create] of [
  ['FileStore', fileSubject],
  ['MemoryStore', memorySubject],
] as const)
  describe(`a store: ${name}`, () => {
    let subject: Subject
    let store: Store

    beforeEach(async () => {
      subject = await create()
      store = subject.store
    })
    afterEach(() => subject.dispose())

    it('is empty at first', () => {
      expect(store.get('networks', 'a')).to.equal(undefined)
      expect(store.entries('networks')).to.deep.equal([])
    })

    it('shows what was written, and table by table', async () => {
      await store.write([
        { table: 'networks', key: 'a', value: { vni: 4097, pools: ['10.0.0.0/24'] } },
        { table: 'leases', key: 'a', value: 'text' },
      ])
      expect(store.get('networks', 'a')).to.deep.equal({ vni: 4097, pools: ['10.0.0.0/24'] })
      expect(store.entries('leases')).to.deep.equal([['a', 'text']])
    })

    it('replaces and removes rows, and takes the removal of none for done', async () => {
      await store.write([{ table: 't', key: 'a', value: 1 }])
      await store.write([{ table: 't', key: 'a', value: 2 }])
      expect(store.get('t', 'a')).to.equal(2)
      await store.write([{ table: 't', key: 'a', value: null }])
      await store.write([{ table: 't', key: 'a', value: null }])
      expect(store.get('t', 'a')).to.equal(undefined)
      expect(store.entries('t')).to.deep.equal([])
    })

    it('makes the changes of one write in their order', async () => {
      await store.write([
        { table: 't', key: 'a', value: 1 },
        { table: 't', key: 'a', value: null },
        { table: 't', key: 'b', value: 1 },
        { table: 't', key: 'b', value: 2 },
      ])
      expect(store.entries('t')).to.deep.equal([['b', 2]])
    })

    it('shows nothing of a write before it has resolved', async () => {
      const write = store.write([{ table: 't', key: 'a', value: 1 }])
      expect(store.get('t', 'a')).to.equal(undefined)
      await write
      expect(store.get('t', 'a')).to.equal(1)
    })

    it('keeps the value as it was when it was written, whatever its giver and takers do', async () => {
      const given = { list: [1] }
      const write = store.write([{ table: 't', key: 'a', value: given }])
      given.list.push(2)
      await write
      store.get<typeof given>('t', 'a')!.list.push(3)
      store.entries<typeof given>('t')[0]![1].list.push(4)
      expect(store.get('t', 'a')).to.deep.equal({ list: [1] })
    })

    it('takes writes side by side, the later one for the last', async () => {
      const writes = Array.from({ length: 100 }, (_, n) =>
        store.write([
          { table: 't', key: 'last', value: n },
          { table: 't', key: `k${n}`, value: n },
        ]),
      )
      await Promise.all(writes)
      expect(store.get('t', 'last')).to.equal(99)
      expect(store.entries('t')).to.have.length(101)
    })

    it('refuses a value that JSON cannot say as a bug', async () => {
      const error = await Promise.resolve()
        .then(() => store.write([{ table: 't', key: 'a', value: () => 1 }]))
        .catch((reason: unknown) => reason)
      expect(error).to.be.instanceOf(Error)
      expect(store.entries('t')).to.deep.equal([])
    })

    it('shows what a map would, after any writes', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(aChange)), async (writes) => {
          const fresh = await create()
          const model = new Model()
          try {
            for (const changes of writes) {
              await fresh.store.write(changes)
              model.write(changes)
            }
            for (const table of ['networks', 'leases'])
              expect(fresh.store.entries(table)).to.deep.equal(model.entries(table))
          } finally {
            await fresh.dispose()
          }
        }),
        { numRuns: 40 },
      )
    })
  })
