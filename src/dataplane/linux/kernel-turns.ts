import { setImmediate as nextTurn } from 'node:timers/promises'
import { KeyedQueue } from '../../base/keyed-queue.ts'

/**
 * The order of work on the kernel. Most of it is done within a turn of the event loop, one piece a
 * turn. Removing links is not: the kernel holds RTNL, its lock on links, for 16 to 60 ms, and
 * whatever needs that lock waits as well. So a removal runs in another thread, alone: work that
 * comes meanwhile waits without blocking the loop, and goes before the next removal.
 *
 * Work must not wait for other work that it gives to the same turns.
 */
export class KernelTurns {
  readonly #queue = new KeyedQueue()
  readonly #running = new Set<Promise<unknown>>()

  /** Runs work that does not block for long. All that it awaits may overlap with other work. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      void this.#queue.run('starts', async () => {
        const running = this.#start(work)
        running.then(resolve, reject)
        await nextTurn()
      })
    })
  }

  /** Runs work during which nothing else may need the kernel's lock on links. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run('alone', () =>
      this.#queue.run('starts', async () => {
        await Promise.allSettled(this.#running)
        return work()
      }),
    )
  }

  #start<T>(work: () => T | Promise<T>): Promise<T> {
    const running = (async (): Promise<T> => work())()
    this.#running.add(running)
    const end = (): void => void this.#running.delete(running)
    running.then(end, end)
    return running
  }
}
