import type { EventEmitter } from 'node:events'
import type { MemberlistEvent, MemberlistEvents } from './events.ts'
import { MAX_BUFFERED_EVENTS } from './limits.ts'
import type { Member } from './member.ts'

type Result = IteratorResult<MemberlistEvent, undefined>

const DONE: Result = { done: true, value: undefined }

/**
 * The events of a list as an async iterator. Those who are present come first, as joins, however
 * many; of what happens after that a bounded number waits for a slow reader.
 */
export class EventStream implements AsyncIterableIterator<MemberlistEvent, undefined> {
  readonly #present: Member[]
  readonly #siblings: Set<EventStream>
  readonly #signal: AbortSignal | undefined
  readonly #unsubscribe: () => void
  readonly #abort = () => this.#drop()
  /** Oldest first. Empty while somebody waits. */
  readonly #buffer: MemberlistEvent[] = []
  readonly #waiting: ((result: Result) => void)[] = []
  #dropped = 0
  #ended = false

  /** Adds itself to `siblings` until it ends. */
  constructor(
    list: EventEmitter<MemberlistEvents>,
    present: readonly Member[],
    siblings: Set<EventStream>,
    signal?: AbortSignal,
  ) {
    this.#present = present.toReversed()
    this.#siblings = siblings.add(this)
    this.#signal = signal
    this.#unsubscribe = subscribe(list, (event) => this.#push(event))
    signal?.addEventListener('abort', this.#abort, { once: true })
    if (signal?.aborted === true) this.#drop()
  }

  /** Nothing more will happen: the reader still gets what waits for it, and then the end. */
  end(): void {
    this.#ended = true
    this.#siblings.delete(this)
    this.#unsubscribe()
    this.#signal?.removeEventListener('abort', this.#abort)
    for (const resolve of this.#waiting.splice(0)) resolve(DONE)
  }

  async next(): Promise<Result> {
    const value = this.#take()
    if (value !== undefined) return { done: false, value }
    if (this.#ended) return DONE
    return await new Promise((resolve) => this.#waiting.push(resolve))
  }

  async return(): Promise<Result> {
    this.#drop()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #push(event: MemberlistEvent): void {
    const resolve = this.#waiting.shift()
    if (resolve !== undefined) return resolve({ done: false, value: event })
    this.#buffer.push(event)
    if (this.#buffer.length <= MAX_BUFFERED_EVENTS) return
    this.#buffer.shift()
    this.#dropped++
  }

  #take(): MemberlistEvent | undefined {
    const member = this.#present.pop()
    if (member !== undefined) return { type: 'join', member }
    if (this.#dropped === 0) return this.#buffer.shift()
    const lagged: MemberlistEvent = { type: 'lagged', dropped: this.#dropped }
    this.#dropped = 0
    return lagged
  }

  /** The reader wants no more. */
  #drop(): void {
    this.#present.length = 0
    this.#buffer.length = 0
    this.#dropped = 0
    this.end()
  }
}

function subscribe(
  list: EventEmitter<MemberlistEvents>,
  push: (event: MemberlistEvent) => void,
): () => void {
  const join = (member: Member) => push({ type: 'join', member })
  const suspect = (member: Member) => push({ type: 'suspect', member })
  const refuted = (member: Member) => push({ type: 'refuted', member })
  const update = (member: Member, previous: Member) => push({ type: 'update', member, previous })
  const leave = (member: Member, how: 'left' | 'failed') => push({ type: 'leave', member, how })
  list.on('join', join).on('suspect', suspect).on('refuted', refuted)
  list.on('update', update).on('leave', leave)
  return () => {
    list.off('join', join).off('suspect', suspect).off('refuted', refuted)
    list.off('update', update).off('leave', leave)
  }
}
