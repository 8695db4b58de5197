import type { Entry } from './log/origin-log.ts'
import type { Origin } from './log/origin.ts'

/** What became of something heard about an origin. */
export type ApplyResult =
  | { readonly kind: 'applied'; readonly origin: Origin; readonly news: readonly Entry[] }
  /** About an epoch that is over; `left` when its owner said so. */
  | { readonly kind: 'over'; readonly epoch: number; readonly left: boolean }
  /** About an older epoch than the one that is here. */
  | { readonly kind: 'stale'; readonly origin: Origin }
  /** About ourselves. */
  | { readonly kind: 'self' }
