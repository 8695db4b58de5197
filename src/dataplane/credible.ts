import { type Ip, ipBits } from '../net/ip.ts'
import { type Mac, isMulticastMac } from '../net/mac.ts'

/**
 * What another member says goes into this host's kernel, and the kernel takes nearly anything: a VTEP
 * that is a multicast group or our own loopback, a neighbour with a group's MAC address. A row of that
 * kind sends the containers' frames where nobody asked for them, so such a claim counts for nothing.
 */

/** 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/4 (RFC 6890, RFC 5771): no host is there. */
function isHostIpv4(ip: Ip): boolean {
  const first = Number.parseInt(ip, 10)
  const isMulticast = first >= 224 && first < 240
  return first !== 0 && first !== 127 && !isMulticast && ip !== '255.255.255.255'
}

/** Whether one host, other than the one that is asked, can have this address. */
export function isHostIp(ip: Ip): boolean {
  if (ipBits(ip) === 32) return isHostIpv4(ip)
  return ip !== '::' && ip !== '::1' && !ip.startsWith('ff')
}

/** Whether one link can have this address: no group's, and not the one that stands for none. */
export function isStationMac(mac: Mac): boolean {
  return !isMulticastMac(mac) && mac !== '00:00:00:00:00:00'
}
