import { type Figures, figuresLine, figuresOf } from './figures.ts'
import { replayOf } from './seeds.ts'

/** One thing that is measured in many worlds, in milliseconds of virtual time. */
export class Measure {
  readonly #file: string
  readonly #what: string
  readonly #samples: { seed: number; ms: number }[] = []

  constructor(file: string, what: string) {
    this.#file = file
    this.#what = what
  }

  /** One sample, of the world with that seed. */
  add(seed: number, ms: number): void {
    this.#samples.push({ seed, ms })
  }

  /**
   * Prints the figures; throws when one is above its limit, with the command that replays the
   * slowest world.
   */
  check(limits: Partial<Figures>): void {
    const [slowest] = this.#samples.toSorted((a, b) => b.ms - a.ms)
    if (slowest === undefined) throw new Error(`${this.#what}: nothing was measured`)
    const figures = figuresOf(this.#samples.map(({ ms }) => ms))
    process.stdout.write(`    ${figuresLine(this.#what, figures)}\n`)
    for (const name of ['median', 'p90', 'p99', 'most'] as const) {
      const limit = limits[name]
      if (limit === undefined || figures[name] <= limit) continue
      const over = `${name} ${figures[name]} ms; ${limit} is the limit, ${Math.round(slowest.ms)} the slowest`
      throw new Error(`${this.#what}: ${over}\nreplay: ${replayOf(this.#file, slowest.seed)}`)
    }
  }
}
