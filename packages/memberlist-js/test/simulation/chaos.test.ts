import { expect } from 'chai'
import { below, fraction } from '../../src/ports/random.ts'
import { seededRandom, type Random } from 'memberlist-js'
import { endpointOf } from '../support/cluster.ts'
import { replayable, SEED } from '../support/seed.ts'
import { Simulation, tuned } from '../support/simulation.ts'

const SIZE = 12
const ROUNDS = 40
/** Member 0 is the seed of those that restart, and lives on. */
const SEED_MEMBER = 0
/** Detection, refutation and rejoining at their slowest with the tuned configuration. */
const CALM_MS = 45_000

type Life = 'up' | 'down' | 'stopped'

/** Does one random thing to the cluster. */
async function disturb(simulation: Simulation, random: Random, lives: Life[]): Promise<void> {
  const index = 1 + below(random, SIZE - 1)
  const life = lives[index]!
  const what = below(random, 8)
  const { network } = simulation
  if (what === 0 && life === 'up') {
    await simulation.kill(index)
    lives[index] = 'down'
  } else if (what === 1 && life === 'up') {
    simulation.leave(index)
    lives[index] = 'down'
  } else if (what <= 3 && life === 'down') {
    await simulation.restart(index, SEED_MEMBER)
    lives[index] = 'up'
  } else if (what === 4 && life === 'up') {
    simulation.stop(index)
    lives[index] = 'stopped'
  } else if (life === 'stopped') {
    simulation.resume(index)
    lives[index] = 'up'
  } else if (what === 5) {
    const all = Array.from({ length: SIZE }, (_, i) => endpointOf(i))
    const cut = 1 + below(random, SIZE - 1)
    network.partition([all.slice(0, cut), all.slice(cut)])
  } else if (what === 6) {
    network.heal()
  } else {
    const loss = 0.3 * fraction(random)
    network.conditions = { loss, duplication: 0.2 * fraction(random), delayMs: [0.2, 100] }
  }
}

function calm(simulation: Simulation, lives: Life[]): void {
  simulation.network.heal()
  simulation.network.conditions = { loss: 0, duplication: 0, delayMs: [0.2, 1] }
  lives.forEach((life, index) => {
    if (life !== 'stopped') return
    simulation.resume(index)
    lives[index] = 'up'
  })
}

describe(`chaos (SEED=${SEED})`, function () {
  this.timeout(120_000)

  for (let run = 0; run < 8; run++) {
    it(`whatever happened, all views agree when it is over, run ${run + 1}`, async () => {
      const seed = SEED + run
      await replayable(seed, async () => {
        const random = seededRandom(seed)
        const simulation = new Simulation(seed, SIZE, tuned)
        const lives: Life[] = Array.from({ length: SIZE }, () => 'up')
        for (let round = 0; round < ROUNDS; round++) {
          await disturb(simulation, random, lives)
          await simulation.clock.advance(below(random, 4000))
        }
        calm(simulation, lives)
        await simulation.clock.advance(CALM_MS)
        const living = lives.flatMap((life, i) => (life === 'up' ? [`m${i}`] : [])).sort()
        lives.forEach((life, i) => {
          if (life !== 'up') return
          expect([...simulation.view(i)].sort(), `the view of m${i}`).to.deep.equal(living)
        })
        await simulation.close()
      })
    })
  }
})
