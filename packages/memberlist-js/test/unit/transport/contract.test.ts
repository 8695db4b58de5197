import { expect } from 'chai'
import { once } from 'node:events'
import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import { connect } from 'node:net'
import {
  MemoryNetwork,
  seededRandom,
  SocketTransport,
  systemClock,
  type SocketAddress,
  type Stream,
  type Transport,
  VirtualClock,
} from 'memberlist-js'
import { bytes, text } from '../../support/cluster.ts'
import { scaled } from '../../support/time.ts'

type Maker = () => Promise<readonly [Transport, Transport]>

async function sockets(address: string): Promise<readonly [Transport, Transport]> {
  const options = { bindAddress: address, port: 0 }
  return [await SocketTransport.bind(options), await SocketTransport.bind(options)]
}

async function memory(): Promise<readonly [Transport, Transport]> {
  const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) })
  const [a, b] = ['10.0.0.1', '10.0.0.2'].map((address) => network.transport({ address, port: 1 }))
  return [a!, b!]
}

contract('UDP and TCP', async () => await sockets('127.0.0.1'))
contract('UDP and TCP over IPv6', async () => await sockets('::1'))
contract('memory', memory)

describe('hosts in memory', () => {
  it('do not lose their place when the host before them is closed once more', async () => {
    const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) })
    const place = { address: '10.0.0.1', port: 1 }
    const other = network.transport({ address: '10.0.0.2', port: 1 })
    const former = network.transport(place)
    await former.close()
    const present = network.transport(place)
    await former.close()
    const received = new Promise<string>((resolve) => {
      present.onPacket((packet) => resolve(text(packet)))
    })
    other.send(bytes('hello'), place)
    expect(await received).to.equal('hello')
  })
})

describe('ways in memory', () => {
  it('are closed in one direction alone', async () => {
    const { network, clock, a, b } = hostsInVirtualTime()
    const received: string[] = []
    for (const host of [a, b]) host.onPacket((packet) => received.push(text(packet)))
    network.passes = (from) => from !== '10.0.0.1:1'
    a.send(bytes('there'), b.advertise)
    b.send(bytes('back'), a.advertise)
    await clock.advance(10)
    expect(received).to.deep.equal(['back'])
  })

  it('leave no hole in a stream: after a cut nothing of it arrives', async () => {
    const { network, clock, a, b } = hostsInVirtualTime()
    const received: string[] = []
    const read = async (stream: Stream): Promise<void> => {
      for await (const chunk of stream) received.push(text(chunk))
    }
    b.onStream((stream) => void read(stream))
    const signal = AbortSignal.timeout(60_000)
    const dialled = a.dial(b.advertise, { signal })
    await clock.advance(10)
    const stream = await dialled
    await stream.write(bytes('before'))
    await clock.advance(10)
    network.passes = () => false
    await stream.write(bytes('in the cut'))
    await clock.advance(10)
    network.passes = () => true
    await stream.write(bytes('after'))
    await clock.advance(10_000)
    expect(received).to.deep.equal(['before'])
  })
})

function hostsInVirtualTime() {
  const clock = new VirtualClock()
  const onStreamProgress = (): void => clock.settle()
  const network = new MemoryNetwork({ clock, random: seededRandom(1), onStreamProgress })
  const a = network.transport({ address: '10.0.0.1', port: 1 })
  const b = network.transport({ address: '10.0.0.2', port: 1 })
  return { network, clock, a, b }
}

