import { below, pick, seededRandom, shuffled } from '../../src/base/random.ts'
import { assertNone, leftovers } from './support/aftermath.ts'
import {
  burst,
  hurriedOptions as options,
  jump,
  leave,
  recover,
  restart,
  sufferFor,
} from './support/faults.ts'
import { forSeeds, seedsOf } from './support/seeds.ts'
import { type Host, World } from './support/world.ts'

/*
 * As cluster-faults.test.ts, over memberlist-js instead of the model of membership: so what the two
 * do to each other is there too. Slower, so there are fewer worlds, and fewer kinds of trouble.
 */

const file = 'test/simulation/cluster-library.test.ts'
const troubleMs = 30_000
/**
 * Views of membership are exchanged every 30 s: twice that, for one whom somebody took for dead.
 */
const recoveryMs = 60_000
/** By then everybody knows who is dead, and has forgotten it. */
const quietMs = options.hiddenHoldMs + 30_000

const endpointOf = ({ address }: Host): { address: string; port: number } => ({
  address,
  port: 7946,
})

async function run(seed: number): Promise<void> {
  const random = seededRandom(seed ^ 0x5eed)
  const hosts = 3 + below(random, 6)
  const world = new World({ seed, hosts, options, addresses: 60 })
  const log: string[] = []
  const note = (what: string): void => void log.push(`${Math.round(world.clock.now())} ${what}`)
  await world.startAll()
  await sufferFor(troubleMs, world, random, () => trouble(world, note))
  await world.clock.advanceUntil(() => world.hosts.every((host) => !host.leaving), 8000)
  await recover(world, 1)
  for (let waited = 0; waited < recoveryMs && !world.converged(); waited += 100) {
    await world.clock.advance(100)
  }
  const history = log.join('\n')
  assertNone('must never happen', world.problems, history)
  assertNone('does not converge', world.differences(), history)
  await world.clock.advance(quietMs)
  assertNone('does not stay right', [...world.problems, ...world.differences()], history)
  assertNone('is left of the dead', leftovers(world), history)
  await Promise.all(world.up.map(({ cluster }) => cluster!.close()))
}

/** One fault, or the end of one. */
async function trouble(world: World, note: (what: string) => void): Promise<void> {
  const kind = below(world.random, 9)
  if (kind <= 1) network(world, note)
  else if (kind === 2) split(world, note)
  else if (kind === 3) {
    world.memory.heal()
    note('heal')
  } else if (kind <= 5) await restart(world, note)
  else if (kind === 6) await leave(world, note)
  else if (kind === 7) burst(world, note)
  else jump(world, note)
}

function network({ random, memory }: World, note: (what: string) => void): void {
  memory.conditions = {
    loss: pick(random, [0, 0.05, 0.3])!,
    duplication: below(random, 30) / 100,
    delayMs: [0.2, pick(random, [1, 20, 150])!],
  }
  note(`network ${JSON.stringify(memory.conditions)}`)
}

function split({ random, memory, hosts }: World, note: (what: string) => void): void {
  const order = shuffled(random, hosts)
  const size = 1 + below(random, order.length - 1)
  const [left, right] = [order.slice(0, size), order.slice(size)]
  memory.partition([left.map(endpointOf), right.map(endpointOf)])
  note(`split off ${left.map(({ name }) => name).join(' ')}`)
}

describe('simulation/cluster over memberlist-js', () => {
  it('ends with everybody knowing the truth, whatever happened', async function () {
    this.timeout(0)
    await forSeeds(file, seedsOf(10), run)
  })
})
