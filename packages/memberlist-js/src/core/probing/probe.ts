import type { Clock, Timer } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { addressToBytes, bytesToAddress, type SocketAddress } from '../../socket-address.ts'
import type { Member } from '../../member.ts'
import { PROTOCOL_WITH_NACK, PROTOCOL_WITH_TCP_PING } from '../../rules/compatibility.ts'
import type { Message, Ping } from '../../wire/messages.ts'
import type { Awareness } from './awareness.ts'
import type { Messenger } from '../messaging/messenger.ts'
import type { PendingPings } from './pending-pings.ts'

export interface ProbeParts {
  readonly config: Config
  readonly clock: Clock
  readonly self: () => Member
  readonly messenger: Messenger
  readonly pings: PendingPings
  readonly awareness: Awareness
  /** Up to `count` alive members other than `target` and ourselves. */
  readonly helpers: (count: number, target: Member) => Member[]
  /** Pings over TCP; resolves to whether it was answered within `timeoutMs`. */
  readonly tcpPing: (target: Member, ping: Ping, timeoutMs: number) => Promise<boolean>
  /** The direct answer came. */
  readonly onRtt: (target: Member, rttMs: number, payload: Uint8Array) => void
  readonly count: (name: string) => void
}

/**
 * answered: alive. silent: suspect it. unclear: this process itself stood still, so silence proves
 * nothing.
 */
export type ProbeOutcome = 'answered' | 'silent' | 'unclear'

/** The ping that we send to `target`; answers go to where we are reached. */
export function pingFor(target: string, seqNo: number, self: Member): Ping {
  return {
    seqNo,
    node: target,
    sourceAddr: addressToBytes(self.address),
    sourcePort: self.port,
    sourceNode: self.name,
  }
}

/** One probe of one member: directly, then through others and over TCP, until the deadline. */
export class Probe {
  readonly #parts: ProbeParts
  readonly #target: Member
  readonly #onEnd: (outcome: ProbeOutcome) => void
  readonly #sent: number
  readonly #intervalMs: number
  readonly #sequence: number
  readonly #timers: Timer[] = []
  #nacksExpected = 0
  #nacks = 0
  #direct = true
  #tcpAnswered = false
  #ended = false

  /** Starts at once; `onEnd` is called once, unless cancelled. */
  constructor(parts: ProbeParts, target: Member, onEnd: (outcome: ProbeOutcome) => void) {
    const { clock, config, awareness, pings } = parts
    this.#parts = parts
    this.#target = target
    this.#onEnd = onEnd
    this.#sent = clock.now()
    this.#intervalMs = awareness.scale(config.probeIntervalMs)
    this.#sequence = pings.open({
      onAck: (payload, at) => this.#acked(payload, at),
      onNack: () => void this.#nacks++,
    })
    this.#timers.push(
      clock.setTimeout(() => this.#askOthers(), config.probeTimeoutMs),
      clock.setTimeout(() => this.#deadline(), this.#intervalMs),
    )
    this.#pingDirectly()
  }

  /** Ends without an outcome. */
  cancel(): void {
    this.#ended = true
    this.#parts.pings.forget(this.#sequence)
    for (const timer of this.#timers) this.#parts.clock.clearTimeout(timer)
  }

  /**
   * A suspect learns of the suspicion with the ping itself, so that it can refute at once (buddy
   * system).
   */
  #pingDirectly(): void {
    const { messenger, self } = this.#parts
    const target = this.#target
    const ping: Message = { type: 'ping', body: pingFor(target.name, this.#sequence, self()) }
    if (target.state === 'alive') return messenger.send(ping, target)
    const { name, incarnation } = target
    const body = { node: name, incarnation, from: self().name }
    messenger.sendExactly([ping, { type: 'suspect', body }], target, target)
  }

  #askOthers(): void {
    this.#direct = false
    const { config, messenger, helpers, self } = this.#parts
    const { name, address, port, versions } = this.#target
    const ping = pingFor(name, this.#sequence, self())
    for (const helper of helpers(config.indirectChecks, this.#target)) {
      const nack = helper.versions.protocolMax >= PROTOCOL_WITH_NACK
      if (nack) this.#nacksExpected++
      const body = { ...ping, target: addressToBytes(address), port, nack }
      messenger.send({ type: 'indirectPing', body }, helper)
    }
    if (config.tcpPings && versions.protocolMax >= PROTOCOL_WITH_TCP_PING) this.#askOverTcp(ping)
  }

  #askOverTcp(ping: Ping): void {
    const { clock, tcpPing } = this.#parts
    const left = this.#sent + this.#intervalMs - clock.now()
    if (left <= 0) return
    void tcpPing(this.#target, ping, left).then((answered) => {
      this.#tcpAnswered = answered
    })
  }

  #acked(payload: Uint8Array, receivedAt: number): void {
    if (this.#direct) this.#parts.onRtt(this.#target, receivedAt - this.#sent, payload)
    this.#end('answered', -1)
  }

  #deadline(): void {
    const { clock, config, count } = this.#parts
    const late = clock.now() - this.#sent - this.#intervalMs
    if (this.#tcpAnswered) {
      count('probe-only-tcp')
      this.#end('answered', -1)
    } else if (late > config.probeTimeoutMs) {
      count('probe-stalled')
      this.#end('unclear', 1)
    } else {
      const missing = this.#nacksExpected - this.#nacks
      this.#end('silent', this.#nacksExpected > 0 ? Math.max(0, missing) : 1)
    }
  }

  #end(outcome: ProbeOutcome, healthChange: number): void {
    if (this.#ended) return
    this.cancel()
    this.#parts.awareness.adjust(healthChange)
    this.#onEnd(outcome)
  }
}

/** Where the answer to a ping is wanted: the address in it, or else where it came from. */
export function replyAddress(
  body: { readonly sourceAddr: Uint8Array | null; readonly sourcePort: number },
  from: SocketAddress,
): SocketAddress {
  const address = body.sourceAddr === null ? undefined : bytesToAddress(body.sourceAddr)
  if (address === undefined || body.sourcePort === 0) return from
  return { address, port: body.sourcePort }
}
