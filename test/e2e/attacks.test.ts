/**
 * What containers and machines that have no business in a network try on real engines: to join the
 * cluster, to get frames into an overlay by VXLAN, and to send as a neighbour. The same and more in
 * test/hostile and in test/netns, without engines.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { addLabel } from '../../packages/memberlist-js/src/wire/layers/label.ts'
import { encodeMessage } from '../../packages/memberlist-js/src/wire/messages.ts'
import { encodePushPull } from '../../packages/memberlist-js/src/wire/stream-messages.ts'
import type { Host } from '../support/lab/host.ts'
import { guest } from '../support/lab/paths.ts'
import { until } from '../support/lab/processes.ts'
import {
  addressOf,
  bareHost,
  createNetwork,
  expectAnswersIn,
  host,
  members,
  ours,
  start,
} from './cluster.ts'
import { onlyVni } from './leftovers.ts'

const gossipPort = 7946
const vxlanPort = 4789
const closedPort = 9999
const label = Buffer.from('ts-overlay')

/** For printf(1). */
const escaped = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')

/** On the engine's own bridge, without rights. */
const plain = ['--user', '1000', '--cap-drop', 'ALL']

/** A command of the host's in a container's network, since the image has no UDP. */
async function within(on: Host, container: string, command: readonly string[]): Promise<string> {
  const pid = await on.docker(['inspect', '--format', '{{.State.Pid}}', container])
  const words = ['nsenter', '-t', pid.stdout.trim(), '--net', ...command]
  return (await on.exec(words, { reject: false })).stdout
}

/** Sends a datagram three times. */
function datagram(bytes: Uint8Array, to: string, port: number): string[] {
  const send = `printf '${escaped(bytes)}' > /dev/udp/${to}/${port}`
  return ['bash', '-c', `for i in 1 2 3; do ${send}; done`]
}

/** Datagrams that came to a container for a port where nobody listens. */
async function arrived(on: Host, container: string): Promise<number> {
  const snmp = await within(on, container, ['grep', 'Udp: ', '/proc/net/snmp'])
  const [names, values] = snmp.split('\n').map((line) => line.split(' '))
  return Number(values![names!.indexOf('NoPorts')])
}

/** A UDP datagram in IPv4 (RFC 791) in Ethernet in VXLAN (RFC 7348). */
function vxlanFrame(vni: number, to: { mac: string; ip: string }, from: string) {
  const ip4 = (ip: string): number[] => ip.split('.').map(Number)
  const text = 'forged'
  const udp = Buffer.alloc(8 + text.length)
  udp.writeUInt16BE(53, 0)
  udp.writeUInt16BE(closedPort, 2)
  udp.writeUInt16BE(udp.length, 4)
  udp.write(text, 8)
  const header = Buffer.from([0x45, 0, 0, 20 + udp.length, 0, 1, 0, 0, 64, 17, 0, 0])
  const ip = Buffer.from([...header, ...ip4(from), ...ip4(to.ip)])
  let sum = 0
  for (let at = 0; at < ip.length; at += 2) sum += ip.readUInt16BE(at)
  sum = (sum & 0xffff) + (sum >>> 16)
  ip.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 10)
  const macs = Buffer.from(`${to.mac.replaceAll(':', '')}020000000099`, 'hex')
  const vxlan = Buffer.from([8, 0, 0, 0, vni >> 16, (vni >> 8) & 255, vni & 255, 0])
  return Buffer.concat([vxlan, macs, Buffer.from([8, 0]), ip, udp])
}

const hexOf = (mac: string): string => mac.replaceAll(':', '')
const hexOfIp = (ip: string): string => Buffer.from(ip.split('.').map(Number)).toString('hex')
const everybody = 'ffffffffffff'

/** An ARP reply (RFC 826) that says that `ip` is at `mac`. */
function arp(mac: string, ip: string, to: string, type = '0806'): string {
  const sender = hexOf(mac) + hexOfIp(ip)
  return `${to}${hexOf(mac)}${type}0001080006040002${sender}${to}${hexOfIp(ip)}`
}

