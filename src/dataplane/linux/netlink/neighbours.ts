import type { FdbEntry, Neighbour, RowChange } from '../../dataplane.ts'
import { type Ip, ipBits, ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import { type Mac, macFromBytes, macToBytes, noMac } from '../../../net/mac.ts'
import { type Message, type MessageWriter, type Request, findAttribute } from './message.ts'
import * as rt from './rtnetlink.ts'

/**
 * FDB entries and neighbours: requests that write them and readers of dumps. Sets create or replace
 * in one step, so that there is no moment without the row; a remove names both address and
 * destination.
 */

const neighbourHeaderBytes = 12

/** Writes or removes one row of the VXLAN device with that index. */
export function rowRequest(vxlanIndex: number, change: RowChange): Request {
  const set = change.op === 'set'
  // The kernel replaces no entry that may have several VTEPs.
  const mode = change.kind === 'fdb' && change.mac === noMac ? rt.NLM_F_APPEND : rt.NLM_F_REPLACE
  return {
    type: set ? rt.RTM_NEWNEIGH : rt.RTM_DELNEIGH,
    flags: set ? rt.NLM_F_CREATE | mode : 0,
    body: (writer) => {
      const destination = change.kind === 'fdb' ? change.vtep : change.ip
      const fdb = change.kind === 'fdb'
      neighbourHeader(writer, {
        family: fdb ? rt.AF_BRIDGE : familyOf(destination),
        index: vxlanIndex,
        state: rt.NUD_PERMANENT,
        flags: fdb ? rt.NTF_SELF : 0,
      })
      writer.bytesAttribute(rt.NDA_DST, ipToBytes(destination))
      writer.bytesAttribute(rt.NDA_LLADDR, macToBytes(change.mac))
    },
  }
}

/** The bridge's FDB entry for the MAC address behind a port. Static: it does not age or move. */
export function setPortMac(portIndex: number, mac: Mac): Request {
  return portMacRequest(portIndex, mac, rt.RTM_NEWNEIGH, rt.NLM_F_CREATE | rt.NLM_F_REPLACE)
}

/** Removes such an entry. */
export function removePortMac(portIndex: number, mac: Mac): Request {
  return portMacRequest(portIndex, mac, rt.RTM_DELNEIGH, 0)
}

function portMacRequest(index: number, mac: Mac, type: number, flags: number): Request {
  return {
    type,
    flags,
    what: `FDB entry of ${mac}`,
    body: (writer) => {
      const state = rt.NUD_NOARP
      neighbourHeader(writer, { family: rt.AF_BRIDGE, index, state, flags: rt.NTF_MASTER })
      writer.bytesAttribute(rt.NDA_LLADDR, macToBytes(mac))
    },
  }
}

/**
 * Reads the FDB of a link: its own entries and those that the bridge has for it. 0 is all links.
 */
export function getFdb(index: number): Request {
  return {
    type: rt.RTM_GETNEIGH,
    flags: 0,
    body: (writer) => neighbourHeader(writer, { family: rt.AF_BRIDGE, index, state: 0, flags: 0 }),
  }
}

/** Reads the neighbours of one family on a link. */
export function getNeighbours(index: number, family: number): Request {
  return {
    type: rt.RTM_GETNEIGH,
    flags: 0,
    body: (writer) => {
      neighbourHeader(writer, { family, index: 0, state: 0, flags: 0 })
      writer.u32Attribute(rt.NDA_IFINDEX, index)
    },
  }
}

/** The index of the link that a row belongs to. */
export function linkIndexOf({ body }: Message): number {
  return body.readUInt32LE(4)
}

/** A VXLAN device's own FDB entry; null for other rows of the dump. */
export function readFdbEntry(message: Message): FdbEntry | null {
  if ((message.body.readUInt8(10) & rt.NTF_SELF) === 0) return null
  const [mac, vtep] = [macIn(message), addressIn(message)]
  return mac === null || vtep === null ? null : { mac, vtep }
}

/** The bridge's static FDB entry for a port; null for other rows of the dump. */
export function readPortMac(message: Message): { index: number; mac: Mac } | null {
  const [state, flags] = [message.body.readUInt16LE(8), message.body.readUInt8(10)]
  if (state !== rt.NUD_NOARP || (flags & rt.NTF_SELF) !== 0) return null
  const mac = macIn(message)
  return mac === null ? null : { index: linkIndexOf(message), mac }
}

/** A permanent neighbour; null for those that the kernel manages. */
export function readNeighbour(message: Message): Neighbour | null {
  if (message.body.readUInt16LE(8) !== rt.NUD_PERMANENT) return null
  const [mac, ip] = [macIn(message), addressIn(message)]
  return mac === null || ip === null ? null : { ip, mac }
}

export function familyOf(ip: Ip): number {
  return ipBits(ip) === 32 ? rt.AF_INET : rt.AF_INET6
}

function addressIn({ body }: Message): Ip | null {
  const bytes = findAttribute(body, neighbourHeaderBytes, rt.NDA_DST)
  return bytes === undefined ? null : ipFromBytes(bytes)
}

function macIn({ body }: Message): Mac | null {
  const bytes = findAttribute(body, neighbourHeaderBytes, rt.NDA_LLADDR)
  return bytes?.length === 6 ? macFromBytes(bytes) : null
}

/** struct ndmsg. */
function neighbourHeader(
  writer: MessageWriter,
  header: { family: number; index: number; state: number; flags: number },
): void {
  writer.u32(header.family)
  writer.u32(header.index)
  writer.u16(header.state)
  writer.u8(header.flags)
  writer.u8(0)
}
