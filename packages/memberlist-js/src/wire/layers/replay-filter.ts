import { MAX_REMEMBERED_NONCES } from '../../limits.ts'

/**
 * Remembers the nonces of encrypted messages that were opened, so that a second copy is known as
 * one. Senders never use a nonce twice with one key: whatever comes again was doubled by the
 * network, which makes dropping it harmless, or recorded and sent again by somebody.
 *
 * It knows the last MAX_REMEMBERED_NONCES messages at least, twice as many at most: when the young
 * half is full it becomes the old one. It cannot know what is older, what came before this process
 * started, or what was recorded on its way to another member; there is no time and no receiver in
 * the protocol. Nor does it see anything in clear text.
 */
export class ReplayFilter {
  #young = new Set<string>()
  #old = new Set<string>()

  /** Whether a message with this nonce was opened before. */
  has(nonce: Uint8Array): boolean {
    const text = toText(nonce)
    return this.#young.has(text) || this.#old.has(text)
  }

  /** To be called only for what a key has opened: nobody without one may fill the memory. */
  add(nonce: Uint8Array): void {
    this.#young.add(toText(nonce))
    if (this.#young.size < MAX_REMEMBERED_NONCES) return
    this.#old = this.#young
    this.#young = new Set()
  }
}

/**
 * All bytes count: some senders count their nonces instead of drawing them. One character each, for
 * compactness.
 */
function toText(nonce: Uint8Array): string {
  return Buffer.from(nonce.buffer, nonce.byteOffset, nonce.length).toString('latin1')
}
