import { assert, refusal } from '../../../base/errors.ts'
import { parseIpInCidr } from '../../../net/cidr.ts'
import { type Ip, ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import { type Message, type MessageWriter, type Request, readAttributes } from './message.ts'
import { familyOf } from './neighbours.ts'
import * as rt from './rtnetlink.ts'

/** Addresses of links: requests and readers. */

const addressHeaderBytes = 8

interface LinkAddress {
  readonly index: number
  readonly ip: Ip
  /** `ip/length` */
  readonly text: string
}

/** Adds an address, without IPv6's duplicate address detection, which takes a second. */
export function addAddress(index: number, address: string): Request {
  return addressRequest(rt.RTM_NEWADDR, rt.NLM_F_CREATE | rt.NLM_F_REPLACE, index, address)
}

export function removeAddress(index: number, address: string): Request {
  return addressRequest(rt.RTM_DELADDR, 0, index, address)
}

/** A bridge's address as the kernel writes it. Refuses text that is no address. */
export function canonicalAddress(text: string): string {
  const parsed = parseIpInCidr(text)
  if (parsed === null)
    throw refusal('BAD_REQUEST', `gateway "${text}": give an address with its prefix length`)
  return `${parsed.ip}${text.slice(text.indexOf('/'))}`
}

/** Reads the addresses of a link, of both families; with 0 those of all links. */
export function getAddresses(index: number): Request {
  return {
    type: rt.RTM_GETADDR,
    flags: 0,
    body: (writer) => addressHeader(writer, rt.AF_UNSPEC, 0, index),
  }
}

/** Reads an RTM_NEWADDR message; null when it has no address. */
export function readAddress(message: Message): LinkAddress | null {
  const attributes = readAttributes(message.body.subarray(addressHeaderBytes))
  const bytes = attributes.get(rt.IFA_LOCAL) ?? attributes.get(rt.IFA_ADDRESS)
  const ip = bytes === undefined ? null : ipFromBytes(bytes)
  if (ip === null) return null
  return { index: message.body.readUInt32LE(4), ip, text: `${ip}/${message.body.readUInt8(1)}` }
}

function addressRequest(type: number, flags: number, index: number, address: string): Request {
  const parsed = parseIpInCidr(address)
  assert(parsed !== null, `"${address}" is no address with a prefix length`)
  const length = Number(address.slice(address.indexOf('/') + 1))
  return {
    type,
    flags,
    what: `address ${address}`,
    body: (writer) => {
      addressHeader(writer, familyOf(parsed.ip), length, index)
      writer.bytesAttribute(rt.IFA_LOCAL, ipToBytes(parsed.ip))
      writer.bytesAttribute(rt.IFA_ADDRESS, ipToBytes(parsed.ip))
      writer.u32Attribute(rt.IFA_FLAGS, rt.IFA_F_NODAD | rt.IFA_F_PERMANENT)
    },
  }
}

/** struct ifaddrmsg. */
function addressHeader(writer: MessageWriter, family: number, length: number, index: number): void {
  writer.u8(family)
  writer.u8(length)
  // Flags have an attribute of their own; the scope is global.
  writer.u16(0)
  writer.u32(index)
}
