import type { Config, LinkConditions } from 'memberlist-js'
import { endpointOf } from './cluster.ts'
import { Simulation } from './simulation.ts'

/**
 * The value below which a share of the sorted values lies; NaN for none. Throws when one of them is
 * no number.
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.some(Number.isNaN)) throw new Error('what did not happen has no place among the times')
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export interface Setting {
  readonly seed: number
  readonly size: number
  readonly config: Config
  readonly conditions?: Partial<LinkConditions>
}

function simulate({ seed, size, config, conditions }: Setting): Simulation {
  return new Simulation(seed, size, config, conditions)
}

/**
 * What became of broadcasts: how long those took that reached everybody, in ms, and how many missed
 * somebody.
 */
export interface BroadcastTimes {
  readonly times: readonly number[]
  readonly missed: number
}

/** Lets members broadcast one after the other, everybody passing on what is new to it. */
export async function broadcastTimes(setting: Setting, runs: number): Promise<BroadcastTimes> {
  const simulation = simulate(setting)
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    await simulation.settle(7000 + 37 * run)
    const ms = await simulation.broadcast(run % setting.size)
    if (!Number.isNaN(ms)) times.push(ms)
  }
  await simulation.close()
  return { times, missed: runs - times.length }
}

/** When a member that vanishes is held for dead, in ms after its end. */
export interface DeathTimes {
  readonly first: number
  readonly last: number
}

/** Lets one member vanish in a fresh cluster. */
export async function deathTimes(setting: Setting): Promise<DeathTimes> {
  const simulation = simulate(setting)
  // Members die at any point of the probe round.
  await simulation.settle(3000 + (setting.seed % 1000))
  simulation.watch()
  const started = simulation.clock.now()
  await simulation.kill(0)
  const observers = setting.size - 1
  const deaths = () => simulation.sightings.filter(({ event }) => event === 'failed')
  await simulation.clock.advanceUntil(() => deaths().length === observers, 120_000)
  const times = deaths().map(({ at }) => at - started)
  await simulation.close()
  if (times.length !== observers) throw new Error(`only ${times.length} of ${observers} saw it`)
  return { first: Math.min(...times), last: Math.max(...times) }
}

/** Suspicions and (false) deaths while all members live for `ms` under the given conditions. */
export async function falseAlarms(
  setting: Setting,
  ms: number,
): Promise<{ suspected: number; failed: number }> {
  const simulation = simulate(setting)
  simulation.watch()
  await simulation.clock.advance(ms)
  const count = (wanted: string) =>
    simulation.sightings.filter(({ event }) => event === wanted).length
  const alarms = { suspected: count('suspect'), failed: count('failed') }
  await simulation.close()
  return alarms
}

/** Between two looks at all views, which are dear. */
const STEP_MS = 20

const isWhole = (simulation: Simulation, index: number): boolean =>
  simulation.view(index).size === simulation.engines.length

/** How long nobody may be lost after the views were whole, for a partition to count as healed. */
const HOLD_MS = 5000

/** What followed the end of a partition. */
export interface Healing {
  /**
   * How long until all views were equal, everybody in them, and nobody was lost again. NaN: not in
   * a minute.
   */
  readonly ms: number
  /** How often somebody was lost again after all had been equal. */
  readonly relapses: number
}

/** Cuts the cluster in two for `cutMs`, and watches it heal. */
export async function healing(setting: Setting, share: number, cutMs: number): Promise<Healing> {
  const { size } = setting
  const simulation = simulate(setting)
  await simulation.settle()
  const all = Array.from({ length: size }, (_, i) => endpointOf(i))
  const cut = Math.max(1, Math.round(size * share))
  simulation.network.partition([all.slice(0, cut), all.slice(cut)])
  await simulation.clock.advance(cutMs)
  // A small side, in ill health, may not be through with all the others yet; but both must have
  // begun.
  if (isWhole(simulation, 0) || isWhole(simulation, size - 1))
    throw new Error('the sides did not lose each other')
  simulation.network.heal()
  const outcome = await watchHealing(simulation, 60_000)
  await simulation.close()
  return outcome
}

async function watchHealing(simulation: Simulation, withinMs: number): Promise<Healing> {
  const everybody = () => simulation.engines.every((_, i) => isWhole(simulation, i))
  let since = NaN
  let relapses = 0
  for (let ms = 0; ms <= withinMs; ms += STEP_MS) {
    const complete = everybody()
    if (Number.isNaN(since) && complete && simulation.agreed()) since = ms
    if (!Number.isNaN(since) && !complete) {
      relapses++
      since = NaN
    }
    if (ms - since >= HOLD_MS) return { ms: since, relapses }
    await simulation.clock.advance(STEP_MS)
  }
  return { ms: NaN, relapses }
}
