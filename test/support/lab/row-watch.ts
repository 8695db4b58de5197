/**
 * An observer while containers come and go: at each look it asks the engines what runs and reads
 * the kernels' tables, nothing else. What is wrong at one look may be on its way; what is wrong at
 * all looks of a while is a violation.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { scaled } from '../time.ts'
import type { Host } from './host.ts'
import type { Placed } from './containers.ts'
import {
  type Watched,
  allContainers,
  onlyPin,
  rowDifferences,
  rowsAt,
  rowsWanted,
} from './tables.ts'

const pauseMs = 100

export class RowWatch {
  readonly #hosts: readonly Host[]
  readonly #watched: Watched
  readonly #toleranceMs: number
  /** When each thing that is wrong at present was first seen. */
  #wrongSince = new Map<string, number>()
  readonly #violations = new Set<string>()
  #looks = 0
  #longestMs = 0

  constructor(hosts: readonly Host[], watched: Watched, toleranceMs: number) {
    this.#hosts = hosts
    this.#watched = watched
    this.#toleranceMs = scaled(toleranceMs)
  }

  /** Looks again and again until told to stop. Each host must have a container all the while. */
  async run(isOver: () => boolean): Promise<void> {
    const pins = await Promise.all(this.#hosts.map(onlyPin))
    while (!isOver()) {
      await this.#look(pins)
      await sleep(pauseMs)
    }
  }

  get looks(): number {
    return this.#looks
  }

  /**
   * The longest time for which one row was wrong or missing, or an address had by two, as far as
   * looks can tell, ms.
   */
  get longestMs(): number {
    return Math.round(this.#longestMs)
  }

  get violations(): readonly string[] {
    return [...this.#violations]
  }

  async #look(pins: readonly string[]): Promise<void> {
    const now = performance.now()
    // Tables between two questions to the engines: what is right by either was right at some moment
    // between.
    const before = await allContainers(this.#hosts, this.#watched.network)
    const tables = await Promise.all(this.#hosts.map((on, i) => rowsAt(on, pins[i]!)))
    const after = await allContainers(this.#hosts, this.#watched.network)
    const wrong = new Set([
      ...this.#hosts.flatMap((on, i) => {
        const wanted = [before, after].map((all) => rowsWanted(on, all, this.#watched))
        const [first, second] = wanted.map((rows) => rowDifferences(on, tables[i]!, rows))
        return first!.filter((line) => second!.includes(line))
      }),
      ...doubles(before, after),
    ])
    const since = new Map<string, number>()
    for (const line of wrong) {
      const began = this.#wrongSince.get(line) ?? now
      since.set(line, began)
      this.#longestMs = Math.max(this.#longestMs, now - began)
      if (now - began > this.#toleranceMs) this.#violations.add(line)
    }
    this.#wrongSince = since
    this.#looks++
  }
}

/**
 * Addresses that the same two containers have at both times: not one that moves from one to the
 * other.
 */
function doubles(before: readonly Placed[], after: readonly Placed[]): string[] {
  const pairsOf = (all: readonly Placed[]): string[] =>
    all.flatMap((one) =>
      all
        .filter((other) => other.ip === one.ip && other.id > one.id)
        .map((other) => `two containers have ${one.ip}: ${one.id} and ${other.id}`),
    )
  const later = new Set(pairsOf(after))
  return pairsOf(before).filter((line) => later.has(line))
}
