/**
 * One queue per key: tasks of the same key run one after another in the order they came, tasks of
 * different keys run side by side. With the network's id as key it is the one lock a network has.
 */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Runs `task` after all earlier tasks of `key`, and settles as it does. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(task, task)
    const tail: Promise<void> = result.then(
      () => this.#forget(key, tail),
      () => this.#forget(key, tail),
    )
    this.#tails.set(key, tail)
    return result
  }

  /** Keys that have a task running or waiting. */
  get size(): number {
    return this.#tails.size
  }

  /** Resolves when everything that is queued now has settled. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values())
  }

  #forget(key: string, tail: Promise<unknown>): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key)
  }
}
