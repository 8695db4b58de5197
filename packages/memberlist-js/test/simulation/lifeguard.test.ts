import { expect } from 'chai'
import { lan, seededRandom, type Config } from 'memberlist-js'
import { below } from '../../src/random.ts'
import { replayable, SEED } from '../support/seed.ts'
import { Simulation } from '../support/simulation.ts'

const MINUTES = 5

/** Healthy members that are held for dead while a few others get hardly any processor time. */
async function falseDeaths(seed: number, config: Config): Promise<number> {
  const size = 24
  const slow = [20, 21, 22, 23]
  const random = seededRandom(seed)
  const simulation = new Simulation(seed, size, config)
  simulation.watch()
  for (let elapsed = 0; elapsed < MINUTES * 60_000;) {
    for (const index of slow) simulation.stop(index)
    const pause = 2000 + below(random, 8000)
    await simulation.clock.advance(pause)
    for (const index of slow) simulation.resume(index)
    await simulation.clock.advance(50)
    elapsed += pause + 50
  }
  const healthy = (name: string) => Number(name.slice(1)) < 20
  const deaths = simulation.sightings.filter(
    ({ event, subject }) => event === 'failed' && healthy(subject),
  )
  await simulation.close()
  return deaths.length
}

describe(`Lifeguard (SEED=${SEED})`, function () {
  this.timeout(120_000)

  it('keeps slow members from declaring healthy ones dead', async () => {
    await replayable(SEED, async () => {
      // Without it: judgement at the same speed in any health, and at once with the least time-out.
      const without = { ...lan, awarenessMaxMultiplier: 1, suspicionMaxTimeoutMult: 1 }
      const plain = await falseDeaths(SEED, without)
      const guarded = await falseDeaths(SEED, lan)
      expect({ plain, guarded }).to.satisfy(() => guarded === 0 || guarded < plain / 10)
    })
  })
})
