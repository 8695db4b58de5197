import { seededRandom, type Config } from 'memberlist-js'
import { below } from '../../src/ports/random.ts'
import { endpointOf } from './cluster.ts'
import { Simulation } from './simulation.ts'

const HEALTHY = 20
const SLOW = [20, 21, 22, 23]

/**
 * How often healthy members are held for dead during `minutes` in which four of 24 are slow: what
 * is sent to them waits for 2 to 10 s, then is read within 50 ms, while they go on probing (the
 * Lifeguard paper's slow message processing). Sightings are counted, so one death that all see
 * counts 23.
 */
export async function falseDeathsAmongSlow(
  seed: number,
  config: Config,
  minutes: number,
): Promise<number> {
  const random = seededRandom(seed)
  const simulation = new Simulation(seed, HEALTHY + SLOW.length, config)
  simulation.watch()
  for (let elapsed = 0; elapsed < minutes * 60_000;) {
    for (const index of SLOW) simulation.network.freeze(endpointOf(index))
    const pause = 2000 + below(random, 8000)
    await simulation.clock.advance(pause)
    for (const index of SLOW) simulation.network.thaw(endpointOf(index))
    await simulation.clock.advance(50)
    elapsed += pause + 50
  }
  const healthy = (name: string) => Number(name.slice(1)) < HEALTHY
  const deaths = simulation.sightings.filter(
    ({ event, subject }) => event === 'failed' && healthy(subject),
  )
  await simulation.close()
  return deaths.length
}

/** Judgement at the same speed in any health, and at once with the least time-out. */
export function withoutLifeguard(config: Config): Config {
  return { ...config, awarenessMaxMultiplier: 1, suspicionMaxTimeoutMult: 1 }
}
