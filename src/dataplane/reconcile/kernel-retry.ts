import type { Backoff } from '../../base/backoff.ts'

/** How soon the kernel is asked again for what it refused: most such troubles are over within moments. */
export const kernelRetry: Backoff = { firstMs: 100, maxMs: 10_000 }
