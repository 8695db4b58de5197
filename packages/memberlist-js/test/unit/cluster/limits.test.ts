import { expect } from 'chai'
import { Keyring, type Stream, type Transport } from 'memberlist-js'
import { MsgpackWriter } from '../../../src/wire/msgpack/msgpack-writer.ts'
import { Cluster, endpointOf } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'
import { fromHex } from '../../support/vectors.ts'

describe(`limits of streams (SEED=${SEED})`, () => {
  let cluster: Cluster
  let outsider: Transport

  beforeEach(() => {
    cluster = new Cluster(SEED)
    outsider = cluster.network.transport({ address: '10.9.9.9', port: 1 })
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  const dial = async (from = outsider): Promise<Stream> =>
    await cluster.run(from.dial(endpointOf(0), { signal: AbortSignal.timeout(5000) }))

  /** Sends these bytes to m0 and returns what it counted. */
  const counted = async (bytes: Uint8Array) => {
    const stream = await dial()
    await stream.write(bytes)
    await cluster.clock.advance(100)
    return cluster.lists[0]!.counters
  }
  const header = (entries: readonly (readonly [name: string, value: number])[]) => {
    const writer = new MsgpackWriter().mapHead(entries.length)
    for (const [name, value] of entries) writer.string(name).unsigned(value)
    return Buffer.from(writer.finish())
  }

  it('serves 32 of one address at once, so that another one can join', async () => {
    const list = cluster.add()
    for (let i = 0; i < 40; i++) await dial()
    await cluster.clock.advance(10)
    expect(list.counters['stream-overload']).to.equal(8)
    const member = cluster.add()
    expect((await cluster.run(member.join(['10.0.0.1']))).contacted).to.equal(1)
  })

  it('serves 64 of no member at once, and keeps as many for members', async () => {
    const [list, member] = [cluster.add(), cluster.add()]
    await cluster.run(cluster.joinFirst())
    const outsiders = [2, 3, 4].map((part) =>
      cluster.network.transport({ address: `10.9.9.${part}`, port: 1 }),
    )
    for (const from of outsiders) for (let i = 0; i < 30; i++) await dial(from)
    await cluster.clock.advance(10)
    expect(list.counters['stream-overload']).to.equal(26)
    const newcomer = cluster.add()
    expect((await cluster.run(newcomer.join(['10.0.0.1']))).contacted).to.equal(0)
    await cluster.run(member.send('m0', new Uint8Array(3), { reliable: true }))
    // Those that say nothing are dropped in the end, and there is room again.
    await cluster.clock.advance(10_000)
    expect(list.counters['stream-timed-out']).to.equal(64)
    expect((await cluster.run(newcomer.join(['10.0.0.1']))).contacted).to.equal(1)
  })

  it('holds 80 MiB of all of them together', async () => {
    const list = cluster.add({ keyring: new Keyring([new Uint8Array(16)]) })
    // An encrypted frame of 20 MiB that does not end.
    const begun = Buffer.alloc(19 << 20)
    begun.set([0x0a, 0x01, 0x40, 0x00, 0x00])
    const bringing = Math.floor((80 << 20) / begun.length)
    for (let i = 0; i < bringing + 3; i++) await (await dial()).write(begun)
    await cluster.clock.advance(100)
    expect(list.counters['stream-overload']).to.equal(3)
    // When they have timed out, there is room again.
    await cluster.clock.advance(10_000)
    expect((await counted(begun))['stream-overload']).to.equal(3)
    expect(list.counters['stream-timed-out']).to.equal(bringing)
  })

  it('refuses a state of too many members or bytes before it comes', async () => {
    cluster.add()
    const pushPull = Buffer.of(6)
    const members = header([['Nodes', 65_537]])
    expect((await counted(Buffer.concat([pushPull, members])))['stream-too-large']).to.equal(1)
    const state = header([['UserStateLen', (20 << 20) + 1]])
    expect((await counted(Buffer.concat([pushPull, state])))['stream-too-large']).to.equal(2)
  })

  it('refuses a user message that is too long before it comes', async () => {
    cluster.add()
    const message = Buffer.concat([Buffer.of(8), header([['UserMsgLen', (16 << 20) + 1]])])
    expect((await counted(message))['stream-too-large']).to.equal(1)
  })

  it('refuses an encrypted frame that is too long before it comes', async () => {
    cluster.add({ keyring: new Keyring([new Uint8Array(16)]) })
    expect((await counted(fromHex('0a01400001')))['stream-too-large']).to.equal(1)
  })

  it('refuses what expands too far', async () => {
    cluster.add()
    const { compress } = await import('../../../src/wire/layers/compress.ts')
    // 1 MiB of zeros is 1.5 KB: 700 times as much.
    expect((await counted(compress(new Uint8Array(1 << 20))))['stream-too-large']).to.equal(1)
  })

  it('refuses names that are too long, and structs of too many fields, before they come', async () => {
    cluster.add()
    const pushPull = Buffer.concat([Buffer.of(6), header([['Nodes', 1]])])
    // A map of one field, "Name", whose value has 40 MB.
    const longName = Buffer.concat([pushPull, fromHex('81a44e616d65db02625a00')])
    expect((await counted(longName))['stream-too-large']).to.equal(1)
    expect(
      (await counted(Buffer.concat([pushPull, fromHex('dfffffffff')])))['stream-too-large'],
    ).to.equal(2)
    const long = [pushPull, fromHex('82a4'), Buffer.from('Meta'), fromHex('c600100000')]
    expect(
      (await counted(Buffer.concat([...long, Buffer.alloc(70_000)])))['stream-too-large'],
    ).to.equal(3)
  })

  it('opens 512 streams at once', async () => {
    const list = cluster.add()
    cluster.add()
    cluster.network.partition([[endpointOf(0)]])
    const sending = Array.from({ length: 513 }, async () => {
      const failure = list.send(endpointOf(1), new Uint8Array(), { reliable: true })
      return await failure.catch((error: { code: string }) => error.code)
    })
    const outcomes = await cluster.run(Promise.all(sending))
    expect(outcomes.filter((code) => code === 'overloaded').length).to.equal(1)
    expect(outcomes.filter((code) => code === 'timed-out').length).to.equal(512)
  })

  it('takes a large application state', async () => {
    const state = new Uint8Array(5 << 20).map((_, i) => i * 7)
    let got = new Uint8Array()
    cluster.add({ delegate: { mergeState: (bytes) => (got = Uint8Array.from(bytes)) } })
    cluster.add({ delegate: { localState: () => state } })
    await cluster.run(cluster.joinFirst())
    expect(Buffer.compare(got, state)).to.equal(0)
  })
})
