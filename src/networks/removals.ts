import type { Clock } from '../base/clock.ts'
import { Timeout } from '../base/timers.ts'
import type { Generation, NetworkClaim } from './claim.ts'

/** So long after the last removal it is known whether it was a prune: its event comes last, ms. */
const settleMs = 2000
/** A network is put back at most this often, or a script that removes it and we would not end. */
const putBackMs = 10_000

/** How a network went: not known yet, by `docker network rm`, or by a prune. */
export type Removal = 'recent' | 'removed' | 'pruned'

/** Networks of the engine that went without our doing. */
export class Removals {
  readonly #clock: Clock
  readonly #settled: Timeout
  readonly #byName = new Map<string, Removal>()
  /** Of the claim that held when it went. */
  readonly #generations = new Map<string, Generation>()
  /** When a network of that name was put back, on our clock, ms. */
  readonly #putBack = new Map<string, number>()
  #isPrune = false

  constructor(clock: Clock, onSettled: () => void) {
    this.#clock = clock
    this.#settled = new Timeout(clock, () => {
      for (const [name, removal] of this.#byName)
        if (removal === 'recent') this.#byName.set(name, this.#isPrune ? 'pruned' : 'removed')
      this.#isPrune = false
      onSettled()
    })
  }

  get byName(): ReadonlyMap<string, Removal> {
    return this.#byName
  }

  /** The network went that this generation of its name's claim describes. */
  removed(name: string, generation: Generation): void {
    this.#byName.set(name, 'recent')
    this.#generations.set(name, generation)
    this.#settled.set(settleMs)
  }

  pruned(): void {
    if (this.#settled.isPending) this.#isPrune = true
  }

  /** A removal is over when another claim holds: of a removal elsewhere, or of a new network. */
  keepOnly(claims: ReadonlyMap<string, NetworkClaim>): void {
    for (const name of this.#byName.keys()) {
      const { counter, member } = this.#generations.get(name)!
      const holding = claims.get(name)?.generation
      if (holding?.counter !== counter || holding.member !== member) this.forget(name)
    }
  }

  /** The network is there again, or its removal is published. */
  forget(name: string): void {
    this.#byName.delete(name)
    this.#generations.delete(name)
  }

  /** Whether it may be put back now; notes that it was. */
  mayPutBack(name: string): boolean {
    const now = this.#clock.now()
    for (const [other, at] of this.#putBack) if (now - at >= putBackMs) this.#putBack.delete(other)
    if (this.#putBack.has(name)) return false
    this.#putBack.set(name, now)
    return true
  }

  stop(): void {
    this.#settled.stop()
  }
}
