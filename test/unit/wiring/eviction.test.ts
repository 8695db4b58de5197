import { expect } from 'chai'
import { failure } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { Forgetting } from '../../../src/wiring/eviction.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const hour = 3_600_000

function createWorld(store = new MemoryStore()) {
  const clock = new VirtualClock()
  const away = new Set<string>()
  const forgotten: string[] = []
  let refuses = false
  const forgetting = new Forgetting({
    clock,
    logger: silentLogger,
    store,
    members: () =>
      ['one', 'two', 'three', 'four', 'five']
        .filter((name) => !forgotten.includes(name))
        .map((name) => ({ name, seated: true, away: away.has(name) })),
    forget: async (members) => {
      if (refuses) throw failure('NO_MAJORITY', 'no majority')
      forgotten.push(...members)
    },
    afterMs: 72 * hour,
  })
  return { clock, away, forgotten, store, forgetting, refuse: (yes: boolean) => (refuses = yes) }
}

describe('forgetting', () => {
  it('forgets who stays away for that long, and nobody who came back', async () => {
    const { clock, away, forgotten, forgetting } = createWorld()
    forgetting.start()
    away.add('two').add('three')
    await clock.advance(71 * hour)
    away.delete('three')
    await clock.advance(hour / 2)
    away.add('three')
    await clock.advance(hour)
    expect(forgotten).to.deep.equal(['two'])
    await clock.advance(71.1 * hour)
    expect(forgotten).to.deep.equal(['two', 'three'])
    forgetting.stop()
  })

  it('begins anew with one that was seen for a moment', async () => {
    const { clock, away, forgotten, forgetting } = createWorld()
    forgetting.start()
    away.add('two')
    await clock.advance(71 * hour + 10_000)
    away.delete('two')
    forgetting.look()
    away.add('two')
    await clock.advance(71 * hour)
    expect(forgotten).to.deep.equal([])
    await clock.advance(2 * hour)
    expect(forgotten).to.deep.equal(['two'])
    forgetting.stop()
  })

  it('counts on from the disk, and only the time it ran itself', async () => {
    const first = createWorld()
    first.forgetting.start()
    first.away.add('two')
    await first.clock.advance(60 * hour)
    first.forgetting.stop()
    await first.clock.advance(1000 * hour)
    expect(first.forgotten).to.deep.equal([])

    const second = createWorld(first.store)
    second.away.add('two')
    second.forgetting.start()
    // In this run, too, for longer than one that is away trusts its addresses.
    await second.clock.advance(53 * hour)
    expect(second.forgotten).to.deep.equal([])
    await second.clock.advance(1.1 * hour)
    expect(second.forgotten).to.deep.equal(['two'])
    second.forgetting.stop()
  })

  it('does not count the time without a majority in sight: then it is we who are away', async () => {
    const { clock, away, forgotten, forgetting } = createWorld()
    forgetting.start()
    for (const name of ['two', 'three', 'four', 'five']) away.add(name)
    await clock.advance(60 * hour)
    // All are seen again but one, which falls silent at that very moment: it trusts its addresses for half of the time.
    for (const name of ['three', 'four', 'five']) away.delete(name)
    forgetting.look()
    await clock.advance(71 * hour)
    expect(forgotten).to.deep.equal([])
    await clock.advance(2 * hour)
    expect(forgotten).to.deep.equal(['two'])
    forgetting.stop()
  })

  it('begins to watch anew after a moment without a majority', async () => {
    const { clock, away, forgotten, forgetting } = createWorld()
    forgetting.start()
    away.add('two')
    await clock.advance(60 * hour)
    for (const name of ['three', 'four']) away.add(name)
    forgetting.look()
    for (const name of ['three', 'four']) away.delete(name)
    forgetting.look()
    await clock.advance(53 * hour)
    expect(forgotten).to.deep.equal([])
    await clock.advance(2 * hour)
    expect(forgotten).to.deep.equal(['two'])
    forgetting.stop()
  })

  it('does not count the time in which this host stood still', async () => {
    const { clock, away, forgotten, forgetting } = createWorld()
    const now = clock.now.bind(clock)
    forgetting.start()
    away.add('two')
    clock.now = () => now() + 73 * hour
    await clock.advance(hour)
    expect(forgotten).to.deep.equal([])
    await clock.advance(72 * hour)
    expect(forgotten).to.deep.equal(['two'])
    forgetting.stop()
  })

  it('tries again while there is no majority', async () => {
    const { clock, away, forgotten, forgetting, refuse } = createWorld()
    forgetting.start()
    away.add('two')
    refuse(true)
    await clock.advance(80 * hour)
    expect(forgotten).to.deep.equal([])
    refuse(false)
    await clock.advance(hour)
    expect(forgotten).to.deep.equal(['two'])
    forgetting.stop()
  })
})
