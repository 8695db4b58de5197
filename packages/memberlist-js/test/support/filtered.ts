import type { SocketAddress, Transport } from 'memberlist-js'
import type { Message } from '../../src/wire/messages.ts'
import { openPacket } from '../../src/wire/packet.ts'

/** Lets packets through only where `passes` says so; hands every message to `seen`. */
export function filtered(
  transport: Transport,
  passes: (message: Message, to: SocketAddress) => boolean,
): Transport {
  const send = transport.send.bind(transport)
  transport.send = (packet, to) => {
    let wanted = true
    openPacket(
      packet,
      { label: new Uint8Array(), skipLabelCheck: false, keys: [], verify: true },
      (message) => (wanted = wanted && passes(message, to)),
      () => undefined,
    )
    if (wanted) send(packet, to)
  }
  return transport
}
