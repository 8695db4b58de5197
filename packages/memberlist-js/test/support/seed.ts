/** The seed of this run: `SEED` of the environment, so that a failure can be replayed, or a new one. */
export const SEED = Number(process.env['SEED'] ?? Math.trunc(performance.timeOrigin) % 2 ** 31)

/** For fast-check's `assert`: its own report then tells how to replay. */
export const seeded = { seed: SEED }

/** Adds the seed to whatever goes wrong in `step`. */
export async function replayable(seed: number, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (error instanceof Error) error.message += `\n(replay with SEED=${seed})`
    throw error
  }
}
