import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { MemberlistError } from '../../errors.ts'
import { MAX_USER_PINGS } from '../../limits.ts'
import type { Member } from '../../member.ts'
import type { Messenger } from '../messaging/messenger.ts'
import type { PendingPings } from './pending-pings.ts'
import { pingFor } from './probe.ts'

export interface UserPingsParts {
  readonly config: Config
  readonly clock: Clock
  readonly self: () => Member
  readonly messenger: Messenger
  readonly pings: PendingPings
}

/** Direct pings that the application asks for. They judge nobody. */
export class UserPings {
  readonly #parts: UserPingsParts
  /** Breaks off each that is in flight. */
  readonly #pending = new Set<(reason: Error) => void>()

  constructor(parts: UserPingsParts) {
    this.#parts = parts
  }

  /** The round trip in ms. Rejects with `timed-out`, `overloaded`, or the reason of `signal`. */
  async ping(target: Member, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    const { clock, config, pings, messenger, self } = this.#parts
    if (this.#pending.size >= MAX_USER_PINGS) {
      const message = `${MAX_USER_PINGS} pings wait for an answer: send fewer at once`
      throw new MemberlistError('overloaded', message)
    }
    const sent = clock.now()
    return await new Promise<number>((resolve, reject) => {
      const stop = () => {
        clock.clearTimeout(timer)
        pings.forget(sequence)
        this.#pending.delete(fail)
        signal?.removeEventListener('abort', abort)
      }
      const fail = (reason: Error) => {
        stop()
        reject(reason)
      }
      const abort = () => fail(signal!.reason as Error)
      const sequence = pings.open({
        onAck: (_payload, at) => {
          stop()
          resolve(at - sent)
        },
        onNack: () => undefined,
      })
      const timer = clock.setTimeout(() => {
        const message = `${target.name} did not answer within ${config.probeTimeoutMs} ms`
        fail(new MemberlistError('timed-out', message))
      }, config.probeTimeoutMs)
      this.#pending.add(fail)
      signal?.addEventListener('abort', abort, { once: true })
      messenger.send({ type: 'ping', body: pingFor(target.name, sequence, self()) }, target)
    })
  }

  /** Breaks off all that are in flight. */
  close(): void {
    const reason = new MemberlistError('not-running', 'the member list was closed')
    for (const fail of this.#pending) fail(reason)
  }
}
