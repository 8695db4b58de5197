import { type Ip, ipToBytes } from '../../src/net/ip.ts'
import { type Mac, macToBytes } from '../../src/net/mac.ts'
import { be16, bytes, internetChecksum } from '../support/packet-bytes.ts'

/** VXLAN (RFC 7348) with a frame to a container: IPv4 of an unassigned protocol, without options. */
export function vxlanFrame(vni: number, to: { readonly mac: Mac; readonly ip: Ip }): Buffer {
  const header = [8, 0, 0, 0, vni >>> 16, (vni >>> 8) & 255, vni & 255, 0]
  const ip = bytes([0x45, 0, ...be16(28), 0, 0, 0, 0, 64, 253, 0, 0], [10, 30, 0, 99])
  const packet = bytes(ip, ipToBytes(to.ip))
  packet.writeUInt16BE(internetChecksum(packet), 10)
  const ethernet = bytes(macToBytes(to.mac), [2, 0, 0, 0, 0, 9], be16(0x0800))
  return bytes(header, ethernet, packet, [0, 0, 0, 0, 0, 0, 0, 0])
}

/** A UDP datagram to the VXLAN port in two fragments; the first has that many bytes from UDP on. */
export function fragments({
  firstBytes,
  ...parts
}: {
  readonly from: Ip
  readonly to: Ip
  readonly toMac: Mac
  readonly id: number
  readonly payload: Buffer
  readonly firstBytes: number
}): Buffer[] {
  const [from, to] = [ipToBytes(parts.from), ipToBytes(parts.to)]
  const length = 8 + parts.payload.length
  const udp = bytes(be16(50_000), be16(4789), be16(length), [0, 0], parts.payload)
  const pseudo = bytes(from, to, be16(0), be16(length), be16(0), be16(17))
  udp.writeUInt16BE(internetChecksum(bytes(pseudo, udp)), 6)
  const ethernet = bytes(macToBytes(parts.toMac), [2, 0, 0, 0, 0, 8])
  return [0, 1].map((index) => {
    const piece = index === 0 ? udp.subarray(0, firstBytes) : udp.subarray(firstBytes)
    const more = index === 0 ? 1 : 0
    const offset = (index * firstBytes) / 8
    if (from.length === 4) {
      const lengths = [0x45, 0, ...be16(20 + piece.length), ...be16(parts.id)]
      const head = bytes(lengths, be16((more << 13) | offset), [64, 17, 0, 0], from, to)
      head.writeUInt16BE(internetChecksum(head), 10)
      return bytes(ethernet, be16(0x0800), head, piece)
    }
    const extension = bytes([17, 0], be16((offset << 3) | more), [0, 0], be16(parts.id))
    const head = bytes([0x60, 0, 0, 0], be16(8 + piece.length), [44, 64], from, to)
    return bytes(ethernet, be16(0x86dd), head, extension, piece)
  })
}
