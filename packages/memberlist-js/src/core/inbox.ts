import type { Delegate } from '../delegate.ts'
import { bytesToAddress, type Endpoint } from '../endpoint.ts'
import type { Message, Ping } from '../wire/messages.ts'
import type { Membership } from './membership.ts'
import type { Messenger } from './messenger.ts'
import type { PendingPings } from './pending-pings.ts'
import { replyEndpoint } from './probe.ts'
import type { Relay } from './relay.ts'

const EMPTY = new Uint8Array()

export interface InboxParts {
  readonly name: string
  readonly membership: Membership
  readonly messenger: Messenger
  readonly pings: PendingPings
  readonly relay: Relay
  readonly delegate: Delegate
  readonly onUserMessage: (payload: Uint8Array, from: Endpoint) => void
  readonly count: (name: string) => void
}

/** Takes packets apart and hands each message to whom it concerns. */
export class Inbox {
  readonly #parts: InboxParts

  constructor(parts: InboxParts) {
    this.#parts = parts
  }

  receive(packet: Uint8Array, from: Endpoint, receivedAt: number): void {
    this.#parts.messenger.receive(packet, (message) => this.#route(message, from, receivedAt))
  }

  #route(message: Message, from: Endpoint, receivedAt: number): void {
    const { membership, pings, relay, count, onUserMessage } = this.#parts
    switch (message.type) {
      case 'ping':
        return this.#answer(message.body, from)
      case 'indirectPing':
        return relay.serve(message.body, from)
      case 'ack': {
        const { seqNo, payload } = message.body
        return pings.ack(seqNo, payload ?? EMPTY, receivedAt) ? undefined : count('ack-unknown')
      }
      case 'nack':
        return pings.nack(message.body.seqNo) ? undefined : count('nack-unknown')
      case 'alive':
        return membership.heardAlive(message.body)
      case 'suspect':
        return membership.heardSuspect({ ...message.body, name: message.body.node })
      case 'dead':
        return membership.heardDead({ ...message.body, name: message.body.node })
      case 'user':
        return onUserMessage(message.body, from)
      case 'error':
        return count('packet-unknown-type')
    }
  }

  #answer(ping: Readonly<Ping>, from: Endpoint): void {
    const { name, messenger, delegate, count } = this.#parts
    if (ping.node !== '' && ping.node !== name) return count('ping-for-another')
    const payload = delegate.ackPayload?.() ?? null
    const reply = replyEndpoint(ping, from, bytesToAddress)
    messenger.send({ type: 'ack', body: { seqNo: ping.seqNo, payload } }, reply)
  }
}
