import { expect } from 'chai'
import { SocketTransport } from 'memberlist-js'
import { sleep, systemClock } from '../../../src/base/clock.ts'
import { certificateValidityMs } from '../../../src/identity/certificates/rules.ts'
import { CheckedStream } from '../../../src/identity/streams/checked-stream.ts'
import { memberProtocol } from '../../../src/identity/streams/protocols.ts'
import { tlsClient, tlsContext } from '../../../src/identity/streams/tls-stream.ts'
import type { Endpoint, Stream, Transport } from '../../../src/identity/streams/transport.ts'
import { testMember } from './people.ts'
import { type SealedMember, TestCluster } from './test-cluster.ts'
import { VirtualWorld } from './virtual-world.ts'

const signal = new AbortController().signal
const hourMs = 3_600_000

async function read(stream: Stream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += Buffer.from(chunk).toString()
  return text
}

/** Answers each stream with who opened it and what it said up to a line feed. */
function echo({ transport }: SealedMember): void {
  transport.onStream((stream, from) => void answer(stream, from).catch(() => stream.destroy()))
  async function answer(stream: Stream, from: Endpoint): Promise<void> {
    let said = ''
    for await (const chunk of stream) {
      said += Buffer.from(chunk).toString()
      if (said.endsWith('\n')) break
    }
    await stream.write(Buffer.from(`${from.address} said ${said.length}`))
    stream.close()
  }
}

async function ask(from: SealedMember, to: Endpoint, said = 'hello\n'): Promise<string> {
  const stream = await from.transport.dial(to, { signal })
  try {
    await stream.write(Buffer.from(said))
    return await read(stream)
  } finally {
    stream.close()
  }
}

function errorOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: Error) => error.message,
  )
}

/** Two transports of each kind, and what makes time pass. */
const kinds = {
  async sockets() {
    const bind = () => SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0 })
    const transports: Transport[] = [await bind(), await bind()]
    return { transports, clock: systemClock, during: <T>(work: Promise<T>) => work }
  },
  async memory() {
    const world = new VirtualWorld()
    const transports: Transport[] = [world.at(1), world.at(2)]
    const during = <T>(work: Promise<T>) => world.during(work)
    return { transports, clock: world.clock(), during }
  },
}

