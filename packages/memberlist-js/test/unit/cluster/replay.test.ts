import { expect } from 'chai'
import { Keyring, type SocketAddress, type Transport } from 'memberlist-js'
import { bytes, Cluster, endpointOf, present, record, text } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'

const SIZE = 3
const key = new Uint8Array(32).fill(5)

interface Recorded {
  readonly bytes: Uint8Array
  readonly to: SocketAddress
}

describe(`an eavesdropper who sends everything again (SEED=${SEED})`, () => {
  let cluster: Cluster
  let packets: Recorded[]
  let streams: Recorded[]
  let messages: string[]

  beforeEach(() => {
    cluster = new Cluster(SEED)
    packets = []
    streams = []
    messages = []
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  /** Writes down what goes out, packets and what diallers say. */
  function recorded(transport: Transport): Transport {
    const send = transport.send.bind(transport)
    transport.send = (packet, to) => {
      packets.push({ bytes: packet, to })
      send(packet, to)
    }
    const dial = transport.dial.bind(transport)
    transport.dial = async (to, options) => {
      const stream = await dial(to, options)
      const write = stream.write.bind(stream)
      stream.write = async (bytes) => {
        streams.push({ bytes, to })
        await write(bytes)
      }
      return stream
    }
    return transport
  }

  async function assemble(keyring?: Keyring): Promise<void> {
    for (let i = 0; i < SIZE; i++) {
      const transport = recorded(cluster.network.transport(endpointOf(i)))
      const list = cluster.add({ transport, ...(keyring && { keyring }) })
      list.on('message', (payload) => messages.push(`m${i} ${text(payload)}`))
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(10_000)
    const [first, second] = cluster.lists
    await first!.send('m1', bytes('over UDP'))
    await cluster.run(second!.send('m2', bytes('over TCP'), { reliable: true }))
    await cluster.clock.advance(1000)
    expect(messages).to.have.members(['m1 over UDP', 'm2 over TCP'])
  }

  /** Sends it all again, and returns how much that was and what the streams were answered. */
  async function replayAll() {
    const [again, dials] = [packets.splice(0), streams.splice(0)]
    const attacker = cluster.network.transport({ address: '10.66.6.6', port: 666 })
    const answer: Uint8Array[] = []
    for (const { bytes, to } of again) attacker.send(bytes, to)
    for (const { bytes, to } of dials) {
      const { signal } = new AbortController()
      const stream = await cluster.run(attacker.dial(to, { signal }))
      await stream.write(bytes)
      const listen = async () => {
        for await (const chunk of stream) answer.push(chunk)
      }
      await cluster.run(listen().catch(() => undefined))
    }
    await cluster.clock.advance(2000)
    return { packets: again.length, streams: dials.length, answer }
  }

  const counted = (name: string) =>
    cluster.lists.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0)

  it('is counted, packet by packet and stream by stream, and believed in nothing', async () => {
    await assemble(new Keyring([key]))
    const seen = cluster.lists.map(record)
    const sent = await replayAll()
    expect(sent.packets).to.be.greaterThan(50)
    expect(sent.streams).to.be.at.least(SIZE)
    expect(counted('packet-replayed')).to.equal(sent.packets)
    expect(counted('stream-replayed')).to.equal(sent.streams)
    expect(sent.answer).to.deep.equal([])
    expect(messages.length).to.equal(2)
    expect(seen).to.deep.equal([[], [], []])
    expect(cluster.lists.map((list) => present(list).length)).to.deep.equal([3, 3, 3])
  })

  it('is heard where nothing is encrypted, which is why the README wants a key', async () => {
    await assemble()
    await replayAll()
    expect(messages).to.include.members(['m1 over UDP', 'm2 over TCP'])
    expect(messages.length).to.equal(4)
    expect(cluster.lists.map((list) => present(list).length)).to.deep.equal([3, 3, 3])
  })

  it('is kept out while a cluster migrates to encryption, too', async () => {
    const keyring = new Keyring([key])
    for (let i = 0; i < SIZE; i++) {
      const transport = recorded(cluster.network.transport(endpointOf(i)))
      cluster.add({ transport, keyring, config: { verifyIncoming: false } })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(5000)
    const sent = await replayAll()
    expect(counted('packet-replayed')).to.equal(sent.packets)
    expect(counted('stream-replayed')).to.equal(sent.streams)
  })

  it('a network that doubles every packet does no harm', async () => {
    cluster.network.conditions = { ...cluster.network.conditions, duplication: 1 }
    await assemble(new Keyring([key]))
    const seen = cluster.lists.map(record)
    await cluster.clock.advance(60_000)
    expect(seen).to.deep.equal([[], [], []])
    expect(counted('packet-replayed')).to.equal(packets.length)
    expect(messages).to.have.members(['m1 over UDP', 'm2 over TCP'])
  })
})
