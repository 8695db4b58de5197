/**
 * RFC 6479: a ring of words, one more than the window needs, so that it moves on by whole words.
 */
const ringWords = 32
const wordBits = 32
const windowBits = (ringWords - 1) * wordBits

/** Which of a sender's counters were seen: each is taken once, in any order within the last 992. */
export class ReplayWindow {
  readonly #words = new Uint32Array(ringWords)
  #highest: number

  /** All counters up to `seen` count as seen. */
  constructor(seen: number) {
    this.#highest = seen
    this.#words.fill(0xffffffff)
    // Above `seen` nothing was seen yet; the rest of the ring is cleared as the window moves on.
    const word = Math.floor(seen / wordBits) % ringWords
    const above = (seen % wordBits) + 1
    this.#words[word] = above === wordBits ? 0xffffffff : (1 << above) - 1
  }

  /** Whether the counter is too old to tell if it was seen. */
  isPast(counter: number): boolean {
    return counter + windowBits <= this.#highest
  }

  /** Marks the counter; false when it was seen before, or is too old to tell. */
  take(counter: number): boolean {
    if (this.isPast(counter)) return false
    const index = Math.floor(counter / wordBits)
    const highest = Math.floor(this.#highest / wordBits)
    const cleared = Math.min(index - highest, ringWords)
    for (let i = 1; i <= cleared; i++) this.#words[(highest + i) % ringWords] = 0
    this.#highest = Math.max(this.#highest, counter)
    const bit = 1 << (counter % wordBits)
    const word = index % ringWords
    if ((this.#words[word]! & bit) !== 0) return false
    this.#words[word]! |= bit
    return true
  }
}
