/** What one method's calls came to. Times in milliseconds, of the last calls kept. */
export interface MethodSummary {
  readonly count: number
  readonly errors: number
  readonly lastError: { readonly at: string; readonly message: string } | null
  readonly medianMs: number
  readonly maxMs: number
}

/** How many durations a method keeps: enough for a steady median, 4 KiB each. */
const durationsKept = 512

interface Tally {
  count: number
  errors: number
  lastError: MethodSummary['lastError']
  /** A ring: call n stands at n modulo its size. */
  readonly durations: number[]
}

/** Counts and times the engine's calls for `/status`, by method. */
export class CallStatistics {
  readonly #tallies = new Map<string, Tally>()
  readonly #observe: (method: string, ms: number) => void

  /** `observe` is told of each call. */
  constructor(observe: (method: string, ms: number) => void = () => {}) {
    this.#observe = observe
  }

  /** One call that took `ms`; `error` is null when it succeeded; `at` is the wall clock's time. */
  record(method: string, ms: number, at: number, error: string | null): void {
    this.#observe(method, ms)
    const tally = this.#tallyOf(method)
    tally.durations[tally.count % durationsKept] = ms
    tally.count++
    if (error === null) return
    tally.errors++
    tally.lastError = { at: new Date(at).toISOString(), message: error }
  }

  /** The methods that were called, in alphabetical order. */
  summary(): Readonly<Record<string, MethodSummary>> {
    const methods = [...this.#tallies].sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(methods.map(([method, tally]) => [method, summaryOf(tally)]))
  }

  #tallyOf(method: string): Tally {
    const known = this.#tallies.get(method)
    if (known !== undefined) return known
    const tally: Tally = { count: 0, errors: 0, lastError: null, durations: [] }
    this.#tallies.set(method, tally)
    return tally
  }
}

function summaryOf(tally: Tally): MethodSummary {
  const { count, errors, lastError } = tally
  const sorted = tally.durations.toSorted((a, b) => a - b)
  const medianMs = rounded(sorted[sorted.length >> 1] ?? 0)
  return { count, errors, lastError, medianMs, maxMs: rounded(sorted.at(-1) ?? 0) }
}

/** To the microsecond; more digits would only look exact. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
