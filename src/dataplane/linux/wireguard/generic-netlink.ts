/**
 * Generic netlink: families of messages that the kernel numbers when they are registered
 * (<linux/genetlink.h>). A message has a header of four bytes before its attributes.
 */
import {
  type Message,
  type MessageWriter,
  type Request,
  readAttributes,
} from '../netlink/message.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'

const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2
/** struct genlmsghdr: command, version, two bytes that are reserved. */
const genericHeaderBytes = 4
const version = 1

interface GenericRequest {
  readonly family: number
  readonly command: number
  /** What it does, for the message of an error. */
  readonly what: string
}

/** A request of a family. */
export function genericRequest(
  { family, command, what }: GenericRequest,
  attributes: (writer: MessageWriter) => void,
): Request {
  return {
    type: family,
    flags: 0,
    what,
    body: (writer) => {
      writer.u8(command)
      writer.u8(version)
      writer.u16(0)
      attributes(writer)
    },
  }
}

/** The attributes of a message of a family, by type. */
export function genericAttributes(message: Message): Map<number, Buffer> {
  return readAttributes(message.body.subarray(genericHeaderBytes))
}

/** The number of a family, whose module this loads. Throws a NetlinkError, ENOENT for none. */
export function familyNumber(socket: NetlinkSocket, name: string): number {
  const what = `looking up netlink family ${name}`
  const request = genericRequest(
    { family: GENL_ID_CTRL, command: CTRL_CMD_GETFAMILY, what },
    (writer) => writer.stringAttribute(CTRL_ATTR_FAMILY_NAME, name),
  )
  return genericAttributes(socket.get(request)).get(CTRL_ATTR_FAMILY_ID)!.readUInt16LE()
}
