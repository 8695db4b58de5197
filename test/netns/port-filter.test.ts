import { closeSync, openSync } from 'node:fs'
import { expect } from 'chai'
import { FastPath } from '../../src/dataplane/linux/bpf/fast-path.ts'
import { PortFilter } from '../../src/dataplane/linux/filter/port-filter.ts'
import { findLink } from '../../src/dataplane/linux/netlink/link.ts'
import { vxlanName } from '../../src/dataplane/linux/netlink/names.ts'
import { NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { inNetns } from '../../src/dataplane/linux/netns/netns.ts'
import { type Ip, ipToBytes } from '../../src/net/ip.ts'
import { type Mac, macToBytes } from '../../src/net/mac.ts'
import { be16, bytes, internetChecksum } from '../support/packet-bytes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PacketSocket } from './packet-socket.ts'

const obstacle = NetnsLab.obstacle()

const table = 'ts-overlay-ports'

const ownPort = 'tso1b'
const otherPort = 'tso2b'
/** The index of a tunnel that is not there. */
const noLink = 999
const own = { mac: '02:42:0a:00:00:02' as Mac, ips: ['10.0.0.2', 'fd00::2'] as Ip[] }
const ownLinkLocal = 'fe80::42:aff:fe00:2' as Ip
const other = { mac: '02:42:0a:00:00:03' as Mac, ip: '10.0.0.3' as Ip, ip6: 'fd00::3' as Ip }
const everybody = 'ff:ff:ff:ff:ff:ff' as Mac
const allNodes = '33:33:00:00:00:01' as Mac

function ethernet(from: Mac, to: Mac, type: number, payload: Uint8Array): Buffer {
  return bytes(macToBytes(to), macToBytes(from), be16(type), payload)
}

function ipv4(
  from: Ip,
  protocol: number,
  payload: Uint8Array,
  { fragment = 0, options = [] as number[] } = {},
): Buffer {
  const length = be16(20 + options.length + payload.length)
  const lengths = [0x45 + options.length / 4, 0, ...length, 0, 0]
  const fixed = [...lengths, ...be16(fragment), 64, protocol, 0, 0]
  const head = bytes(fixed, ipToBytes(from), ipToBytes(other.ip), options)
  head.writeUInt16BE(internetChecksum(head), 10)
  return bytes(head, payload)
}

function ipv6(from: Ip, protocol: number, payload: Uint8Array, to = other.ip6): Buffer {
  const head = [0x60, 0, 0, 0, ...be16(payload.length), protocol, 255]
  return bytes(head, ipToBytes(from), ipToBytes(to), payload)
}

/** ICMPv6 with a target address, as neighbour discovery has it. */
function discovery(from: Ip, type: number, target: Ip): Buffer {
  return ipv6(from, 58, bytes([type, 0, 0, 0, 0, 0, 0, 0], ipToBytes(target)))
}

function arp(senderMac: Mac, senderIp: Ip): Buffer {
  const head = [0, 1, 8, 0, 6, 4, 0, 2]
  const target = bytes(macToBytes(other.mac), ipToBytes(other.ip))
  return bytes(head, macToBytes(senderMac), ipToBytes(senderIp), target)
}

const udp = (port: number): Uint8Array =>
  bytes(be16(port), be16(9), be16(12), be16(0), [0, 0, 0, 0])
const frame = (type: number, payload: Uint8Array): Buffer =>
  ethernet(own.mac, other.mac, type, payload)

const ipv4Type = 0x0800
const ipv6Type = 0x86dd
const arpType = 0x0806
const unspecified = '::' as Ip

/** What a container sends, and the counter that its drop is under; null when it passes. */
/** RFC 2113. */
const routerAlert = { options: [0x94, 4, 0, 0] }
const igmpQuery = bytes([0x11, 10, 0xee, 0xf5, 0, 0, 0, 0])
const igmpReport = bytes([0x22, 0, 0xdd, 0xff, 0, 0, 0, 0])

const cases: readonly [string, Buffer, string | null][] = [
  ['IPv4 from its own address', frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9))), null],
  ['IPv6 from its own address', frame(ipv6Type, ipv6(own.ips[1]!, 17, udp(9))), null],
  ['IPv6 from its link-local address', frame(ipv6Type, ipv6(ownLinkLocal, 17, udp(9))), null],
  ['ARP for its own address', frame(arpType, arp(own.mac, own.ips[0]!)), null],
  ['an ARP probe', frame(arpType, arp(own.mac, '0.0.0.0' as Ip)), null],
  ['a neighbour advertisement', frame(ipv6Type, discovery(own.ips[1]!, 136, own.ips[1]!)), null],
  ['a solicitation', frame(ipv6Type, discovery(own.ips[1]!, 135, other.ip6)), null],
  ['duplicate detection', frame(ipv6Type, discovery(unspecified, 135, own.ips[1]!)), null],
  ['a VLAN tag', frame(0x8100, bytes(be16(0), be16(arpType), arp(own.mac, other.ip))), 'vlan'],
  ['a service tag', frame(0x88a8, bytes(be16(5), be16(ipv4Type), udp(9))), 'vlan'],
  ['another protocol', frame(0x88cc, bytes(be16(0))), 'protocol'],
  [
    "another's MAC address",
    ethernet(other.mac, own.mac, ipv4Type, ipv4(own.ips[0]!, 17, udp(9))),
    'mac',
  ],
  ["ARP for another's address", frame(arpType, arp(own.mac, other.ip)), 'arp'],
  ["ARP with another's MAC", frame(arpType, arp(other.mac, own.ips[0]!)), 'arp'],
  [
    'ARP of another hardware',
    frame(arpType, bytes([0, 6, 8, 0, 6, 4], udp(1), udp(1), udp(1))),
    'arp',
  ],
  ["IPv4 from another's address", frame(ipv4Type, ipv4(other.ip, 17, udp(9))), 'ipv4'],
  ["IPv6 from another's address", frame(ipv6Type, ipv6(other.ip6, 17, udp(9))), 'ipv6'],
  ['IPv4 from nowhere', frame(ipv4Type, ipv4('0.0.0.0' as Ip, 17, udp(68))), 'ipv4'],
  ['IPv6 without a source', frame(ipv6Type, ipv6(unspecified, 17, udp(9))), 'ipv6'],
  ['a DHCP answer', frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(67))), 'dhcp'],
  ['a DHCPv6 answer', frame(ipv6Type, ipv6(own.ips[1]!, 17, udp(547))), 'dhcp'],
  ['a router advertisement', frame(ipv6Type, discovery(ownLinkLocal, 134, unspecified)), 'router'],
  ['an IGMP query', frame(ipv4Type, ipv4(own.ips[0]!, 2, igmpQuery, routerAlert)), 'router'],
  ['an IGMP report', frame(ipv4Type, ipv4(own.ips[0]!, 2, igmpReport, routerAlert)), null],
  ['an MLD query', frame(ipv6Type, discovery(ownLinkLocal, 130, unspecified)), 'router'],
  ['a redirect', frame(ipv6Type, discovery(ownLinkLocal, 137, other.ip6)), 'router'],
  [
    "an advertisement of another's address",
    frame(ipv6Type, discovery(own.ips[1]!, 136, other.ip6)),
    'neighbour',
  ],
  [
    "duplicate detection of another's address",
    frame(ipv6Type, discovery(unspecified, 135, other.ip6)),
    'neighbour',
  ],
  [
    'a router advertisement behind an extension header',
    frame(
      ipv6Type,
      ipv6(ownLinkLocal, 60, bytes([58, 0, 1, 4, 0, 0, 0, 0], [134, 0, 0, 0], udp(1))),
    ),
    'router',
  ],
]

