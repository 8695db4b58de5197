import { type Bar } from './bars.ts'
import { type Figure, median } from './figures.ts'

/** How many earlier runs the trend is told from. */
const trendRuns = 5

export interface Line {
  readonly name: string
  readonly value: number
  readonly bar: Bar | undefined
  /** Of earlier runs, the oldest first. */
  readonly before: readonly number[]
  readonly keepsBar: boolean
}

/**
 * One line for each figure, with its bar and the last runs before it. `history` has one list of
 * figures a run, oldest first.
 */
export function linesOf(
  figures: readonly Figure[],
  history: readonly (readonly Figure[])[],
  bars: Readonly<Record<string, Bar>>,
): Line[] {
  const worst = (some: readonly Figure[], name: string): number | undefined => {
    const values = some.filter((one) => one.name === name).map(({ value }) => value)
    return values.length === 0 ? undefined : Math.max(...values)
  }
  return [...new Set(figures.map(({ name }) => name))].map((name) => {
    const value = worst(figures, name)!
    const before = history
      .map((run) => worst(run, name))
      .filter((earlier) => earlier !== undefined)
      .slice(-trendRuns)
    const bar = bars[name]
    const { atMost = Infinity, atLeast = -Infinity } = bar ?? {}
    return { name, value, bar, before, keepsBar: value <= atMost && value >= atLeast }
  })
}

/** The cells of a line: name, value, bar, earlier values, change against their median. */
export function cellsOf({ name, value, bar, before, keepsBar }: Line): string[] {
  const unit = bar?.unit ?? ''
  const limit =
    bar?.atMost !== undefined
      ? `at most ${bar.atMost}`
      : bar?.atLeast !== undefined
        ? `at least ${bar.atLeast}`
        : ''
  const trend = before.map(short).join(' ')
  const change = before.length === 0 ? '' : percent(value / median(before) - 1)
  return [
    name,
    `${short(value)} ${unit}`.trim(),
    keepsBar ? limit : `${limit}: MISSED`,
    trend,
    change,
  ]
}

const short = (value: number): string => String(Number(value.toPrecision(3)))

function percent(share: number): string {
  const rounded = Math.round(share * 100)
  return `${rounded > 0 ? '+' : ''}${rounded} %`
}
