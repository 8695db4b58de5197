/**
 * Which seeds a simulation runs with: `SEED=7` that one alone; else `SIM_SEEDS` many (or the test's
 * own number) from `SIM_FIRST` (1) on.
 */
export function seedsOf(number: number): number[] {
  const one = process.env['SEED']
  if (one !== undefined) return [Number(one)]
  const many = Number(process.env['SIM_SEEDS'] ?? number)
  const first = Number(process.env['SIM_FIRST'] ?? 1)
  return Array.from({ length: many }, (_, i) => first + i)
}

/** The command that runs a test again with one seed. */
export function replayOf(file: string, seed: number): string {
  return `SEED=${seed} npx mocha ${file}`
}

/** Runs a test for each seed; what fails says how to run it again alone. */
export async function forSeeds(
  file: string,
  seeds: readonly number[],
  run: (seed: number) => Promise<void>,
): Promise<void> {
  for (const seed of seeds) {
    try {
      await run(seed)
    } catch (error) {
      const { message } = error as Error
      throw new Error(`${message}\nreplay: ${replayOf(file, seed)}`, { cause: error })
    }
  }
}

/** Whether to take the time that figures for the documentation need. */
export const long = process.env['SIM_LONG'] === '1'
