import { type Ip, ipBits } from './ip.ts'

/** Outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8 bytes (RFC 7348 section 5). */
const overheadOverIpv4 = 50
/** The same with an IPv6 header of 40 bytes. */
const overheadOverIpv6 = 70

/** The least that a link with IPv6 has (RFC 8200 section 5); the kernel turns IPv6 off on one with less. */
export const mtuLeastOfIpv6 = 1280
/** The least that IPv4 works with (RFC 791). */
const mtuLeast = 68
/** The most that a VXLAN device takes. */
const mtuMost = 65_485

/** What is left for the containers of an underlay MTU, with this VTEP's family outside, as far as a link can have it. */
export function overlayMtu(underlayMtu: number, vtep: Ip): number {
  const left = underlayMtu - (ipBits(vtep) === 32 ? overheadOverIpv4 : overheadOverIpv6)
  return Math.min(left, mtuMost)
}

/** Whether a link of an overlay can have that MTU, in bytes. */
export function isOverlayMtu(value: number): boolean {
  return Number.isInteger(value) && value >= mtuLeast && value <= mtuMost
}

/** Reads an MTU in bytes: 68 to 65485; null for anything else. */
export function parseMtu(text: string): number | null {
  if (!/^[1-9]\d{1,4}$/.test(text)) return null
  const value = Number(text)
  return isOverlayMtu(value) ? value : null
}