for (const [kind, make] of Object.entries(kinds))
  describe(`identity/sealed-transport over ${kind}`, () => {
    let closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing) await close()
      closing = []
    })

    async function pair() {
      const { transports, clock, during } = await make()
      const cluster = new TestCluster(clock)
      const one = cluster.member('host1', transports[0]!)
      const two = cluster.member('host2', transports[1]!)
      closing.push(...transports.map((transport) => () => transport.close()))
      return { cluster, one, two, during, transports, clock, at: two.transport.advertise }
    }

    it('carries streams between members, long ones too, from whom the certificate says', async () => {
      const { one, two, during, at } = await pair()
      echo(two)
      const { address } = one.transport.advertise
      expect(await during(ask(one, at))).to.equal(`${address} said 6`)
      const long = `${'x'.repeat(3_000_000)}\n`
      expect(await during(ask(one, at, long))).to.equal(`${address} said 3000001`)
      expect([...one.notes, ...two.notes]).to.deep.equal([])
    })

    it('carries packets, from where the sender advertises', async () => {
      const { one, two, during, at } = await pair()
      const arrived = new Promise<string>((resolve) =>
        two.transport.onPacket((packet, from) =>
          resolve(`${from.address}:${from.port} ${Buffer.from(packet).toString()}`),
        ),
      )
      one.transport.onPacket(() => {})
      one.transport.send(Buffer.from('hello'), at)
      const { address, port } = one.transport.advertise
      expect(await during(arrived)).to.equal(`${address}:${port} hello`)
    })

    it('refuses a host of another cluster, by name on both sides', async () => {
      const { clock, transports, during, two, at } = await pair()
      echo(two)
      const other = new TestCluster(clock, { seed: 2 })
      const stranger = other.member('host9', transports[0]!)
      expect(await during(errorOf(ask(stranger, at)))).to.match(
        /certificate of host2 .* not of this cluster's authority: join it with a token/,
      )
      await during(errorOf(ask(stranger, at)))
      expect(stranger.notes[0]).to.match(/host2 certificate/)
    })

    it('tells a host whose certificate counts no more why, on both sides', async () => {
      const { cluster, transports, during, two, at, clock } = await pair()
      echo(two)
      const { address } = transports[0]!.advertise
      const expired = testMember(cluster.authority, 'host1', address, {
        now: clock.wall() - certificateValidityMs - 3 * hourMs,
      })
      const late = cluster.member('host1', transports[0]!, expired)
      expect(await during(errorOf(ask(late, at)))).to.match(
        /^host2 \(.*\) refuses this host: the certificate of host1 .* expired 3 h ago, or host2's clock is ahead/,
      )
      expect(two.notes[0]).to.match(/certificate of host1 .* expired 3 h ago, or this host's clock/)
      const early = testMember(cluster.authority, 'host1', address, {
        now: clock.wall() + 4 * hourMs,
      })
      const ahead = cluster.member('host1', transports[0]!, early)
      expect(await during(ask(ahead, at))).to.match(/ said 6$/)
      expect(two.notes.at(-1)).to.match(
        /^host1 clock: the certificate of host1 .* not yet valid: is this host's clock 3 h behind\?/,
      )
      cluster.evicted.add(two.member.certificate.identity)
      const { one } = { one: cluster.member('host1', transports[0]!) }
      expect(await during(errorOf(ask(one, at)))).to.match(/host2 .* was evicted/)
    })

    it('takes no session for a certificate: who was evicted meanwhile is refused', async () => {
      const { cluster, one, two, during, at } = await pair()
      echo(two)
      await during(ask(one, at))
      cluster.evicted.add(one.member.certificate.identity)
      expect(await during(errorOf(ask(one, at)))).to.match(/refuses this host: host1 .* evicted/)
      expect(one.notes).to.include('evicted')
    })

    it('takes no member for another, unless it is asked as a seed', async () => {
      const { cluster, transports, during, two, at } = await pair()
      const own = testMember(cluster.authority, 'host3', '203.0.113.3', {
        now: cluster.clock.wall(),
      })
      const three = cluster.member('host3', transports[1]!, own)
      void two
      echo(three)
      const one = cluster.member('host1', transports[0]!)
      expect(await during(errorOf(ask(one, at)))).to.match(/host3 \(203.* came from .*ADVERTISE/)
      expect(await one.transport.resolve(at.address)).to.deep.equal([at.address])
      expect(await during(errorOf(ask(one, at)))).to.equal('no error')
    })

    it('tells a host without a certificate that it needs one, and lets nothing through', async () => {
      const { two, during, at, transports } = await pair()
      let served = 0
      two.transport.onStream(() => served++)
      const raw = await during(transports[0]!.dial(at, { signal }))
      const options = { context: tlsContext(), protocols: [memberProtocol], maxBytes: 16_384 }
      const tls = await during(tlsClient(raw, options))
      const said = await during(read(new CheckedStream(tls, 'host2')).catch(String))
      expect(said).to.match(/host2 refuses this host: a host without a certificate has to join/)
      const plain = await during(transports[0]!.dial(at, { signal }))
      await during(plain.write(Buffer.from('GET / HTTP/1.0\r\n\r\n')))
      await during(read(plain).catch(String))
      expect(served).to.equal(0)
      expect(two.counts).to.deep.equal(['stream-refused', 'stream-refused'])
      expect(two.notes.at(-1)).to.match(/ stream: .*no TLS with the other side: /)
    })

    it('makes nothing of a connection that ends within the handshake', async () => {
      if (kind === 'sockets') return
      const { cluster, two, during, at, transports } = await pair()
      two.transport.onStream(() => undefined)
      const raw = await during(transports[0]!.dial(at, { signal }))
      await during(raw.write(Buffer.from([0x16])))
      await during(sleep(cluster.clock, 6000))
      raw.destroy()
      await during(sleep(cluster.clock, 100))
      expect(two.counts).to.deep.equal(['stream-refused'])
      expect(two.notes).to.deep.equal([])
    })

    it('gives up a dial when told to', async () => {
      const { one, two, during, at } = await pair()
      const controller = new AbortController()
      void two
      const dialling = one.transport.dial(at, { signal: controller.signal })
      controller.abort(new Error('enough'))
      expect(await during(errorOf(dialling))).to.equal('enough')
    })
  })