for (const isFast of [false, true])
  describe(`the filter on the ports of an overlay, ${isFast ? 'past' : 'by'} the bridge`, function () {
    this.timeout(30_000)
    let lab: NetnsLab
    let bridge: string
    let fd: number
    let socket: NetlinkSocket
    let filter: PortFilter
    let fastPath: FastPath
    let routes: NetlinkSocket
    let sender: PacketSocket
    let receiver: PacketSocket
    const closers: (() => void)[] = []

    before(function () {
      if (obstacle !== null) this.skip()
    })

    beforeEach(async () => {
      lab = await NetnsLab.create()
      bridge = await lab.namespace('bridge')
      await lab.run(bridge, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
      await lab.run(bridge, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
      await lab.run(bridge, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
      await lab.run(bridge, 'ip', 'link', 'set', 'br0', 'up')
      fd = openSync(bridge, 'r')
      sender = await station(ownPort, own.mac)
      receiver = await station(otherPort, other.mac)
      await lab.forwarding(bridge)
      socket = inNetns(fd, () => new NetlinkSocket(undefined, 'netfilter'))
      closers.push(
        () => socket.close(),
        () => closeSync(fd),
      )
      filter = new PortFilter(socket)
      expect(filter.ensure()).to.deep.equal(['filter made'])
      expect(filter.set(ownPort, own)).to.have.length(1)
      expect(filter.set(ownPort, own)).to.deep.equal([])
      routes = inNetns(fd, () => new NetlinkSocket())
      const warn = (message: string): void => expect.fail(message)
      fastPath = new FastPath(routes, { reason: isFast ? null : 'not in this test', warn })
      closers.push(
        () => routes.close(),
        () => fastPath.close(),
      )
      fastPath.ensure({ vxlan: noLink, mtu: 1500, checksSource: true })
      fastPath.setPort(findLink(routes, ownPort)!, own)
      fastPath.setPort(findLink(routes, otherPort)!, { mac: other.mac, ips: [other.ip, other.ip6] })
    })

    afterEach(() => {
      for (const close of closers.splice(0)) close()
      lab.close()
    })

    /** A namespace whose link is a port of the bridge. */
    async function station(port: string, mac: Mac): Promise<PacketSocket> {
      const netns = await lab.namespace(port)
      const peer = ['peer', 'name', 'eth0', 'address', mac, 'netns', netns]
      await lab.run(bridge, 'ip', 'link', 'add', port, 'type', 'veth', ...peer)
      await lab.run(bridge, 'ip', 'link', 'set', port, 'master', 'br0', 'up')
      await lab.run(netns, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
      await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
      const netnsFd = openSync(netns, 'r')
      const packets = new PacketSocket(netnsFd, 'eth0')
      closers.push(
        () => packets.close(),
        () => closeSync(netnsFd),
      )
      return packets
    }

    const marker = frame(ipv4Type, ipv4(own.ips[0]!, 253, bytes([1, 2, 3, 4])))

    /** What of these arrives at the other container, whatever kernels send of their own. */
    async function arrived(frames: readonly Uint8Array[]): Promise<Buffer[]> {
      for (const one of frames) sender.send(one)
      sender.send(marker)
      const received = await receiver.receiveUntil((one) => one.equals(marker))
      return received.filter((one) => frames.some((sent) => one.equals(sent)))
    }

    const dropped = (): Record<string, number> =>
      Object.fromEntries([...filter.dropped()].filter(([, packets]) => packets > 0))

    for (const [what, sent, reason] of cases)
      it(`${reason === null ? 'passes' : 'drops'} ${what}`, async () => {
        const before = dropped()
        expect(before).to.deep.equal({})
        expect(await arrived([sent])).to.have.length(reason === null ? 1 : 0)
        expect(dropped()).to.deep.equal(reason === null ? {} : { [reason]: 1 })
      })

    it('forwards what has a port and nothing to hide', async () => {
      const sent = frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9)))
      const sent6 = frame(ipv6Type, ipv6(own.ips[1]!, 17, udp(9)))
      const local = frame(ipv6Type, ipv6(ownLinkLocal, 17, udp(9)))
      expect(await arrived([sent, sent6, local])).to.have.length(3)
      const traffic = [...fastPath.traffic().values()]
      // With the marker.
      const frames = isFast ? 4 : undefined
      expect(traffic.map((port) => port.sent.frames).find((some) => some > 0)).to.equal(frames)
      const bytes = isFast ? sent.length + sent6.length + local.length + marker.length : undefined
      expect(traffic.map(({ received }) => received.bytes).find((some) => some > 0)).to.equal(bytes)
    })

    it('lets the bridge have fragments, options and what is too large', async () => {
      const fragment = frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9), { fragment: 0x2000 }))
      const last = frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9), { fragment: 0x0001 }))
      const options = frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9), { options: [1, 1, 1, 0] }))
      expect(await arrived([fragment, last, options])).to.have.length(3)
      const spoofed = frame(ipv4Type, ipv4(other.ip, 17, udp(9), { fragment: 0x0001 }))
      expect(await arrived([spoofed])).to.have.length(0)
      const [sent] = [...fastPath.traffic().values()].filter(({ sent }) => sent.frames > 0)
      expect(sent?.sent.frames).to.equal(isFast ? 2 : undefined)
    })

    it('limits broadcasts of a port, and counts the rest', async () => {
      const broadcast = ethernet(own.mac, everybody, arpType, arp(own.mac, own.ips[0]!))
      const multicast = ethernet(
        own.mac,
        allNodes,
        ipv6Type,
        discovery(own.ips[1]!, 135, own.ips[1]!),
      )
      const frames = Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? broadcast : multicast))
      const received = await arrived(frames)
      expect(received.length).to.be.within(100, 1900)
      expect(dropped()).to.deep.equal({ broadcast: 2000 - received.length })
    })

    it('lets nothing of a port pass that was given nothing', async () => {
      filter.set(ownPort, null)
      fastPath.removePort(ownPort)
      sender.send(marker)
      receiver.send(frame(ipv4Type, ipv4(own.ips[0]!, 17, udp(9))))
      expect(dropped()).to.deep.equal({ mac: 2 })
    })

    it('lets pass what comes through the tunnel', async () => {
      const tunnel = await station(vxlanName, everybody.replace('ff', '02') as Mac)
      await lab.forwarding(bridge)
      const vxlan = findLink(routes, vxlanName)!.index
      fastPath.ensure({ vxlan, mtu: 1500, checksSource: true })
      const remote = '02:42:0a:00:00:04' as Mac
      const sent = ethernet(remote, other.mac, ipv4Type, ipv4(other.ip, 17, udp(9)))
      tunnel.send(sent)
      tunnel.send(marker)
      const received = await receiver.receiveUntil((one) => one.equals(marker))
      expect(received.filter((one) => one.equals(sent))).to.have.length(1)
    })

    it('is repaired when somebody changes it, and keeps what ports were given', async () => {
      expect(filter.ensure()).to.deep.equal([])
      await lab.run(bridge, 'nft', 'insert', 'rule', 'bridge', table, 'from-ports', 'accept')
      expect(filter.ensure()).to.deep.equal(['filter rules repaired'])
      expect(await arrived([])).to.have.length(0)
      await lab.run(bridge, 'nft', 'flush', 'chain', 'bridge', table, 'from-ports')
      expect(filter.ensure()).to.deep.equal(['filter made'])
      expect(await arrived([])).to.have.length(0)
      await lab.run(bridge, 'nft', 'delete', 'table', 'bridge', table)
      expect(filter.ensure()).to.deep.equal(['filter made'])
      expect(filter.sources().size).to.equal(0)
    })

    it('goes with all that is in it, however often', async () => {
      filter.remove()
      filter.remove()
      expect(await lab.run(bridge, 'nft', 'list', 'ruleset')).to.equal('')
      expect(filter.dropped().size).to.equal(0)
    })

    it('is taken over after a restart with what ports were given', async () => {
      const after = new PortFilter(socket)
      expect(after.ensure()).to.deep.equal([])
      expect(await arrived([])).to.have.length(0)
      expect(after.sources()).to.deep.equal(new Map([[ownPort, own]]))
    })
  })
