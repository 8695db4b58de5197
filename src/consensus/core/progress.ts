import { type Snapshot, limits } from './types.ts'

/** How far one follower is, as its leader knows (thesis 3.5, 10.2.1; etcd's Progress). */
export class Progress {
  /** Agrees with our log up to here. */
  match = 0
  /** The next entry to send. */
  next: number
  /**
   * `probe`: looks for where the logs agree, one message a heartbeat. `replicate`: sends ahead of
   * the answers. `snapshot`: needs entries that are compacted.
   */
  mode: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Answered since the leader last counted (check-quorum, thesis 6.2). */
  isActive = true
  /** The latest round of messages that it answered. */
  round = 0
  /** The newest command version it can apply; 0 while unknown. */
  knows = 0
  /** While probing: a message is under way. */
  isWaiting = false
  /** Times in a row that it lacked an entry that it had acknowledged. */
  #lapses = 0
  /** Last index of each message under way, oldest first. */
  readonly #inflight: number[] = []
  /** The snapshot under way, and how much of it has arrived. */
  sending: { snapshot: Snapshot; offset: number } | null = null

  constructor(next: number) {
    this.next = next
  }

  /**
   * It lacks what it had: its disk was restored from an old copy. A late message is no such sign.
   */
  get isLapsed(): boolean {
    return this.#lapses >= limits.maxLapses
  }

  get isPaused(): boolean {
    if (this.mode === 'probe') return this.isWaiting
    return this.mode === 'snapshot' || this.#inflight.length >= limits.maxInflight
  }

  /** A message with entries up to `last` leaves. */
  sent(last: number): void {
    if (this.mode === 'probe') this.isWaiting = true
    else {
      this.#inflight.push(last)
      this.next = last + 1
    }
  }

  /** It agrees up to `match`. Returns whether it is further than before. */
  agreed(match: number): boolean {
    this.#lapses = 0
    const isFurther = match > this.match
    this.match = Math.max(this.match, match)
    this.next = Math.max(this.next, match + 1)
    while (this.#inflight[0] !== undefined && this.#inflight[0] <= match) this.#inflight.shift()
    if (this.mode === 'probe' || (this.mode === 'snapshot' && this.#isThere()))
      this.become('replicate')
    return isFurther
  }

  /**
   * It has no such entry at `rejected`, and may agree at `hint` at the latest. Returns whether to
   * send again.
   */
  disagreed(rejected: number, hint: number): boolean {
    if (this.mode === 'snapshot') return false
    if (rejected <= this.match) {
      this.#lapses++
      return false
    }
    if (this.mode === 'probe' && rejected !== this.next - 1) return false
    this.become('probe')
    this.next = Math.max(this.match + 1, Math.min(rejected, hint + 1))
    return true
  }

  become(mode: 'probe' | 'replicate' | 'snapshot'): void {
    this.mode = mode
    this.isWaiting = false
    this.#inflight.length = 0
    if (mode !== 'snapshot') this.sending = null
    if (mode === 'probe') this.next = this.match + 1
  }

  #isThere(): boolean {
    return this.sending === null || this.match >= this.sending.snapshot.index
  }
}
