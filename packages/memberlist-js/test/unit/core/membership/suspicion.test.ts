import { expect } from 'chai'
import { VirtualClock } from 'memberlist-js'
import { Suspicion } from '../../../../src/core/membership/suspicion.ts'
import { StoppableClock } from '../../../support/stoppable-clock.ts'

const terms = { expected: 3, minMs: 2000, maxMs: 30_000 }

/** When a suspicion ends, if these accusers confirm at these times. */
async function endOf(
  confirmations: readonly (readonly [at: number, from: string])[],
): Promise<number> {
  const clock = new VirtualClock()
  let ended = NaN
  const suspicion = new Suspicion(clock, 'me', terms, () => (ended = clock.now()))
  for (const [at, from] of confirmations) clock.setTimeout(() => suspicion.confirm(from), at)
  await clock.advance(60_000)
  return ended
}

describe('a suspicion', () => {
  it('that nobody shares lasts longest', async () => {
    expect(await endOf([])).to.equal(30_000)
  })

  it('ends earlier with each independent accuser', async () => {
    expect(await endOf([[100, 'a']])).to.equal(16_000)
    expect(
      await endOf([
        [100, 'a'],
        [200, 'b'],
      ]),
    ).to.equal(7810)
    expect(
      await endOf([
        [100, 'a'],
        [200, 'b'],
        [300, 'c'],
      ]),
    ).to.equal(2000)
  })

  it('counts each accuser once, the first one not at all, and no more than expected', async () => {
    expect(
      await endOf([
        [100, 'me'],
        [200, 'a'],
        [300, 'a'],
      ]),
    ).to.equal(16_000)
    const many = ['a', 'b', 'c', 'd', 'e'].map((from) => [100, from] as const)
    expect(await endOf(many)).to.equal(2000)
  })

  it('ends at once when confirmations come after the time is over', async () => {
    const late = [
      [9000, 'a'],
      [9000, 'b'],
      [9000, 'c'],
    ] as const
    expect(await endOf(late)).to.equal(9000)
  })

  it('tells whether a confirmation is news', () => {
    const suspicion = new Suspicion(new VirtualClock(), 'me', terms, () => undefined)
    const news = ['a', 'a', 'me', 'b', 'c', 'd'].map((from) => suspicion.confirm(from))
    expect(news).to.deep.equal([true, false, false, true, true, false])
  })

  it('can be cancelled', async () => {
    const clock = new VirtualClock()
    let ended = false
    new Suspicion(clock, 'me', terms, () => (ended = true)).cancel()
    await clock.advance(60_000)
    expect(ended).to.equal(false)
  })

  it('waits once more when this process stood still over its end', async () => {
    const clock = new VirtualClock()
    const own = new StoppableClock(clock)
    let ended = NaN
    const suspicion = new Suspicion(own, 'me', terms, () => (ended = clock.now()))
    expect(suspicion.confirm('a')).to.equal(true)
    await clock.advance(10_000)
    own.stop()
    await clock.advance(30_000)
    own.resume()
    expect(Number.isNaN(ended)).to.equal(true)
    await clock.advance(5000)
    expect(ended).to.equal(42_000)
  })
})
