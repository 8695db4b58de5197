import { Simulation, type SimulationOptions } from './simulation.ts'

/**
 * Leaves out faults of a plan that fails for as long as it still fails, in ever smaller pieces: what is left are the faults
 * that it takes. (Delta debugging; Zeller and Hildebrandt, 2002.) `say` is told of each plan that still fails.
 */
export async function shrink(
  options: SimulationOptions,
  say: (left: number, options: SimulationOptions) => void,
): Promise<SimulationOptions> {
  let without = new Set(options.without)
  let left = numbersLeft(options, without)
  for (let pieces = 2; left.length > 0;) {
    const size = Math.ceil(left.length / pieces)
    let isSmaller = false
    for (let start = 0; start < left.length && !isSmaller; start += size) {
      const candidate = new Set([...without, ...left.slice(start, start + size)])
      if (!(await fails({ ...options, without: candidate }))) continue
      without = candidate
      left = numbersLeft(options, without)
      isSmaller = true
      say(left.length, { ...options, without })
    }
    if (!isSmaller && size === 1) break
    pieces = isSmaller ? Math.max(2, pieces - 1) : Math.min(left.length, pieces * 2)
  }
  return { ...options, without }
}

function numbersLeft(options: SimulationOptions, without: ReadonlySet<number>): number[] {
  const planned = new Simulation({ ...options, without: new Set() }).plan.length
  return Array.from({ length: planned }, (_, number) => number).filter((n) => !without.has(n))
}

async function fails(options: SimulationOptions): Promise<boolean> {
  try {
    await new Simulation({ ...options, isShown: false }).run()
    return false
  } catch {
    return true
  }
}
