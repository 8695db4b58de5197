import type { Stream } from './transport.ts'

/**
 * Carries a step to the other end: runs it there after the delay of the link, in order, or never.
 */
export type Pipe = (step: () => void) => void

/** One end of a stream inside the process. */
export class MemoryStream implements Stream {
  readonly #pipe: Pipe
  readonly #peer: () => MemoryStream
  readonly #received: Uint8Array[] = []
  #ended = false
  #peerEnded = false
  #broken: Error | undefined
  #wake: () => void = () => undefined

  private constructor(pipe: Pipe, peer: () => MemoryStream) {
    this.#pipe = pipe
    this.#peer = peer
  }

  /** Two ends; `there` carries from the first to the second, `back` the other way. */
  static pair(there: Pipe, back: Pipe): [MemoryStream, MemoryStream] {
    const near: MemoryStream = new MemoryStream(there, () => far)
    const far = new MemoryStream(back, () => near)
    return [near, far]
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#ended) throw new Error('write after end')
    const copy = Uint8Array.from(bytes)
    this.#pipe(() => this.#peer().#arrive(copy))
  }

  close(): void {
    if (this.#ended || this.#broken !== undefined) return
    this.#ended = true
    this.#pipe(() => this.#peer().#arriveEnd())
  }

  destroy(reason?: Error): void {
    if (this.#broken !== undefined || (this.#ended && this.#peerEnded)) return
    this.#break(reason ?? new Error('the connection was closed'))
    this.#pipe(() => this.#peer().#break(new Error('read ECONNRESET')))
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const chunk = this.#received.shift()
      if (chunk !== undefined) yield chunk
      else if (this.#peerEnded) return
      else if (this.#broken !== undefined) throw this.#broken
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #arrive(bytes: Uint8Array): void {
    this.#received.push(bytes)
    this.#wake()
  }

  #arriveEnd(): void {
    this.#peerEnded = true
    this.#wake()
  }

  #break(reason: Error): void {
    this.#broken ??= reason
    this.#wake()
  }
}
