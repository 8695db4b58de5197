/**
 * Lifeguard's local health: 0 is healthy. It rises when our own probes fail although others are
 * well, or when we have to refute a suspicion; while it is high we judge others more slowly.
 */
export class Awareness {
  readonly #ceiling: number
  readonly #onChange: (score: number) => void
  #score = 0

  /** The score stays below `maxMultiplier`. */
  constructor(maxMultiplier: number, onChange: (score: number) => void) {
    this.#ceiling = maxMultiplier - 1
    this.#onChange = onChange
  }

  get score(): number {
    return this.#score
  }

  adjust(delta: number): void {
    const next = Math.min(this.#ceiling, Math.max(0, this.#score + delta))
    if (next === this.#score) return
    this.#score = next
    this.#onChange(next)
  }

  /** An interval as long as our health demands. */
  scale(intervalMs: number): number {
    return intervalMs * (this.#score + 1)
  }
}
