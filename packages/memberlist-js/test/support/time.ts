/** Limits of tests are for what hangs, and those of a quiet machine; all are multiplied by this. */
const timeFactor = Number(process.env['TEST_TIME_FACTOR'] || 5)

/** The limit in milliseconds, scaled. */
export const scaled = (ms: number): number => ms * timeFactor
