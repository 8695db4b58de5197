/** Medians and worst cases of what a simulation measured, in milliseconds of virtual time. */
export interface Figures {
  readonly runs: number
  readonly median: number
  readonly p90: number
  readonly p99: number
  readonly most: number
}

export function figuresOf(samples: readonly number[]): Figures {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (share: number): number => {
    const index = Math.min(sorted.length - 1, Math.floor(share * sorted.length))
    return Math.round(sorted[index] ?? Number.NaN)
  }
  return { runs: sorted.length, median: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1) }
}

/** One line of a table. */
export function figuresLine(what: string, figures: Figures): string {
  const { runs, median, p90, p99, most } = figures
  return `${what}: median ${median}, p90 ${p90}, p99 ${p99}, max ${most} ms (${runs} runs)`
}