/** ICMPv6 (RFC 4861) from a link-local address to all nodes; its checksum is not right. */
function discovery(mac: string, type: string): string {
  const linkLocal = (end: string): string => `fe80${'0'.repeat(26)}${end}`
  const body = `${type}00000020000000${linkLocal('99')}0201${hexOf(mac)}`
  const length = (body.length / 2).toString(16).padStart(4, '0')
  const head = `60000000${length}3aff${linkLocal('99')}ff02${'0'.repeat(27)}1`
  return `333300000001${hexOf(mac)}86dd${head}${body}`
}

async function gatewayOf(on: Host): Promise<string> {
  const format = '{{(index .IPAM.Config 0).Gateway}}'
  return (await on.docker(['network', 'inspect', '--format', format, 'bridge'])).stdout.trim()
}

describe('a container or machine that is no peer', () => {
  it('does not join the cluster from a container without rights (row 1)', async () => {
    const names = async (): Promise<string[][]> =>
      Promise.all(
        members().map(async (on) => {
          const { members: list } = await on.pluginStatus()
          return list.map(({ name, state }) => `${name} ${state}`).toSorted()
        }),
      )
    const before = await names()
    expect(before[0]).to.have.length(3)
    const addr = Uint8Array.of(172, 17, 0, 9)
    const vsn = Uint8Array.of(1, 5, 2, 16, 16, 16)
    const alive = { incarnation: 1, node: 'evil', addr, port: gossipPort, meta: null, vsn }
    const packet = addLabel(encodeMessage({ type: 'alive', body: alive }), label)
    const meta = new Uint8Array()
    const evil = { name: 'evil', addr, port: gossipPort, meta, incarnation: 1, state: 0, vsn }
    const join = encodePushPull({ join: true, nodes: [evil], userState: meta })
    const stream = addLabel(join, label)
    await start(host(1), 'bridge', 'plain', plain)
    const gateway = await gatewayOf(host(1))
    for (const target of [gateway, host(1).address, host(2).address]) {
      await within(host(1), 'plain', datagram(packet, target, gossipPort))
      const join = `id -u; printf '${escaped(stream)}' | nc -w 2 ${target} ${gossipPort}`
      const said = await host(1).docker(['exec', 'plain', 'sh', '-c', join], { reject: false })
      expect(said.stdout).to.match(/^1000/)
      for (const name of before.flat()) expect(said.stdout).to.not.contain(name.split(' ')[0])
    }
    expect(await names()).to.deep.equal(before)
  })

  it('gets no frame into an overlay from any side (row 3)', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'n', [...ours, '--subnet', '10.15.0.0/16'])
    const ip = await start(host(1), 'n', 'web')
    const friend = await start(host(2), 'n', 'friend')
    const { stdout } = await host(1).docker(['exec', 'web', 'cat', '/sys/class/net/eth0/address'])
    const to = { mac: stdout.trim(), ip }
    const vni = await onlyVni(host(1))
    const before = await arrived(host(1), 'web')
    for (const on of [host(1), host(2), bareHost()]) await start(on, 'bridge', 'plain', plain)
    for (const from of [friend, '10.15.0.77']) {
      const frame = vxlanFrame(vni, to, from)
      const [one, gateway] = [host(1).address, await gatewayOf(host(1))]
      await within(host(1), 'plain', datagram(frame, gateway, vxlanPort))
      // On other hosts the engine puts the host's address in place of the container's.
      for (const on of [host(1), host(2), bareHost()])
        await within(on, 'plain', datagram(frame, one, vxlanPort))
      await bareHost().exec(datagram(frame, one, vxlanPort))
    }
    expect(await arrived(host(1), 'web')).to.equal(before)
    await within(host(2), 'friend', datagram(Buffer.from('genuine'), ip, closedPort))
    await until(async () => (await arrived(host(1), 'web')) > before, 'a genuine datagram')
  })

  it('sends as no neighbour of its own overlay (row 5)', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'n', [...ours, '--subnet', '10.16.0.0/16'])
    const db = await start(host(1), 'n', 'db')
    const far = await start(host(2), 'n', 'far')
    await start(host(1), 'n', 'near')
    await start(host(1), 'n', 'evil', ['--cap-add', 'NET_ADMIN'])
    const mac = async (name: string): Promise<string> =>
      (await host(1).docker(['exec', name, 'cat', '/sys/class/net/eth0/address'])).stdout.trim()
    const neighbour = async (on: Host, container: string): Promise<string> =>
      (await on.docker(['exec', container, 'ip', 'neigh', 'show', db])).stdout
    await expectAnswersIn(host(2), 'far', db)
    await expectAnswersIn(host(1), 'near', db)
    const before = await arrived(host(2), 'far')
    const near = await addressOf(host(1), 'n', 'near')
    const spoof = `
      arping -c 1 -w 5 -I eth0 ${near} && echo works
      ip addr add ${db}/32 dev eth0
      for i in 1 2 3; do
        arping -U -c 1 -I eth0 -s ${db} ${db}
        arping -c 1 -w 1 -I eth0 -s ${db} ${near}
        arping -c 1 -w 1 -I eth0 -s ${db} ${far}
      done`
    const said = await host(1).docker(['exec', 'evil', 'sh', '-c', spoof], { reject: false })
    expect(said.stdout).to.contain('works')
    const direct = ['ip', 'route', 'replace', `${far}/32`, 'dev', 'eth0', 'src', db]
    await within(host(1), 'evil', direct)
    await within(host(1), 'evil', datagram(Buffer.from('forged'), far, closedPort))
    expect(await arrived(host(2), 'far')).to.equal(before)
    const evil = await mac('evil')
    for (const seen of [await neighbour(host(1), 'near'), await neighbour(host(2), 'far')]) {
      expect(seen).to.not.contain(evil)
      expect(seen).to.contain(await mac('db'))
    }
    await within(host(1), 'db', datagram(Buffer.from('genuine'), far, closedPort))
    await until(async () => (await arrived(host(2), 'far')) > before, 'a genuine datagram')
    await expectAnswersIn(host(2), 'far', db)
  })

  it('sends no tagged ARP, no advertisements, and broadcasts at a rate alone (row 5)', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'n', [...ours, '--subnet', '10.17.0.0/16'])
    const db = await start(host(1), 'n', 'db')
    const own = await start(host(1), 'n', 'evil')
    const neighbours = [
      [host(1), 'near'],
      [host(2), 'far'],
    ] as const
    for (const [on, name] of neighbours) await start(on, 'n', name)
    for (const [on, name] of neighbours) await expectAnswersIn(on, name, own)
    const fileOf = async (on: Host, name: string, file: string): Promise<string> =>
      (await on.docker(['exec', name, 'cat', `/sys/class/net/eth0/${file}`])).stdout.trim()
    const received = (): Promise<number[]> =>
      Promise.all(
        neighbours.map(async ([on, name]) =>
          Number(await fileOf(on, name, 'statistics/rx_packets')),
        ),
      )
    /** How many frames each neighbour got while `evil` sent these. */
    const send = async (count: number, frame: string): Promise<number[]> => {
      const before = await received()
      const program = `${guest.project}/test/support/send-frames.ts`
      const node = `${guest.project}/node_modules/.bin/node`
      const line = [node, '--conditions=source', program, 'eth0', `${count}`, frame]
      await within(host(1), 'evil', line)
      await sleep(500)
      const after = await received()
      return after.map((packets, i) => packets - before[i]!)
    }
    const mac = await fileOf(host(1), 'evil', 'address')
    const nearMac = hexOf(await fileOf(host(1), 'near', 'address'))
    const [genuine] = await send(500, arp(mac, own, nearMac))
    expect(genuine).to.be.at.least(500)
    const few = 60
    const refused = {
      'another address': arp(mac, db, nearMac),
      'in a VLAN-0 tag': arp(mac, db, nearMac, '810000000806'),
      'a neighbour advertisement': discovery(mac, '88'),
      'a router advertisement': discovery(mac, '86'),
    }
    for (const [what, frame] of Object.entries(refused))
      for (const got of await send(500, frame)) expect(got, what).to.be.below(few)
    const broadcasts = await send(5000, arp(mac, own, everybody))
    expect(broadcasts[0]).to.be.within(100, 4000)
    expect(broadcasts[1]).to.be.below(4000)
    for (const [on, name] of neighbours) await expectAnswersIn(on, name, own)
  })
})
