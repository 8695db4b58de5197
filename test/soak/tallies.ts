/** What a soak did and what went wrong, with the times. */
export class Tallies {
  readonly #started = performance.now()
  readonly #done = new Map<string, number>()
  readonly #violations: string[] = []
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  /** One more of these was done. */
  count(what: string, by = 1): void {
    this.#done.set(what, (this.#done.get(what) ?? 0) + by)
  }

  note(what: string): void {
    this.#say(`${this.#seconds()} ${what}`)
  }

  /** Something that must never happen. */
  violation(what: string): void {
    this.#violations.push(`${this.#seconds()} ${what}`)
    this.note(`VIOLATION: ${what}`)
  }

  get violations(): readonly string[] {
    return this.#violations
  }

  /** A line for each thing that was done, then the violations. */
  summary(): string {
    const rows = [...this.#done]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([what, count]) => `  ${String(count).padStart(7)}  ${what}`)
    const wrong = this.#violations.map((line) => `  ${line}`)
    return [
      ...rows,
      `  ${String(wrong.length).padStart(7)}  things that must never happen`,
      ...wrong,
    ].join('\n')
  }

  #seconds(): string {
    return `${((performance.now() - this.#started) / 1000).toFixed(1).padStart(7)} s`
  }
}
