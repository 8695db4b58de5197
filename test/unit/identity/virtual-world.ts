import { MemoryNetwork, VirtualClock, seededRandom } from 'memberlist-js'
import type { Clock } from '../../../src/base/clock.ts'
import { startMs } from './people.ts'

/** Virtual time and a network in it, for work that waits for either. */
export class VirtualWorld {
  readonly #virtual = new VirtualClock()
  readonly network: MemoryNetwork

  constructor() {
    const clock = this.#virtual
    const onStreamProgress = (): void => clock.settle()
    this.network = new MemoryNetwork({ clock, random: seededRandom(1), onStreamProgress })
  }

  /** How far all wall clocks have jumped, ms. */
  jumpMs = 0

  /** The clock of a host whose wall clock is so far off, in milliseconds. */
  clock(wallOffsetMs = 0): Clock {
    const virtual = this.#virtual
    return {
      now: () => virtual.now(),
      wall: () => startMs + virtual.now() + wallOffsetMs + this.jumpMs,
      setTimeout: (fn, ms) => virtual.setTimeout(fn, ms),
      clearTimeout: (timer) => virtual.clearTimeout(timer),
    }
  }

  at(host: number, port = 7946) {
    return this.network.transport({ address: `10.0.0.${host}`, port })
  }

  advance(ms: number): Promise<void> {
    return this.#virtual.advance(ms)
  }

  /** Lets time pass until the work has settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    const state = { isOver: false }
    const over = work.finally(() => (state.isOver = true))
    over.catch(() => {})
    while (!state.isOver) await this.#virtual.advance(5)
    return over
  }
}
