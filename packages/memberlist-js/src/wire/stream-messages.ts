/** The two messages that only streams carry: push-pull, and the reliable user message. */
import { MAX_PUSH_PULL_MEMBERS, MAX_RELIABLE_BYTES, MAX_USER_STATE_BYTES } from '../limits.ts'
import { MessageType } from './messages.ts'
import { MsgpackWriter } from './msgpack/msgpack-writer.ts'
import type { StreamReader } from './stream-reader.ts'
import { struct } from './msgpack/struct.ts'
import { WireError } from './wire-error.ts'

/** `state` as push-pull numbers it. */
export const WIRE_STATES = ['alive', 'suspect', 'dead', 'left'] as const

const headerBody = struct({ nodes: 'int', userStateLen: 'int', join: 'bool' })
const nodeStateBody = struct({
  name: 'string',
  addr: 'bytes',
  port: 'u16',
  meta: 'bytes',
  incarnation: 'u32',
  state: 'int',
  vsn: 'bytes',
})
const userHeaderBody = struct({ userMsgLen: 'int' })

/** One member as push-pull tells it. `state` indexes {@link WIRE_STATES}. */
export type NodeState = ReturnType<typeof nodeStateBody.decode>

export interface PushPull {
  readonly join: boolean
  readonly nodes: readonly Readonly<NodeState>[]
  readonly userState: Uint8Array
}

/** The whole message, type byte included. */
export function encodePushPull({ join, nodes, userState }: PushPull): Uint8Array {
  const writer = new MsgpackWriter(64 + 128 * nodes.length + userState.length)
  writer.byte(MessageType.pushPull)
  headerBody.encode(writer, { join, nodes: nodes.length, userStateLen: userState.length })
  for (const node of nodes) nodeStateBody.encode(writer, node)
  return writer.append(userState).finish()
}

/** Reads what follows the type byte. The result's byte arrays are views. */
export async function readPushPull(reader: StreamReader): Promise<PushPull> {
  const header = await reader.record(headerBody.decode)
  if (header.nodes > MAX_PUSH_PULL_MEMBERS) throw tooLarge('members', header.nodes)
  if (header.userStateLen > MAX_USER_STATE_BYTES) throw tooLarge('state bytes', header.userStateLen)
  const nodes: NodeState[] = []
  for (let i = 0; i < header.nodes; i++) nodes.push(await reader.record(nodeStateBody.decode))
  return { join: header.join, nodes, userState: await reader.take(header.userStateLen) }
}

/** The whole message, type byte included. */
export function encodeReliable(payload: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter(24 + payload.length).byte(MessageType.user)
  userHeaderBody.encode(writer, { userMsgLen: payload.length })
  return writer.append(payload).finish()
}

/** Reads what follows the type byte. The result is a view. */
export async function readReliable(reader: StreamReader): Promise<Uint8Array> {
  const { userMsgLen } = await reader.record(userHeaderBody.decode)
  if (userMsgLen > MAX_RELIABLE_BYTES) throw tooLarge('bytes of user message', userMsgLen)
  return await reader.take(userMsgLen)
}

function tooLarge(what: string, count: number): WireError {
  return new WireError('too-large', `a stream announces ${count} ${what}`)
}