function contract(name: string, make: Maker): void {
  describe(`transport over ${name}`, () => {
    let a: Transport
    let b: Transport

    beforeEach(async () => {
      ;[a, b] = await make()
    })
    afterEach(async () => await Promise.all([a.close(), b.close()]))

    const signal = () => AbortSignal.timeout(scaled(2000))

    it('carries packets, and tells where from and when', async () => {
      const before = systemClock.now()
      const received = new Promise<readonly [string, SocketAddress, number]>((resolve) => {
        b.onPacket((packet, from, at) => resolve([text(packet), from, at]))
      })
      a.send(bytes('hello'), b.advertise)
      const [packet, from, at] = await received
      expect(packet).to.equal('hello')
      expect(from).to.deep.equal(a.advertise)
      expect(at).to.be.within(before, systemClock.now())
    })

    it('does not mind packets to nobody, nor after the end', async () => {
      a.send(bytes('x'), { address: a.advertise.address, port: 9 })
      await a.close()
      a.send(bytes('x'), b.advertise)
      await a.close()
    })

    it('carries streams both ways, to the end', async () => {
      const served = new Promise<void>((resolve) => {
        b.onStream((stream) => void echo(stream).then(resolve))
      })
      const stream = await a.dial(b.advertise, { signal: signal() })
      const large = new Uint8Array(1 << 20).map((_, i) => i)
      const sending = stream.write(large)
      const back: Uint8Array[] = []
      for await (const chunk of stream) {
        back.push(chunk)
        if (back.reduce((sum, { length }) => sum + length, 0) === large.length) break
      }
      await sending
      stream.close()
      await served
      expect(Buffer.compare(Buffer.concat(back), large)).to.equal(0)
    })

    it('refuses a stream where nobody listens', async () => {
      const nobody = { address: a.advertise.address, port: 9 }
      const failure = await a
        .dial(nobody, { signal: signal() })
        .catch((error: Error) => error.message)
      expect(failure).to.match(/ECONNREFUSED/)
    })

    it('breaks a stream for both when one destroys it', async () => {
      const accepted = new Promise<Stream>((resolve) => b.onStream(resolve))
      const stream = await a.dial(b.advertise, { signal: signal() })
      const other = await accepted
      await stream.write(bytes('x'))
      stream.destroy(new Error('enough'))
      const outcomes = await Promise.all(
        [stream, other].map(async (each) => await readAll(each).then(text, () => 'broken')),
      )
      expect(outcomes[0]).to.equal('broken')
      // A connection that is dropped with nothing unread ends in order on TCP.
      expect(outcomes[1]).to.be.oneOf(['broken', 'x'])
      expect(await stream.write(bytes('y')).catch(() => 'broken')).to.equal('broken')
    })

    it('gives up dialling with the reason of the signal', async () => {
      const aborted = AbortSignal.abort(new Error('too late'))
      const failure = await a
        .dial(b.advertise, { signal: aborted })
        .catch((error: Error) => error.message)
      expect(failure).to.equal('too late')
    })
  })
}

describe('the socket transport', () => {
  it('fails to bind a port that is taken', async () => {
    const first = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 })
    const again = SocketTransport.bind({ bindAddress: '127.0.0.1', port: first.advertise.port })
    const failure = await again.catch((error: { code: string }) => error.code)
    await first.close()
    expect(failure).to.equal('EADDRINUSE')
  })

  it('advertises what it is told to', async () => {
    const advertise = { address: '192.0.2.1' }
    const transport = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0, advertise })
    await transport.close()
    expect(transport.advertise.address).to.equal('192.0.2.1')
    expect(transport.advertise.port).to.be.greaterThan(0)
  })

  it('with both families reaches IPv4 and shows it as such', async () => {
    const both = await SocketTransport.bind({ bindAddress: '::', port: 0 })
    const four = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 })
    const received = new Promise<SocketAddress>((resolve) =>
      four.onPacket((_, from) => resolve(from)),
    )
    both.send(bytes('x'), four.advertise)
    const answered = new Promise<SocketAddress>((resolve) =>
      both.onPacket((_, from) => resolve(from)),
    )
    four.send(bytes('y'), await received)
    expect(await answered).to.deep.equal(four.advertise)
    await Promise.all([both.close(), four.close()])
  })

  it('resolves names', async () => {
    const transport = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 })
    const found = [await transport.resolve('localhost'), await transport.resolve('192.0.2.7')]
    await transport.close()
    expect(found).to.deep.equal([['127.0.0.1'], ['192.0.2.7']])
  })

  it('refuses a name that has only addresses which its socket cannot reach', async () => {
    const real = dns.lookup
    const only = async () => [{ address: '2001:db8::7', family: 6 }]
    dns.lookup = only as unknown as typeof dns.lookup
    syncBuiltinESMExports()
    try {
      const found: unknown[] = []
      for (const bindAddress of ['127.0.0.1', '::']) {
        const transport = await SocketTransport.bind({ bindAddress, port: 0 })
        found.push(await transport.resolve('six').catch(({ message }: Error) => message))
        await transport.close()
      }
      expect(found[0]).to.match(/^six has no IPv4 address: /)
      expect(found[1]).to.deep.equal(['2001:db8::7'])
    } finally {
      dns.lookup = real
      syncBuiltinESMExports()
    }
  })

  it('drops open connections when it closes', async () => {
    const transport = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 })
    transport.onStream(() => undefined)
    const socket = connect({ host: '127.0.0.1', port: transport.advertise.port })
    await once(socket, 'connect')
    socket.on('error', () => undefined)
    const closed = once(socket, 'close')
    await transport.close()
    socket.end()
    await closed
  })
})

async function echo(stream: Stream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk)
  stream.close()
}

async function readAll(stream: Stream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
