/** What the tests of latency share: worlds over memberlist-js, and how long things take in them. */
import { type Host, World } from './world.ts'

/** Nothing takes that long; what has not arrived by then counts as this long. */
export const patienceMs = 60_000

/** Hosts that have found each other. */
export async function settled(hosts: number, seed: number): Promise<World> {
  const world = new World({ seed, hosts })
  await world.startAll()
  await world.clock.advanceUntil(() => world.acquainted(), patienceMs)
  return world
}

/** Virtual milliseconds until `done` holds for all of `hosts`. */
export async function untilAll(
  world: World,
  hosts: readonly Host[],
  done: (host: Host) => boolean,
): Promise<number> {
  const start = world.clock.now()
  await world.clock.advanceUntil(() => hosts.every(done), patienceMs)
  return world.clock.now() - start
}

/** Lets virtual time go on until a promise settles. */
export async function finish(world: World, promise: Promise<void>): Promise<void> {
  let done = false
  void promise.then(() => (done = true))
  await world.clock.advanceUntil(() => done, patienceMs)
}

/** Virtual milliseconds, to about 20, until everybody has everything. */
export async function untilConverged(world: World): Promise<number> {
  const start = world.clock.now()
  while (world.clock.now() - start < patienceMs && !world.converged()) await world.clock.advance(20)
  return world.clock.now() - start
}

/** Whether a host was told nothing of another, or that it is gone. */
export function hasLost(lost: Host): (host: Host) => boolean {
  const keys = [...lost.truth.keys()].map((key) => `${lost.name} ${key}`)
  return (host) => keys.every((key) => !host.believed.has(key))
}
