import { type Cidr, cidrsOverlap, parseCidr } from './cidr.ts'
import { type Ip, ipBits } from './ip.ts'

/** Ranges that no host or container can be reached in: RFC 6890, RFC 5771, RFC 1112, RFC 4291. */
const reserved: readonly { readonly range: Cidr; readonly what: string }[] = [
  ['0.0.0.0/8', 'stands for this host'],
  ['127.0.0.0/8', 'is for loopback'],
  ['224.0.0.0/4', 'is for multicast'],
  ['240.0.0.0/4', 'is reserved'],
  ['::/127', 'is for loopback'],
  ['fe80::/10', 'is for single links'],
  ['ff00::/8', 'is for multicast'],
].map(([range, what]) => ({ range: parseCidr(range!)!, what: what! }))

const linkLocal4 = parseCidr('169.254.0.0/16')!

/** Why containers cannot have addresses of that range, as the end of a sentence; else null. */
export function whyNoPool(cidr: Cidr): string | null {
  return cidrsOverlap(linkLocal4, cidr) ? `${linkLocal4} is for single links` : whyReserved(cidr)
}

/** Why nothing in that range can be reached, as the end of a sentence; null when something can. */
export function whyReserved(cidr: Cidr): string | null {
  const found = reserved.find(({ range }) => cidrsOverlap(range, cidr))
  return found === undefined ? null : `${found.range} ${found.what}`
}

/** The same for one address. */
export function whyReservedIp(ip: Ip): string | null {
  return whyReserved(parseCidr(`${ip}/${ipBits(ip)}`)!)
}

/**
 * Whether one host or endpoint can have this address: it is not unspecified, loopback, multicast or
 * broadcast (RFC 6890, RFC 5771, RFC 4291).
 */
export function isHostIp(ip: Ip): boolean {
  if (ipBits(ip) === 128) return ip !== '::' && ip !== '::1' && !ip.startsWith('ff')
  const first = Number.parseInt(ip, 10)
  const isMulticast = first >= 224 && first < 240
  return first !== 0 && first !== 127 && !isMulticast && ip !== '255.255.255.255'
}
