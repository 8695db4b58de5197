import type { Config } from '../../config.ts'
import type { Delegate } from '../../delegate.ts'
import { MAX_USER_BROADCASTS } from '../../limits.ts'
import { COMPOUND_PART_OVERHEAD } from '../../wire/layers/compound.ts'
import { encodeMessage } from '../../wire/messages.ts'
import { attempt } from '../guarded-delegate.ts'
import { BroadcastQueue } from './broadcast-queue.ts'

/** The type byte before a user payload. */
export const USER_TYPE_BYTES = 1

/**
 * What waits to be told to everybody: news of members first, then user broadcasts, then what the
 * delegate has.
 */
export class Outbox {
  /** Bounded by the number of members: a member has one piece of news at a time. */
  readonly members: BroadcastQueue
  readonly users: BroadcastQueue
  readonly #delegate: Delegate

  constructor({ retransmitMult }: Config, delegate: Delegate, size: () => number) {
    this.#delegate = delegate
    this.members = new BroadcastQueue(retransmitMult, size)
    this.users = new BroadcastQueue(retransmitMult, size, MAX_USER_BROADCASTS)
  }

  /** Queues a user broadcast; one with the same key replaces it. */
  addUser(payload: Uint8Array, key: string | undefined, onFinished: () => void): void {
    const message = encodeMessage({ type: 'user', body: payload })
    this.users.add({ message, name: key, onFinished })
  }

  /**
   * Up to `count` messages for one packet, which together with `overhead` each fit into `limit`
   * bytes.
   */
  take(limit: number, count: number): Uint8Array[] {
    const parts = this.members.take(COMPOUND_PART_OVERHEAD, limit, count)
    const left = () =>
      limit - parts.reduce((sum, part) => sum + part.length + COMPOUND_PART_OVERHEAD, 0)
    parts.push(...this.users.take(COMPOUND_PART_OVERHEAD, left(), count - parts.length))
    parts.push(...this.#drain(left()))
    return parts
  }

  /** Drops everything; those who wait for it are told. */
  clear(): void {
    this.members.clear()
    this.users.clear()
  }

  #drain(limit: number): Uint8Array[] {
    const overhead = COMPOUND_PART_OVERHEAD + USER_TYPE_BYTES
    if (this.#delegate.drain === undefined || limit <= overhead) return []
    const payloads = this.#delegate.drain(overhead, limit)
    const used = payloads.reduce((sum, payload) => sum + payload.length + overhead, 0)
    if (used > limit) {
      const error = new RangeError(`drain() returned ${used} bytes where ${limit} were allowed`)
      return attempt(() => {
        throw error
      }, [])
    }
    return payloads.map((body) => encodeMessage({ type: 'user', body }))
  }
}
