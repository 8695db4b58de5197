import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { replayable, SEED } from '../support/seed.ts'
import { Simulation } from '../support/simulation.ts'

describe(`a thousand members (SEED=${SEED})`, function () {
  this.timeout(120_000)

  it('hear a broadcast within 1.6 s, and suspect a silent one together', async () => {
    await replayable(SEED, async () => {
      const simulation = new Simulation(SEED, 1000, lan)
      await simulation.settle(2000)
      expect(await simulation.broadcast(1)).to.be.at.most(1600)
      simulation.watch()
      await simulation.kill(0)
      // Each second somebody probes it with a chance of 1 - 1/e.
      await simulation.clock.advanceUntil(() => simulation.sightings.length > 0, 20_000)
      await simulation.clock.advance(1600)
      expect(simulation.sightings.length).to.equal(999)
      expect(simulation.sightings.every(({ subject }) => subject === 'm0')).to.equal(true)
      await simulation.close()
    })
  })
})
