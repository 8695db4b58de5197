/**
 * The seed of this run: `SEED` of the environment, so that a failure can be replayed and new ones
 * be hunted, or always the same, so that a change is never blamed for an old seed.
 */
export const SEED = Number(process.env['SEED'] ?? 1)

/** Adds the seed to whatever goes wrong in `step`. */
export async function replayable(seed: number, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (error instanceof Error) error.message += `\n(replay with SEED=${seed})`
    throw error
  }
}
