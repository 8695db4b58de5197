/**
 * What containers and machines that have no business in a network try on real engines: to join the
 * cluster, to get frames into an overlay by VXLAN, and to send as a neighbour. The same and more in
 * test/hostile and in test/netns, without engines.
 */
import { expect } from 'chai'
import { addLabel } from '../../packages/memberlist-js/src/wire/layers/label.ts'
import { encodeMessage } from '../../packages/memberlist-js/src/wire/messages.ts'
import { encodePushPull } from '../../packages/memberlist-js/src/wire/stream-messages.ts'
import { labImage } from '../support/lab/image.ts'
import type { Host } from '../support/lab/host.ts'
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
const listenPort = 9999
const label = Buffer.from('ts-overlay')

/** For printf(1) of busybox. */
const escaped = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')

/** What a container without rights can run, on the engine's own bridge. */
async function inPlainContainer(on: Host, script: string): Promise<string> {
  const rights = ['--user', '1000', '--cap-drop', 'ALL']
  const ran = await on.docker(['run', '--rm', ...rights, labImage, 'sh', '-c', script], {
    reject: false,
  })
  return ran.stdout + ran.stderr
}

/** Has a container keep what comes to a UDP port, until `heard`. */
async function listen(on: Host, container: string): Promise<void> {
  const command = `nc -u -l -p ${listenPort} > /tmp/heard`
  await on.docker(['exec', '-d', container, 'sh', '-c', command])
}

async function heard(on: Host, container: string): Promise<string> {
  return (await on.docker(['exec', container, 'cat', '/tmp/heard'])).stdout
}

/** A UDP datagram in IPv4 (RFC 791) in Ethernet in VXLAN (RFC 7348). */
function vxlanFrame(vni: number, to: { mac: string; ip: string }, from: string, text: string) {
  const ip4 = (ip: string): number[] => ip.split('.').map(Number)
  const udp = Buffer.alloc(8 + text.length)
  udp.writeUInt16BE(53, 0)
  udp.writeUInt16BE(listenPort, 2)
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
    const gateway = `$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')`
    for (const target of [gateway, host(1).address, host(2).address]) {
      const said = await inPlainContainer(
        host(1),
        `id -u; for i in 1 2 3; do printf '${escaped(packet)}' | nc -u -w 1 ${target} ${gossipPort}; done
         printf '${escaped(stream)}' | nc -w 2 ${target} ${gossipPort}`,
      )
      expect(said).to.match(/^1000/)
      for (const name of before.flat()) expect(said).to.not.contain(name.split(' ')[0])
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
    await listen(host(1), 'web')
    const forged = (from: string) => {
      const bytes = escaped(vxlanFrame(vni, to, from, 'forged'))
      return (target: string) =>
        `for i in 1 2 3; do printf '${bytes}' | nc -u -w 1 ${target} ${vxlanPort}; done`
    }
    for (const from of [friend, '10.15.0.77']) {
      const gateway = `$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')`
      await inPlainContainer(host(1), forged(from)(gateway))
      // Of another host, whose address the engine puts in place of the container's.
      for (const on of [host(1), host(2), bareHost()])
        await inPlainContainer(on, forged(from)(host(1).address))
      await bareHost().exec(['busybox', 'sh', '-c', forged(from)(host(1).address)], {
        reject: false,
      })
    }
    const hello = `printf genuine | nc -u -w 1 ${ip} ${listenPort}`
    await host(2).docker(['exec', 'friend', 'sh', '-c', hello])
    expect(await heard(host(1), 'web')).to.equal('genuine')
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
    await listen(host(2), 'far')
    const near = await addressOf(host(1), 'n', 'near')
    const spoof = `
      ip addr add ${db}/32 dev eth0
      for i in 1 2 3; do
        arping -U -c 1 -I eth0 -s ${db} ${db}
        arping -c 1 -w 1 -I eth0 -s ${db} ${near}
        arping -c 1 -w 1 -I eth0 -s ${db} ${far}
        printf forged | nc -u -w 1 -s ${db} ${far} ${listenPort}
      done
      ip addr del ${db}/32 dev eth0`
    await host(1).docker(['exec', 'evil', 'sh', '-c', spoof], { reject: false })
    const evil = await mac('evil')
    for (const seen of [await neighbour(host(1), 'near'), await neighbour(host(2), 'far')]) {
      expect(seen).to.not.contain(evil)
      expect(seen).to.contain(await mac('db'))
    }
    const hello = `printf genuine | nc -u -w 1 ${far} ${listenPort}`
    await host(1).docker(['exec', 'db', 'sh', '-c', hello])
    expect(await heard(host(2), 'far')).to.equal('genuine')
    await expectAnswersIn(host(2), 'far', db)
  })
})
