import { expect } from 'chai'
import { Keyring } from 'memberlist-js'
import { bytes, Cluster, endpointOf, text } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'

describe(`user messages (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('a broadcast reaches everybody when those who get it pass it on', async () => {
    const lists = await cluster.assemble(20)
    const got = lists.map(() => new Set<string>())
    lists.forEach((list, i) => {
      list.on('message', (payload) => {
        const message = text(payload)
        if (!got[i]!.has(message)) void list.broadcast(payload)
        got[i]!.add(message)
      })
    })
    await cluster.run(lists[0]!.broadcast(bytes('hello')))
    await cluster.clock.advance(1500)
    expect(got.filter((set) => set.has('hello')).length).to.equal(20)
  })

  it('a broadcast goes out as often as the cluster needs, once per packet', async () => {
    const lists = await cluster.assemble(2)
    let count = 0
    lists[1]!.on('message', () => count++)
    await cluster.run(lists[0]!.broadcast(bytes('hello')))
    await cluster.clock.advance(1000)
    expect(count).to.equal(4)
  })

  it('a broadcast with the same key replaces one that waits', async () => {
    const lists = await cluster.assemble(2, { config: { gossipIntervalMs: 1000 } })
    const got = new Set<string>()
    lists[1]!.on('message', (payload) => got.add(text(payload)))
    const old = lists[0]!.broadcast(bytes('old'), { key: 'k' })
    const fresh = lists[0]!.broadcast(bytes('new'), { key: 'k' })
    await cluster.run(Promise.all([old, fresh]))
    await cluster.clock.advance(10)
    expect([...got]).to.deep.equal(['new'])
  })

  it('4,096 broadcasts wait, and more push out others', async () => {
    const lists = await cluster.assemble(2, { config: { gossipIntervalMs: 60_000 } })
    let finished = 0
    for (let i = 0; i < 5000; i++) {
      void lists[0]!.broadcast(bytes(`${i}`)).then(() => finished++)
    }
    await Promise.resolve()
    await cluster.clock.advance(0)
    expect(finished).to.equal(5000 - 4096)
  })

  it('go to one member over UDP or TCP, by name or address', async () => {
    const lists = await cluster.assemble(3)
    const got: string[] = []
    lists[1]!.on('message', (payload) => got.push(text(payload)))
    await lists[0]!.send('m1', bytes('by name'))
    await lists[0]!.send(endpointOf(1), bytes('by address'))
    await cluster.clock.advance(100)
    await cluster.run(lists[0]!.send('m1', bytes('reliably'), { reliable: true }))
    expect(got.sort()).to.deep.equal(['by address', 'by name', 'reliably'])
  })

  it('of some MiB go over TCP', async () => {
    const lists = await cluster.assemble(2)
    const large = new Uint8Array(3 << 20).map((_, i) => i)
    let got: Uint8Array = new Uint8Array()
    lists[1]!.on('message', (payload) => (got = payload))
    await cluster.run(lists[0]!.send('m1', large, { reliable: true }))
    expect(Buffer.compare(got, large)).to.equal(0)
  })

  it('a reliable one to somebody who is gone fails', async () => {
    const lists = await cluster.assemble(2)
    await lists[1]!.close()
    const failure = await cluster.run(
      lists[0]!.send('m1', bytes('x'), { reliable: true }).catch((error: Error) => error.message),
    )
    expect(failure).to.match(/ECONNREFUSED/)
  })

  it('longer than allowed are refused, with the remedy', async () => {
    const lists = await cluster.assemble(2)
    const [list] = lists
    const fails = async (sending: Promise<void>) =>
      await sending.then(
        () => 'sent',
        (error: { code: string }) => error.code,
      )
    expect(await fails(list!.send('m1', new Uint8Array(list!.maxPacketPayload)))).to.equal('sent')
    expect(await fails(list!.send('m1', new Uint8Array(list!.maxPacketPayload + 1)))).to.equal(
      'payload-too-large',
    )
    expect(await fails(list!.broadcast(new Uint8Array(list!.maxBroadcastPayload + 1)))).to.equal(
      'payload-too-large',
    )
    expect(
      await fails(list!.send('m1', new Uint8Array((16 << 20) + 1), { reliable: true })),
    ).to.equal('payload-too-large')
    expect(await fails(list!.send('nobody', bytes('x')))).to.equal('unknown-member')
  })

  it('the longest one fills a packet exactly, whatever protects it', async () => {
    const variants = [
      {},
      { label: 'blue' },
      { keyring: new Keyring([new Uint8Array(16)]) },
      {
        keyring: new Keyring([new Uint8Array(32)]),
        label: 'blue',
        config: { encryptionVersion: 0 as const },
      },
    ]
    for (const options of variants) {
      await using own = new Cluster(SEED)
      const lists = await own.assemble(2, options)
      await own.clock.advance(5000)
      const sizes: number[] = []
      const received = new Promise<void>((resolve) => lists[1]!.once('message', () => resolve()))
      const send = own.network.transport.bind(own.network)
      void send
      const before = own.network.traffic.bytes
      const packets = own.network.traffic.packets
      await lists[0]!.send('m1', new Uint8Array(lists[0]!.maxPacketPayload))
      expect(own.network.traffic.packets - packets).to.equal(1)
      sizes.push(own.network.traffic.bytes - before)
      await own.run(received, 1000)
      expect(sizes[0]).to.be.within(1400 - 16, 1400)
      if (options.config === undefined) expect(sizes[0]).to.equal(1400)
    }
  })

  it('a delegate fills packets to the brim, never beyond', async () => {
    let asked = 0
    const got = new Set<string>()
    const payloads = Array.from({ length: 200 }, (_, i) =>
      bytes(`payload ${i} `.repeat(1 + (i % 7))),
    )
    const waiting = [...payloads]
    const lists = await cluster.assemble(2)
    await cluster.clock.advance(5000)
    const sender = cluster.add({
      delegate: {
        drain(overhead, limit) {
          asked++
          const taken: Uint8Array[] = []
          for (let used = 0; waiting.length > 0;) {
            used += waiting[0]!.length + overhead
            if (used > limit) break
            taken.push(waiting.shift()!)
          }
          return taken
        },
      },
    })
    lists[0]!.on('message', (payload) => got.add(text(payload)))
    lists[1]!.on('message', (payload) => got.add(text(payload)))
    await cluster.run(sender.join(['10.0.0.1']))
    await cluster.until(() => got.size === payloads.length, 10_000)
    expect(got.size).to.equal(payloads.length)
    expect(asked).to.be.greaterThan(5)
  })

  it('1,024 pings may wait for an answer, until the end', async () => {
    const lists = await cluster.assemble(2)
    const outcome = async () =>
      await lists[0]!.ping('m1').catch((error: { code: string }) => error.code)
    const codes = async (count: number) =>
      new Set(await cluster.run(Promise.all(Array.from({ length: count }, outcome))))
    cluster.network.partition([[endpointOf(0)], [endpointOf(1)]])
    expect(await codes(1024)).to.deep.equal(new Set(['timed-out']))
    expect(await codes(1025)).to.deep.equal(new Set(['timed-out', 'overloaded']))
    // There is room again, with a signal as well.
    const aborted = new Error('mine')
    const controller = new AbortController()
    const waiting = lists[0]!.ping('m1', { signal: controller.signal })
    controller.abort(aborted)
    expect(await waiting.catch((error: unknown) => error)).to.equal(aborted)
    const left = outcome()
    await lists[0]!.close()
    expect(await left).to.equal('not-running')
  })

  it('a ping tells the round trip, or that there is none', async () => {
    const lists = await cluster.assemble(2)
    const rtt = await cluster.run(lists[0]!.ping('m1'))
    expect(rtt).to.be.within(0.4, 2)
    cluster.stop(1)
    const failure = await cluster.run(lists[0]!.ping('m1').catch((error: unknown) => error))
    expect(failure).to.have.property('code', 'timed-out')
  })
})
