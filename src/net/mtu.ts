import { type Ip, ipBits } from './ip.ts'

/** Outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8 bytes (RFC 7348 section 5). */
const overheadOverIpv4 = 50
/** The same with an IPv6 header of 40 bytes. */
const overheadOverIpv6 = 70

/** WireGuard: IPv4 20, UDP 8, header 16 and tag 16 bytes (its paper, section 5.4.6). */
const encryptionOverIpv4 = 60
/** The same with an IPv6 header of 40 bytes. */
const encryptionOverIpv6 = 80

/** RFC 8200 section 5; the kernel disables IPv6 on a link with less. */
export const minMtuOfIpv6 = 1280
/** RFC 791. */
const minMtu = 68
/** What the kernel's VXLAN driver accepts. */
const maxMtu = 65_485

/**
 * The MTU of an overlay, in bytes: the underlay's less the encapsulation over this VTEP's family.
 */
export function overlayMtu(underlayMtu: number, vtep: Ip): number {
  const left = underlayMtu - (ipBits(vtep) === 32 ? overheadOverIpv4 : overheadOverIpv6)
  return Math.min(left, maxMtu)
}

/** The MTU of the WireGuard device, in bytes: the underlay's less what encryption takes. */
export function wireGuardMtu(underlayMtu: number, vtep: Ip): number {
  return underlayMtu - (ipBits(vtep) === 32 ? encryptionOverIpv4 : encryptionOverIpv6)
}

/** Whether a link of an overlay can have that MTU, in bytes. */
export function isOverlayMtu(value: number): boolean {
  return Number.isInteger(value) && value >= minMtu && value <= maxMtu
}

/** Reads an MTU in bytes: 68 to 65485; null for anything else. */
export function parseMtu(text: string): number | null {
  if (!/^[1-9]\d{1,4}$/.test(text)) return null
  const value = Number(text)
  return isOverlayMtu(value) ? value : null
}
