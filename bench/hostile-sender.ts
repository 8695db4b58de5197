/**
 * Sends 10 MB/s of one kind of hostile traffic until its standard input ends, and then says how many
 * bytes it sent:
 *
 *     node --conditions=source bench/hostile-sender.ts KIND FROM TO
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { memberProtocol } from '../src/identity/streams/protocols.ts'
import { addLabel } from '../packages/memberlist-js/src/wire/layers/label.ts'
import { compress } from '../packages/memberlist-js/src/wire/layers/compress.ts'
import { encodeMessage } from '../packages/memberlist-js/src/wire/messages.ts'

const bytesPerSecond = 10_000_000
const gossipPort = 7946
const vxlanPort = 4789
const stepMs = 5
/** Connections at a time, of the kinds that have some. */
const maxConnections = 200

/** Each returns how many bytes one call sends. */
type Sender = (from: string, to: string) => () => number

function packets(port: number, make: () => Uint8Array): Sender {
  return (from, to) => {
    const socket = createSocket('udp4')
    socket.bind(0, from)
    return () => {
      const packet = make()
      socket.send(packet, port, to, () => {})
      return packet.length
    }
  }
}

function connections(use: (socket: Socket) => number, isTls = false): Sender {
  return (from, to) => {
    let open = 0
    return () => {
      if (open >= maxConnections) return 0
      open++
      const options = { host: to, port: gossipPort, localAddress: from }
      const tls = { ...options, ALPNProtocols: [memberProtocol], rejectUnauthorized: false }
      const socket = isTls ? connectTls(tls) : connectTcp(options)
      socket.on('error', () => {})
      socket.on('close', () => open--)
      socket.resume()
      return use(socket)
    }
  }
}

const label = Buffer.from('ts-overlay')
const ping = { seqNo: 9, node: '', sourceAddr: Uint8Array.of(192, 0, 2, 2), sourcePort: 7946 }
const alive = {
  incarnation: 2 ** 32 - 1,
  node: 'a'.repeat(60_000),
  addr: Uint8Array.of(192, 0, 2, 66),
  port: 7946,
  meta: null,
  vsn: Uint8Array.of(1, 5, 2, 16, 16, 16),
}
const plainPing = addLabel(
  encodeMessage({ type: 'ping', body: { ...ping, sourceNode: 'ghost' } }),
  label,
)
const bomb = addLabel(compress(encodeMessage({ type: 'alive', body: alive })), label)
/** A sealed packet's header of a made-up session, in two lengths. */
const sealed = (kind: number, bytes: number): Buffer => {
  const packet = randomBytes(bytes)
  packet[0] = kind
  packet.writeUInt32BE(1, 1)
  packet.set([4, 192, 0, 2, 2, 0x1f, 0x0a], 27)
  return packet
}
const junk = randomBytes(1200)

export const hostileKinds: Readonly<Record<string, Sender>> = {
  'random packets': packets(gossipPort, () => randomBytes(1200)),
  'gossip in the clear': packets(gossipPort, () => plainPing),
  'compressed packets': packets(gossipPort, () => bomb),
  'sealed packets of no session': packets(gossipPort, () => sealed(0xb1, 300)),
  'messages about sessions': packets(gossipPort, () => sealed(0xb2, 80)),
  'frames to VXLAN': packets(vxlanPort, () => junk),
  'connections that say nothing': connections(() => 1000),
  'connections with junk': connections((socket) => {
    for (let i = 0; i < 14; i++) socket.write(junk)
    return 14 * junk.length
  }),
  'TLS without a certificate': connections(() => 3000, true),
}

if (import.meta.main) {
  const [kind, from, to] = process.argv.slice(2) as [string, string, string]
  const over = new AbortController()
  process.stdin.on('end', () => over.abort()).resume()
  const send = hostileKinds[kind]!(from, to)
  const began = performance.now()
  let sent = 0
  while (!over.signal.aborted) {
    const due = ((performance.now() - began) / 1000) * bytesPerSecond
    // What a busy machine could not send is not made up for: a burst is another kind of traffic.
    const most = sent + (bytesPerSecond * 4 * stepMs) / 1000
    while (sent < Math.min(due, most)) {
      const bytes = send()
      if (bytes === 0) break
      sent += bytes
    }
    await sleep(stepMs)
  }
  process.stdout.write(String(sent))
  process.exit(0)
}
