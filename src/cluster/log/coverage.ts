/** The versions `from < v <= to`. */
export interface Range {
  readonly from: number
  readonly to: number
}

/**
 * The versions of one origin that a replica covers: every version up to `prefix`, and the ranges
 * above it, sorted, disjoint and not adjacent. To cover a version is to have its record or to know
 * that a later version replaced it.
 */
export interface Coverage {
  readonly prefix: number
  readonly above: readonly Range[]
}

/**
 * More ranges than loss makes between two repairs. Above it the newest waits for a later repair.
 */
export const maxRanges = 64

const noRanges: readonly Range[] = []

/** Every version up to `prefix`. */
export function coverageTo(prefix: number): Coverage {
  return { prefix, above: noRanges }
}

/** Whether the version is covered. */
export function covers(coverage: Coverage, version: number): boolean {
  if (version <= coverage.prefix) return true
  return coverage.above.some((range) => range.from < version && version <= range.to)
}

/**
 * The coverage with one more range; unchanged when that would make more than `maxRanges` ranges.
 */
export function withRange(coverage: Coverage, { from, to }: Range): Coverage {
  if (to <= coverage.prefix || to <= from) return coverage
  if (coverage.above.length === 0 && from <= coverage.prefix) return coverageTo(to)
  const above = mergedRanges([...coverage.above, { from, to }])
  const first = above[0]
  if (first !== undefined && first.from <= coverage.prefix) {
    return { prefix: Math.max(coverage.prefix, first.to), above: above.slice(1) }
  }
  return above.length > maxRanges ? coverage : { prefix: coverage.prefix, above }
}

/** What of `range` the coverage lacks, lowest first. */
export function subtract(range: Range, coverage: Coverage): Range[] {
  const missing: Range[] = []
  let from = Math.max(range.from, coverage.prefix)
  for (const covered of coverage.above) {
    if (covered.to <= from) continue
    if (covered.from >= range.to) break
    if (covered.from > from) missing.push({ from, to: covered.from })
    from = covered.to
  }
  if (from < range.to) missing.push({ from, to: range.to })
  return missing
}

/** Everything covered, as ranges, lowest first. */
export function coveredRanges(coverage: Coverage): Range[] {
  if (coverage.prefix === 0) return [...coverage.above]
  return [{ from: 0, to: coverage.prefix }, ...coverage.above]
}

/**
 * Where the covered run that holds `version` begins (exclusive); `version - 1` when none holds it.
 */
export function runStart(coverage: Coverage, version: number): number {
  if (version <= coverage.prefix) return 0
  const run = coverage.above.find((range) => range.from < version && version <= range.to)
  return run?.from ?? version - 1
}

function mergedRanges(ranges: Range[]): Range[] {
  ranges.sort((a, b) => a.from - b.from)
  const merged: Range[] = []
  for (const range of ranges) {
    const last = merged.at(-1)
    if (last !== undefined && range.from <= last.to) {
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) }
    } else merged.push(range)
  }
  return merged
}
