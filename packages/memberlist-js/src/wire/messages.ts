import { MsgpackReader } from './msgpack/msgpack-reader.ts'
import { MsgpackWriter } from './msgpack/msgpack-writer.ts'
import { struct, type Body } from './msgpack/struct.ts'
import { WireError } from './wire-error.ts'

/** The type byte that opens each message. */
export const MessageType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  error: 13,
  label: 244,
} as const

const pingBody = struct({
  seqNo: 'u32',
  node: 'string',
  sourceAddr: 'bytes?',
  sourcePort: 'u16?',
  sourceNode: 'string?',
})
const indirectPingBody = struct({
  seqNo: 'u32',
  target: 'bytes',
  port: 'u16',
  node: 'string',
  nack: 'bool',
  sourceAddr: 'bytes?',
  sourcePort: 'u16?',
  sourceNode: 'string?',
})
const ackBody = struct({ seqNo: 'u32', payload: 'bytes' })
const nackBody = struct({ seqNo: 'u32' })
const accusationBody = struct({ incarnation: 'u32', node: 'string', from: 'string' })
const aliveBody = struct({
  incarnation: 'u32',
  node: 'string',
  addr: 'bytes',
  port: 'u16',
  meta: 'bytes',
  vsn: 'bytes',
})
const errorBody = struct({ error: 'string' })

export type Ping = ReturnType<typeof pingBody.decode>
export type IndirectPing = ReturnType<typeof indirectPingBody.decode>
export type Ack = ReturnType<typeof ackBody.decode>
export type Nack = ReturnType<typeof nackBody.decode>
/**
 * suspect and dead have the same body. A dead message whose `from` is its `node` means that the
 * node left.
 */
export type Accusation = ReturnType<typeof accusationBody.decode>
export type Alive = ReturnType<typeof aliveBody.decode>
export type ErrorReply = Body<{ error: 'string' }>

/** A message that is whole in itself: all but push-pull, the TCP user message and the wrappers. */
export type Message =
  | { readonly type: 'ping'; readonly body: Readonly<Ping> }
  | { readonly type: 'indirectPing'; readonly body: Readonly<IndirectPing> }
  | { readonly type: 'ack'; readonly body: Readonly<Ack> }
  | { readonly type: 'nack'; readonly body: Readonly<Nack> }
  | { readonly type: 'suspect'; readonly body: Readonly<Accusation> }
  | { readonly type: 'alive'; readonly body: Readonly<Alive> }
  | { readonly type: 'dead'; readonly body: Readonly<Accusation> }
  | { readonly type: 'error'; readonly body: Readonly<ErrorReply> }
  | { readonly type: 'user'; readonly body: Uint8Array }

/** One buffer serves all messages: encoding is not interrupted, and the result is a copy. */
const writer = new MsgpackWriter(2048)

/** The type byte and the body. */
export function encodeMessage(message: Message): Uint8Array {
  writer.reset().byte(MessageType[message.type])
  switch (message.type) {
    case 'ping':
      pingBody.encode(writer, message.body)
      break
    case 'indirectPing':
      indirectPingBody.encode(writer, message.body)
      break
    case 'ack':
      ackBody.encode(writer, message.body)
      break
    case 'nack':
      nackBody.encode(writer, message.body)
      break
    case 'suspect':
    case 'dead':
      accusationBody.encode(writer, message.body)
      break
    case 'alive':
      aliveBody.encode(writer, message.body)
      break
    case 'error':
      errorBody.encode(writer, message.body)
      break
    case 'user':
      writer.append(message.body)
  }
  return writer.finish()
}

/**
 * Decodes one message as it stands in a packet, without wrappers. Byte arrays are views into
 * `bytes`.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const type = bytes[0]
  if (type === undefined) throw new WireError('truncated', 'a message has no bytes')
  if (type === MessageType.user) return { type: 'user', body: bytes.subarray(1) }
  return decodeBody(type, new MsgpackReader(bytes, 1))
}

/** Decodes the body that follows type byte `type`. */
export function decodeBody(type: number, reader: MsgpackReader): Message {
  switch (type) {
    case MessageType.ping:
      return { type: 'ping', body: pingBody.decode(reader) }
    case MessageType.indirectPing:
      return { type: 'indirectPing', body: indirectPingBody.decode(reader) }
    case MessageType.ack:
      return { type: 'ack', body: ackBody.decode(reader) }
    case MessageType.nack:
      return { type: 'nack', body: nackBody.decode(reader) }
    case MessageType.suspect:
      return { type: 'suspect', body: accusationBody.decode(reader) }
    case MessageType.alive:
      return { type: 'alive', body: aliveBody.decode(reader) }
    case MessageType.dead:
      return { type: 'dead', body: accusationBody.decode(reader) }
    case MessageType.error:
      return { type: 'error', body: errorBody.decode(reader) }
    default:
      throw new WireError('unknown-type', `message type ${type} is not known here`)
  }
}
