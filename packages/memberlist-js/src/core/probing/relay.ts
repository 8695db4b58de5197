import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { bytesToAddress, type SocketAddress } from '../../socket-address.ts'
import { MAX_RELAYS } from '../../limits.ts'
import type { Member } from '../../member.ts'
import type { IndirectPing } from '../../wire/messages.ts'
import type { Messenger } from '../messaging/messenger.ts'
import type { PendingPings } from './pending-pings.ts'
import { pingFor, replyAddress } from './probe.ts'

/**
 * When to admit that there is no answer, as a part of the probe time-out. Go waits for all of it,
 * so that the nack arrives after the prober's deadline; the Lifeguard paper has 80 %.
 */
const NACK_AFTER = 0.8

export interface RelayParts {
  readonly config: Config
  readonly clock: Clock
  readonly self: () => Member
  readonly messenger: Messenger
  readonly pings: PendingPings
  readonly count: (name: string) => void
}

/** Pings in the place of others, who got no answer themselves. */
export class Relay {
  readonly #parts: RelayParts
  readonly #pending = new Set<() => void>()

  constructor(parts: RelayParts) {
    this.#parts = parts
  }

  /** Serves one request that came from `from`. */
  serve(request: Readonly<IndirectPing>, from: SocketAddress): void {
    const { config, clock, self, messenger, pings, count } = this.#parts
    const address = request.target === null ? undefined : bytesToAddress(request.target)
    if (address === undefined) return count('relay-malformed')
    if (this.#pending.size >= MAX_RELAYS) return count('relay-overload')
    const requester = replyAddress(request, from)
    const { seqNo } = request

    const stop = () => {
      pings.forget(sequence)
      clock.clearTimeout(nackTimer)
      clock.clearTimeout(endTimer)
      this.#pending.delete(stop)
    }
    const sequence = pings.open({
      onAck: () => {
        stop()
        messenger.send({ type: 'ack', body: { seqNo, payload: null } }, requester)
      },
      onNack: () => undefined,
    })
    const nackTimer = clock.setTimeout(() => {
      if (request.nack) messenger.send({ type: 'nack', body: { seqNo } }, requester)
    }, NACK_AFTER * config.probeTimeoutMs)
    const endTimer = clock.setTimeout(stop, config.probeTimeoutMs)
    this.#pending.add(stop)

    const target = { address, port: request.port === 0 ? self().port : request.port }
    messenger.send({ type: 'ping', body: pingFor(request.node, sequence, self()) }, target)
  }

  /** Gives up all that is in flight. */
  close(): void {
    for (const stop of this.#pending) stop()
  }
}
