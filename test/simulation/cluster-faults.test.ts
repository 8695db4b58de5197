import { expect } from 'chai'
import { below, pick, seededRandom } from '../../src/base/random.ts'
import { recover, trouble } from './support/faults.ts'
import { forSeeds, seedsOf } from './support/seeds.ts'
import { World } from './support/world.ts'

/*
 * Anything may go wrong for a while, all at once. When it has stopped, every member knows exactly what
 * every other that runs has put and shows nothing of those that do not, its listeners were told so, and nothing that was deleted came back meanwhile.
 * Nothing is said of how long things take: cluster-latency.test.ts does that.
 */

/** Small, so that a minute of virtual time goes through all of them. */
const options = {
  tombstoneMs: 3000,
  tombstonesMost: 12,
  hiddenHoldMs: 12_000,
  certificateMs: 60_000,
  publishRate: 50,
  publishBurst: 60,
}
const troubleMs = 30_000
/** Far above what repair needs: what is not right by then never will be. */
const recoveryMs = 30_000

async function run(seed: number): Promise<void> {
  const random = seededRandom(seed ^ 0x5eed)
  const world = new World({ seed, hosts: 3 + below(random, 8), options })
  const log: string[] = []
  const note = (what: string): void => void log.push(`${Math.round(world.clock.now())} ${what}`)
  for (const host of world.hosts) for (let i = below(random, 6); i > 0; i--) world.put(host)
  await world.startAll()
  let nextTrouble = world.clock.now()
  const end = nextTrouble + troubleMs
  while (world.clock.now() < end) {
    await world.clock.advance(below(random, 150))
    const host = pick(random, world.up)
    if (host !== undefined && !host.leaving) {
      if (below(random, 3) === 0) world.remove(host)
      else world.put(host)
    }
    if (world.clock.now() < nextTrouble) continue
    await trouble(world, note)
    nextTrouble = world.clock.now() + below(random, 3000)
  }
  await world.clock.until(() => world.hosts.every((host) => !host.leaving), 5000)
  await recover(world, 2)
  await world.clock.advance(2000)
  for (let waited = 0; waited < recoveryMs && !world.converged(); waited += 500) {
    await world.clock.advance(500)
  }
  const history = log.join('\n')
  assertNone('must never happen', world.problems, history)
  assertNone('does not converge', world.differences(), history)
  checkCaps(world)
}

function assertNone(what: string, found: readonly string[], history: string): void {
  if (found.length > 0) throw new Error([`${what}:`, ...found, 'after', history].join('\n'))
}

/** Memory stays within what the options say. */
function checkCaps(world: World): void {
  for (const host of world.up) {
    const { queue, origins, certificates, tombstones } = host.cluster!.status()
    expect(queue.bytes, 'queue').to.be.at.most(64 * 1024)
    expect(origins, 'origins').to.be.at.most(world.hosts.length + 64)
    expect(certificates, 'certificates').to.be.at.most(world.hosts.length)
    expect(tombstones, 'tombstones').to.be.at.most(
      world.hosts.length * (options.tombstonesMost + 60),
    )
  }
}

describe('simulation/cluster faults', () => {
  it('ends with everybody knowing the truth, whatever happened', async function () {
    this.timeout(0)
    await forSeeds('test/simulation/cluster-faults.test.ts', seedsOf(25), run)
  })
})
