import { appendFileSync } from 'node:fs'

/** The middle of the values; the mean of the middle two when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle]!
  return (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `median (least–most)` with the unit, for a table. */
export function spread(values: readonly number[], unit: string, digits = 0): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((v) => v.toFixed(digits))
  return `${median(values).toFixed(digits)} ${unit} (${least}–${most})`
}

/** A Markdown table. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(heading), line(heading.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Writes a line to standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A figure as a bench tells it: one value of a run, mostly a median. */
export interface Figure {
  readonly name: string
  readonly value: number
}

/**
 * Tells `bench/run.ts` a figure; does nothing in a program that runs alone. Of a name told twice
 * the largest value counts.
 */
export function figure(name: string, value: number): void {
  const path = process.env['BENCH_FIGURES']
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ name, value })}\n`)
}
