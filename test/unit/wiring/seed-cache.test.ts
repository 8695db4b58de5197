import { expect } from 'chai'
import { failure } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeedCache } from '../../../src/wiring/seed-cache.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

class CountingStore extends MemoryStore {
  writes = 0
  isFull = false

  override async write(changes: Parameters<MemoryStore['write']>[0]): Promise<void> {
    if (this.isFull) throw failure('STORE', 'the disk is full')
    this.writes++
    await super.write(changes)
  }
}

describe('wiring/seed-cache', () => {
  let clock: VirtualClock
  let store: CountingStore
  let now: string[]
  let cache: SeedCache

  const create = (): SeedCache =>
    new SeedCache({ clock, store, logger: silentLogger, seeds: () => now })

  beforeEach(() => {
    clock = new VirtualClock()
    store = new CountingStore()
    now = []
    cache = create()
  })

  it('are none at first', () => {
    expect(cache.known()).to.deep.equal([])
  })

  it('are remembered, in one write for a group, and after a restart', async () => {
    now = ['10.0.0.3:7946', '10.0.0.2:7946']
    for (let i = 0; i < 10; i++) cache.changed()
    await clock.advance(1500)
    cache.changed()
    now = now.toReversed()
    await clock.advance(1500)
    expect(store.writes).to.equal(1)
    expect(create().known()).to.deep.equal(['10.0.0.2:7946', '10.0.0.3:7946'])
  })

  it('are no more than a few, the most promising ones', async () => {
    now = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:7946`)
    cache.changed()
    await clock.advance(1500)
    expect(cache.known()).to.have.length(16).and.include('10.0.0.0:7946')
  })

  it('go when all the others have left', async () => {
    now = ['10.0.0.2:7946']
    cache.changed()
    await clock.advance(1500)
    now = []
    cache.changed()
    await clock.advance(1500)
    expect(cache.known()).to.deep.equal([])
  })

  it('do without a disk that is full, and try again', async () => {
    store.isFull = true
    now = ['10.0.0.2:7946']
    cache.changed()
    await clock.advance(1500)
    store.isFull = false
    cache.changed()
    await clock.advance(1500)
    expect(cache.known()).to.deep.equal(['10.0.0.2:7946'])
  })
})
