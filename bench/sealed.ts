/**
 * What sealing costs: a packet there and back, a packet of a non-member, a handshake.
 *
 *     node --conditions=source bench/sealed.ts
 */
import { SocketTransport, seededRandom } from 'memberlist-js'
import { systemClock } from '../src/base/clock.ts'
import { systemRandom } from '../src/base/random.ts'
import { readCertificate, readX509 } from '../src/identity/certificates/certificate.ts'
import { issueAuthority, issueMember } from '../src/identity/certificates/issue.ts'
import { generateKeyPair } from '../src/identity/certificates/keys.ts'
import { firstGossipKeys } from '../src/identity/packets/gossip-keys.ts'
import { PacketSessions } from '../src/identity/packets/packet-sessions.ts'
import { SealedTransport } from '../src/identity/sealed-transport.ts'
import { tlsContext } from '../src/identity/streams/tls-stream.ts'
import type { Ip } from '../src/net/ip.ts'
import { median, print, spread, table } from './figures.ts'

const rounds = 7
const packets = 20_000
/** A full packet of gossip, and one that carries a probe. */
const sizes = [1300, 60]

/** Two members whose packets cross in this process, without sockets. */
function pair() {
  const random = seededRandom(1)
  const keys = firstGossipKeys(random.bytes(32))
  let last = new Uint8Array()
  const receivers = new Map<string, PacketSessions>()
  let delivered = 0
  const member = (address: string): PacketSessions => {
    const key = generateKeyPair()
    const subject = { name: 'host', address: address as Ip, publicKey: key.publicKey }
    const pem = issueMember({ key, issuer: 'bench' }, subject, Date.now(), systemRandom)
    const membership = { keys, certificate: readCertificate(pem)!, key: key.privateKey }
    const sessions = new PacketSessions({
      clock: systemClock,
      random: systemRandom,
      self: { address, port: 7946 },
      membership: () => membership,
      judge: () => true,
      send: (packet, to) => {
        last = Uint8Array.from(packet)
        receivers.get(to.address)?.receive(packet, { address, port: 7946 }, 0)
      },
      deliver: () => delivered++,
      count: () => {},
    })
    receivers.set(address, sessions)
    return sessions
  }
  const [one, two] = [member('192.0.2.1'), member('192.0.2.2')]
  return { one, two, last: () => last, delivered: () => delivered }
}

/** Microseconds of processor time of each call: other processes do not count. */
function timed(calls: number, run: () => void): number {
  const before = process.cpuUsage()
  for (let i = 0; i < calls; i++) run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

function repeated(run: () => number): number[] {
  run()
  return Array.from({ length: rounds }, run)
}

function packetRows(): string[][] {
  return sizes.flatMap((size) => {
    const { one, two, last } = pair()
    const plain = new Uint8Array(size)
    const to = { address: '192.0.2.2', port: 7946 }
    one.send(plain, to)
    const both = repeated(() => timed(packets, () => one.send(plain, to)))
    const forged = last()
    forged[forged.length - 1]! ^= 1
    const from = { address: '192.0.2.9', port: 1 }
    const refused = repeated(() => timed(packets, () => two.receive(forged, from, 0)))
    return [
      [`sealed and opened, ${size} bytes`, spread(both, 'µs', 1)],
      [`of those, at each end`, `${(median(both) / 2).toFixed(1)} µs`],
      [`a forged packet refused, ${size} bytes`, spread(refused, 'µs', 1)],
    ]
  })
}

async function streamRows(): Promise<string[][]> {
  const authority = generateKeyPair()
  const pem = issueAuthority(authority, Date.now(), systemRandom)
  const issuer = readX509(pem)!.subject.slice('CN='.length)
  const keys = firstGossipKeys(systemRandom.bytes(32))
  const member = async (name: string): Promise<SealedTransport> => {
    const key = generateKeyPair()
    const subject = { name, address: '127.0.0.1' as Ip, publicKey: key.publicKey }
    const certificate = issueMember({ key: authority, issuer }, subject, Date.now(), systemRandom)
    const standing = {
      name,
      context: tlsContext({ key, pem: certificate }),
      authority: readX509(pem)!,
      keys,
      certificate: readCertificate(certificate)!,
      key: key.privateKey,
      isEvicted: () => false,
    }
    return new SealedTransport({
      inner: await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 }),
      clock: systemClock,
      random: systemRandom,
      membership: () => standing,
      enrol: async () => {},
      evicted: () => {},
      note: () => {},
      count: () => {},
    })
  }
  const [one, two] = [await member('host1'), await member('host2')]
  const { signal } = new AbortController()
  two.onPacket(() => {})
  one.onPacket(() => {})
  // A member that is known by its packets is not held to the rate of others.
  one.send(new Uint8Array(1), two.advertise)
  two.onStream((stream) => stream.close())
  await new Promise((resolve) => setTimeout(resolve, 100))
  const times: number[] = []
  for (let i = 0; i < 100; i++) {
    const started = performance.now()
    const stream = await one.dial(two.advertise, { signal })
    for await (const chunk of stream) void chunk
    times.push(performance.now() - started)
    stream.close()
  }
  await one.close()
  await two.close()
  return [['a stream: TCP, TLS, certificates, closed', spread(times.slice(20), 'ms', 1)]]
}

print(
  table(
    ['sealed transport', `${rounds} rounds of ${packets}`],
    [...packetRows(), ...(await streamRows())],
  ),
)
process.exit(0)
