/** Random trouble for a world: what a network, a disk and an operator can do to a cluster. */
import { below, pick, type Random, shuffled } from '../../../src/base/random.ts'
import type { Host, World } from './world.ts'

/** At least this many hosts stay up, so that somebody can remember. */
const upLeast = 2
/** More than the burst that the tests allow; no host ever has more records. */
export const burstSlots = 150
/** Longer than news are told again. */
const silenceMs = 1000

/** Of the clusters in trouble. Small, so that a minute of virtual time goes through all of them. */
export const hurriedOptions = {
  tombstoneMs: 2500,
  maxTombstones: 6,
  hiddenHoldMs: 10_000,
  // Longer than the last one waits who hears late that somebody is dead: else it teaches the others
  // again.
  epochTombstoneMs: 40_000,
  publishRate: 50,
  publishBurst: 60,
  maxQueueBytes: 3000,
}

/**
 * For `ms`, hosts write and delete, and every now and then there is `trouble`. `check` runs after
 * every step.
 */
export async function sufferFor(
  ms: number,
  world: World,
  random: Random,
  trouble: () => Promise<void>,
  check = (): void => {},
): Promise<void> {
  let nextTrouble = world.clock.now()
  const end = nextTrouble + ms
  while (world.clock.now() < end) {
    await world.clock.advance(below(random, 150))
    check()
    const host = pick(random, world.up)
    if (host !== undefined && !host.leaving) {
      if (below(random, 3) === 0) world.remove(host)
      else world.put(host)
    }
    if (world.clock.now() < nextTrouble) continue
    await trouble()
    nextTrouble = world.clock.now() + below(random, 3000)
  }
}

/** One fault, or the end of one. */
export async function trouble(world: World, log: (what: string) => void): Promise<void> {
  const { random } = world
  const kind = below(random, 13)
  if (kind <= 1) network(world, log)
  else if (kind === 2) split(world, log)
  else if (kind === 3) cutSome(world, log)
  else if (kind === 4) {
    world.links.heal()
    log('heal')
  } else if (kind <= 7) await restart(world, log)
  else if (kind === 8) await leave(world, log)
  else if (kind === 9) await leaveUnheard(world, log)
  else if (kind === 10) burst(world, log)
  else if (kind === 11) await writeUnheardThenHeard(world, log)
  else jump(world, log)
}

/**
 * Ends all trouble: connected and lossless again, and what is down is started, departed hosts too.
 * A host may stay down for good: then the others must stop showing what it had.
 */
export async function recover(world: World, downMost = 0): Promise<void> {
  world.links.heal()
  world.links.echoes = 0
  world.memory.conditions = { loss: 0, duplication: 0, delayMs: [0.2, 1] }
  let down = 0
  for (const host of world.hosts) {
    if (host.cluster !== null || host.leaving) continue
    if (down < downMost && below(world.random, 2) === 0) down++
    else await start(world, host, world.hosts.length)
  }
}

function network({ random, links }: World, log: (what: string) => void): void {
  const delayMs = below(random, 5)
  links.echoes = pick(random, [0, 0.05])!
  links.network.conditions = {
    loss: pick(random, [0, 0.05, 0.3])!,
    duplication: below(random, 30) / 100,
    delayMs: [delayMs + 0.2, delayMs + pick(random, [1, 20, 150])!],
  }
  log(`network ${JSON.stringify(links.network.conditions)}, echoes ${links.echoes}`)
}

function split(world: World, log: (what: string) => void): void {
  const order = shuffled(world.random, world.hosts)
  const size = 1 + below(world.random, order.length - 1)
  const [left, right] = [order.slice(0, size), order.slice(size)]
  world.links.split(left, right)
  log(`split off ${left.map(({ name }) => name).join(' ')}`)
}

/** Some ways are cut, each in one direction only. */
function cutSome(world: World, log: (what: string) => void): void {
  const { random, hosts, links } = world
  const cuts: string[] = []
  for (let i = 0; i < hosts.length; i++) {
    const from = pick(random, hosts)!
    const to = pick(random, hosts)!
    if (from === to) continue
    links.cut(from, to)
    cuts.push(`${from.name}>${to.name}`)
  }
  log(`cut ${cuts.join(' ')}`)
}

