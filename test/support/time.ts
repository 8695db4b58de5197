/**
 * How long tests wait before they give up. Such limits are for what hangs: no test asserts how long
 * anything takes, so a slow or busy machine fails none. Figures are `bench/`'s.
 */

/**
 * Limits in tests are those of a quiet machine; all are multiplied by this. `TEST_TIME_FACTOR=1`
 * fails sooner.
 */
export const timeFactor = Number(process.env['TEST_TIME_FACTOR'] || 5)

/** The limit in milliseconds, scaled. */
export const scaled = (ms: number): number => ms * timeFactor
