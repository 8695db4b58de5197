import { sleep } from '../../../src/base/clock.ts'
import { below, type Random } from '../../../src/base/random.ts'
import type { Life } from './life.ts'
import type { PluginCalls, Reply } from './plugin-calls.ts'

/** A plugin's process as its engine knows it. */
export interface PluginSocket {
  readonly calls: PluginCalls
  readonly life: Life
}

/** A call that failed, with what the engine shows. */
export class CallError extends Error {
  override readonly name = 'CallError'
}

/** Before each repetition of a call that got no reply, ms. */
const retryDelaysMs = [1000, 2000, 4000, 8000]
/** A connection that breaks does so within this, ms. */
const maxBreakMs = 20

/** The engine's HTTP client: sends a call, and repeats it without its body when no reply comes. */
export class EngineClient {
  /** The share of calls whose connection breaks before their reply. */
  breakage = 0
  /** Calls that were answered, by method and outcome. */
  readonly counts = new Map<string, number>()
  readonly #life: Life
  readonly #random: Random
  readonly #socket: () => PluginSocket | null
  readonly #note: (line: string) => void

  constructor(
    life: Life,
    random: Random,
    socket: () => PluginSocket | null,
    note: (line: string) => void,
  ) {
    this.#life = life
    this.#random = random
    this.#socket = socket
    this.#note = note
  }

  /** The reply's body. Throws CallError. Never settles when the engine ends before. */
  async call(name: string, body: object): Promise<Reply['body']> {
    for (let attempt = 0; ; attempt++) {
      const reply = await this.#attempt(name, attempt === 0 ? body : null)
      if (!this.#life.isAlive) return new Promise(() => {})
      if (reply !== null) return this.#bodyOf(name, body, reply)
      const delayMs = retryDelaysMs[attempt]
      if (delayMs === undefined) throw new CallError(`${name}: no reply`)
      await sleep(this.#life, delayMs)
    }
  }

  #attempt(name: string, body: object | null): Promise<Reply | null> {
    const socket = this.#socket()
    if (socket === null) return Promise.resolve(null)
    const attempts: Promise<Reply | null>[] = [
      socket.calls.call(name, body),
      socket.life.ended.then(() => null),
    ]
    if (below(this.#random, 1000) / 1000 < this.breakage)
      attempts.push(sleep(this.#life, below(this.#random, maxBreakMs)).then(() => null))
    return Promise.race(attempts)
  }

  #bodyOf(name: string, body: object, { status, body: answer }: Reply): Reply['body'] {
    const short = name.slice(name.indexOf('.') + 1)
    const outcome = status === 200 ? 'ok' : 'failed'
    this.counts.set(`${short} ${outcome}`, (this.counts.get(`${short} ${outcome}`) ?? 0) + 1)
    if (status === 200) return answer
    this.#note(`${short} ${JSON.stringify(body).slice(0, 150)}: ${String(answer['Err'])}`)
    throw new CallError(`${name}: ${String(answer['Err'])}`)
  }
}
