import {
  isPresent,
  Memberlist,
  MemoryNetwork,
  seededRandom,
  VirtualClock,
  type SocketAddress,
  type LinkConditions,
  type MemberlistOptions,
  type MemberState,
} from 'memberlist-js'
import { StoppableClock } from './stoppable-clock.ts'

/** What a test may choose for each member. */
export type MemberOptions = Partial<Omit<MemberlistOptions, 'clock' | 'random'>>

/** Members on one in-memory network in virtual time; repeatable for a seed. */
export class Cluster implements AsyncDisposable {
  readonly #clocks: StoppableClock[] = []
  readonly clock = new VirtualClock()
  readonly random
  readonly network: MemoryNetwork
  readonly lists: Memberlist[] = []

  constructor(seed: number, conditions: Partial<LinkConditions> = {}) {
    this.random = seededRandom(seed)
    this.network = new MemoryNetwork({
      clock: this.clock,
      random: this.random,
      conditions,
      onStreamProgress: () => this.clock.settle(),
    })
  }

  /** Starts one more member: `m0` at 10.0.0.1, `m1` at 10.0.0.2, and so on. */
  add(options: MemberOptions = {}): Memberlist {
    const { random } = this
    const clock = new StoppableClock(this.clock)
    const index = this.lists.length
    const transport = options.transport ?? this.network.transport(endpointOf(index))
    const list = new Memberlist({ name: `m${index}`, ...options, transport, clock, random })
    list.start()
    this.lists.push(list)
    this.#clocks.push(clock)
    return list
  }

  /** Stops a member as SIGSTOP does: it neither hears nor acts, while time goes on. */
  stop(index: number): void {
    this.network.freeze(endpointOf(index))
    this.#clocks[index]!.stop()
  }

  /**
   * Lets a stopped member go on: overdue timers fire first, then what has arrived meanwhile is
   * read.
   */
  resume(index: number): void {
    this.#clocks[index]!.resume()
    this.network.thaw(endpointOf(index))
  }

  /** Starts `count` members that all join the first, and waits until each sees all. */
  async assemble(count: number, options: MemberOptions = {}): Promise<readonly Memberlist[]> {
    for (let i = 0; i < count; i++) this.add(options)
    await this.run(this.joinFirst())
    const whole = await this.until(() => this.lists.every((list) => list.numberOfMembers === count))
    if (!whole) throw new Error('the cluster does not come together')
    return this.lists
  }

  /** All others join the first. */
  async joinFirst(): Promise<void> {
    const seed = this.lists[0]!.local
    await Promise.all(this.lists.slice(1).map(async (list) => await list.join([seed.address])))
  }

  /** Lets time pass until the promise is settled. */
  async run<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    const state = { settled: false }
    const mark = () => void (state.settled = true)
    promise.then(mark, mark)
    for (let waited = 0; !state.settled && waited < withinMs; waited += 10) {
      await this.clock.advance(10)
    }
    if (!state.settled) throw new Error(`nothing happened within ${withinMs} ms`)
    return await promise
  }

  /** Lets time pass until `done()` holds; returns whether it came to hold. */
  async until(done: () => boolean, withinMs = 60_000): Promise<boolean> {
    return await this.clock.advanceUntil(done, withinMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const list of this.lists) await list.close()
  }
}

/** Where member `index` lives. */
export function endpointOf(index: number): SocketAddress {
  const place = index + 1
  return { address: `10.${place >> 16}.${(place >> 8) & 255}.${place & 255}`, port: 7946 }
}

/** How `list` sees the member called `name`. */
export function stateOf(list: Memberlist, name: string): MemberState | undefined {
  return list.members.get(name)?.state
}

/** The names of those that `list` holds for present, sorted. */
export function present(list: Memberlist): string[] {
  return [...list.members.values()]
    .filter(isPresent)
    .map(({ name }) => name)
    .sort()
}

/** The events of a list as lines such as `join m1`, `leave m2 failed`. */
export function record(list: Memberlist): string[] {
  const lines: string[] = []
  for (const type of ['join', 'suspect', 'refuted'] as const) {
    list.on(type, ({ name }) => lines.push(`${type} ${name}`))
  }
  list.on('update', ({ name }) => lines.push(`update ${name}`))
  list.on('leave', ({ name }, how) => lines.push(`leave ${name} ${how}`))
  list.on('conflict', ({ name }) => lines.push(`conflict ${name}`))
  return lines
}

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (data: Uint8Array): string => Buffer.from(data).toString()
