import type { Delegate } from '../delegate.ts'
import type { SocketAddress } from '../socket-address.ts'
import type { Accusation, Message, Ping } from '../wire/messages.ts'
import type { Membership } from './membership/membership.ts'
import type { Messenger } from './messaging/messenger.ts'
import type { PendingPings } from './probing/pending-pings.ts'
import { replyAddress } from './probing/probe.ts'
import type { Relay } from './probing/relay.ts'
import type { Reprober } from './joining/reprober.ts'
import type { Roster } from './membership/roster.ts'

const EMPTY = new Uint8Array()

export interface InboxParts {
  readonly name: string
  readonly membership: Membership
  readonly messenger: Messenger
  readonly pings: PendingPings
  readonly relay: Relay
  readonly roster: Roster
  readonly reprober: Pick<Reprober, 'heardFrom'>
  /** A member unknown to us pinged us from this endpoint. */
  readonly onUnknownMember: (at: SocketAddress) => void
  readonly delegate: Delegate
  readonly onUserMessage: (payload: Uint8Array, from: SocketAddress) => void
  readonly count: (name: string) => void
}

/** Takes packets apart and hands each message to whom it concerns. */
export class Inbox {
  readonly #parts: InboxParts

  constructor(parts: InboxParts) {
    this.#parts = parts
  }

  receive(packet: Uint8Array, from: SocketAddress, receivedAt: number): void {
    this.#parts.messenger.receive(packet, (message) => this.#route(message, from, receivedAt))
  }

  #route(message: Message, from: SocketAddress, receivedAt: number): void {
    // Only after the message, which may be the refutation. Pings have the sender's name.
    this.#handle(message, from, receivedAt)
    if (message.type !== 'ping') this.#parts.reprober.heardFrom(from)
  }

  #handle(message: Message, from: SocketAddress, receivedAt: number): void {
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
        membership.heardSuspect({ ...message.body, name: message.body.node })
        return this.#correct(message.body, from)
      case 'dead':
        membership.heardDead({ ...message.body, name: message.body.node })
        return this.#correct(message.body, from)
      case 'user':
        return onUserMessage(message.body, from)
      case 'error':
        return count('packet-unknown-type')
    }
  }

  /**
   * A member that sends an accusation which we have refuted, just now or long ago, has missed the
   * refutation, so it gets that. Go leaves it to gossip, and stays dead for members that gossip
   * misses until the next exchange of states.
   */
  #correct(accusation: Readonly<Accusation>, from: SocketAddress): void {
    const { name, membership, messenger } = this.#parts
    if (accusation.node !== name || membership.leaving) return
    if (accusation.incarnation >= membership.self.incarnation) return
    messenger.sendExactly([membership.ownAlive()], from)
  }

  #answer(ping: Readonly<Ping>, from: SocketAddress): void {
    const { name, messenger, delegate, count } = this.#parts
    if (ping.node !== '' && ping.node !== name) return count('ping-for-another')
    const payload = delegate.ackPayload?.() ?? null
    const reply = replyAddress(ping, from)
    messenger.send({ type: 'ack', body: { seqNo: ping.seqNo, payload } }, reply)
    if (ping.sourceNode !== '') this.#recognise(ping.sourceNode, reply)
  }

  /**
   * A member that we hold for gone or suspect pings us: it gets the accusation, and refutes. Go
   * leaves that to gossip, which does not reach members that were cut off, nor one that left and
   * is back. With one that we have forgotten we exchange states.
   */
  #recognise(source: string, at: SocketAddress): void {
    const { membership, messenger, roster, name, onUnknownMember } = this.#parts
    const member = roster.get(source)
    if (member === undefined) onUnknownMember(at)
    if (member === undefined || member.state === 'alive' || membership.leaving) return
    const body = { node: source, incarnation: member.incarnation, from: name }
    messenger.sendExactly([{ type: 'suspect', body }], at, member)
  }
}
