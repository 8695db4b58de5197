import { type Mac, macToBytes } from '../../../net/mac.ts'
import type { Vni } from '../../../net/vni.ts'

/**
 * The UDP port inside of overlays that probes use; nothing else listens in an overlay's namespace.
 */
export const probePort = 4790

/** Headers of VXLAN (RFC 7348), Ethernet, IPv4 and UDP, in bytes. */
const [vxlanBytes, ethernetBytes, ipBytes, udpBytes] = [8, 14, 20, 8]
/** What a probe has besides its payload, as the overlay's MTU counts. */
const probeOverheadBytes = ipBytes + udpBytes

/**
 * The payload of a VXLAN datagram that delivers a UDP packet to the bridge of an overlay: from no
 * address to all, as DHCP does, because a bridge need not have an address. `packetBytes` is the
 * size of the inner IPv4 packet, which is filled up with zeros.
 */
export function probeFrame(probe: {
  readonly vni: Vni
  readonly source: Mac
  readonly bridge: Mac
  readonly payload: Uint8Array
  readonly packetBytes: number
}): Buffer {
  const { vni, source, bridge, payload } = probe
  const packetBytes = Math.max(probe.packetBytes, probeOverheadBytes + payload.length)
  const frame = Buffer.alloc(vxlanBytes + ethernetBytes + packetBytes)
  frame.writeUInt8(0x08, 0)
  frame.writeUIntBE(vni, 4, 3)
  frame.set(macToBytes(bridge), vxlanBytes)
  frame.set(macToBytes(source), vxlanBytes + 6)
  frame.writeUInt16BE(0x0800, vxlanBytes + 12)
  const ip = vxlanBytes + ethernetBytes
  frame.writeUInt8(0x45, ip)
  frame.writeUInt16BE(packetBytes, ip + 2)
  // One hop: it is never forwarded. Protocol 17 is UDP.
  frame.writeUInt8(1, ip + 8)
  frame.writeUInt8(17, ip + 9)
  frame.fill(0xff, ip + 16, ip + 20)
  frame.writeUInt16BE(headerChecksum(frame.subarray(ip, ip + ipBytes)), ip + 10)
  const udp = ip + ipBytes
  frame.writeUInt16BE(probePort, udp)
  frame.writeUInt16BE(probePort, udp + 2)
  frame.writeUInt16BE(packetBytes - ipBytes, udp + 4)
  frame.set(payload, udp + udpBytes)
  return frame
}

/** RFC 791 section 3.1. */
function headerChecksum(header: Buffer): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
