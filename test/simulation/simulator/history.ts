/** What happened in a simulation, the last lines of it. */
export class History {
  readonly #now: () => number
  readonly #lines: string[] = []
  /** All lines are printed as they come. */
  readonly #isShown: boolean

  constructor(now: () => number, isShown: boolean) {
    this.#now = now
    this.#isShown = isShown
  }

  note(line: string): void {
    const text = `${(this.#now() / 1000).toFixed(4).padStart(10)} ${line}`
    if (this.#isShown) process.stdout.write(`${text}\n`)
    this.#lines.push(text)
    if (this.#lines.length > maxLines) this.#lines.splice(0, maxLines / 2)
  }

  /** The last lines, and of those only the ones with all of these words. */
  last(lines: number): string {
    return this.#lines.slice(-lines).join('\n')
  }
}

const maxLines = 20_000