/** A host crashes, or one that is down comes back. */
export async function restart(world: World, log: (what: string) => void): Promise<void> {
  const host = pick(world.random, world.hosts)!
  if (host.leaving) return
  if (host.cluster === null) {
    await start(world, host)
    log(`start ${host.name}`)
    return
  }
  if (world.up.length <= upLeast) return
  const disk = below(world.random, 3) === 0 ? 'lost' : 'kept'
  await world.crash(host, disk)
  log(`crash ${host.name}, disk ${disk}`)
  // Half of the time it is back before anybody has noticed.
  if (below(world.random, 2) === 0) return
  await world.clock.advance(below(world.random, 1500))
  await start(world, host)
  log(`start ${host.name}`)
}

/** Whether a host left. */
export async function leave(
  world: World,
  log: (what: string) => void,
  spared?: Host,
): Promise<boolean> {
  const host = pick(world.random, world.up)
  if (host === undefined || host === spared || host.leaving || world.up.length <= upLeast) {
    return false
  }
  log(`leave ${host.name}`)
  host.leaving = true
  void world.leave(host).then(() => (host.leaving = false))
  await world.clock.advance(100)
  return true
}

/** A host leaves while another hears nothing of anybody, and so goes on believing in it. */
async function leaveUnheard(world: World, log: (what: string) => void): Promise<void> {
  const deaf = pick(world.random, world.up)
  if (deaf === undefined) return
  for (const host of world.hosts) if (host !== deaf) world.links.cut(host, deaf)
  log(`${deaf.name} is deaf`)
  if (!(await leave(world, log, deaf))) return
  await world.clock.advance(below(world.random, 3000))
}

/** One host writes more at once than it may tell at once. */
export function burst(world: World, log: (what: string) => void): void {
  const host = pick(world.random, world.up)
  if (host === undefined || host.leaving) return
  for (let slot = 0; slot < burstSlots; slot++) world.put(host, slot)
  log(`burst of ${host.name}`)
}

/**
 * All packets get lost for a while in which some write: nobody hears that there is anything to
 * miss.
 */
export async function writeUnheard(world: World, log: (what: string) => void): Promise<void> {
  const { random, links } = world
  links.silent = true
  log('writes unheard')
  if (below(random, 2) === 0) purge(world, log)
  for (let turns = 1 + below(random, 4); turns > 0; turns--) {
    for (const host of world.up) {
      if (host.leaving || below(random, 2) === 0) continue
      if (below(random, 2) === 0) world.put(host)
      else world.remove(host)
    }
    await world.clock.advance(silenceMs)
  }
  links.silent = false
}

/** And what is written next is heard before anything else. */
async function writeUnheardThenHeard(world: World, log: (what: string) => void): Promise<void> {
  await writeUnheard(world, log)
  for (const host of world.up) if (!host.leaving) world.put(host)
}

/** One host deletes all that it has. */
export function purge(world: World, log: (what: string) => void): void {
  const [host] = world.up.toSorted((a, b) => b.truth.size - a.truth.size)
  if (host === undefined || host.leaving) return
  log(`${host.name} deletes ${host.truth.size} records`)
  for (const key of host.truth.keys()) world.remove(host, key)
}

/** A host dies, and stays dead. */
export async function die(world: World, log: (what: string) => void): Promise<void> {
  const host = pick(world.random, world.up)
  if (host === undefined || host.leaving || world.up.length <= upLeast) return
  log(`crash ${host.name}, for good`)
  await world.crash(host, 'kept')
}

/** A host's time of day is wrong by weeks. */
export function jump(world: World, log: (what: string) => void): void {
  const host = pick(world.random, world.hosts)!
  const ms = (below(world.random, 2000) - 1000) * 3_600_000
  host.clock.jump(ms)
  log(`clock of ${host.name} jumps ${ms / 3_600_000} h`)
}

/** With that many seeds: who has only dead ones finds nobody, and nobody looks for who has left. */
async function start(world: World, host: Host, seeds = 3): Promise<void> {
  const others = world.hosts.filter((other) => other !== host)
  await world.start(host, shuffled(world.random, others).slice(0, seeds))
}
