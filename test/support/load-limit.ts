interface Waiting {
  readonly load: number
  readonly start: () => void
}

/**
 * Lets work run side by side as long as its load is within a limit. Work that was asked for first
 * goes first, but lighter work may go before what has no room yet.
 */
export class LoadLimit {
  readonly #limit: number
  #load = 0
  readonly #waiting: Waiting[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Runs `work` once there is room for its load; heavier work than the limit runs alone. */
  async run<Result>(load: number, work: () => Promise<Result>): Promise<Result> {
    await new Promise<void>((start) => {
      this.#waiting.push({ load, start })
      this.#startWhatFits()
    })
    try {
      return await work()
    } finally {
      this.#load -= load
      this.#startWhatFits()
    }
  }

  #startWhatFits(): void {
    for (const waiting of this.#waiting.slice()) {
      const fits = this.#load === 0 || this.#load + waiting.load <= this.#limit
      if (!fits) continue
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
      this.#load += waiting.load
      waiting.start()
    }
  }
}
