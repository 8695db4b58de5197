import type { Random } from '../../ports/random.ts'

/** Who waits for the answer to a ping. */
export interface PingWaiter {
  /** An answer came, directly or through another member. Called once at most. */
  onAck(payload: Uint8Array, receivedAt: number): void
  /** A member that was asked to ping in our place says that it got no answer. */
  onNack(): void
}

/** The pings that are in flight, by sequence number. Answers to unknown numbers are ignored. */
export class PendingPings {
  readonly #waiting = new Map<number, PingWaiter>()
  #sequence: number

  /** Numbers start anywhere, so that answers from an earlier life are not mistaken for new ones. */
  constructor(random: Random) {
    this.#sequence = random.uint32()
  }

  /** Takes a new number for a ping. */
  open(waiter: PingWaiter): number {
    this.#sequence = (this.#sequence + 1) >>> 0
    this.#waiting.set(this.#sequence, waiter)
    return this.#sequence
  }

  /** Waits for this one no more. */
  forget(sequence: number): void {
    this.#waiting.delete(sequence)
  }

  /** Returns whether anybody waited. */
  ack(sequence: number, payload: Uint8Array, receivedAt: number): boolean {
    const waiter = this.#waiting.get(sequence)
    if (waiter === undefined) return false
    this.#waiting.delete(sequence)
    waiter.onAck(payload, receivedAt)
    return true
  }

  /** Returns whether anybody waited. */
  nack(sequence: number): boolean {
    const waiter = this.#waiting.get(sequence)
    waiter?.onNack()
    return waiter !== undefined
  }

  /** Waits for none any more. */
  close(): void {
    this.#waiting.clear()
  }
}
