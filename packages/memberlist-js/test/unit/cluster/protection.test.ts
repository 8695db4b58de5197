import { expect } from 'chai'
import { Keyring } from 'memberlist-js'
import { bytes, Cluster, endpointOf, present, text } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'

const keyA = new Uint8Array(16).fill(1)
const keyB = new Uint8Array(32).fill(2)

describe(`protection (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('members with a common key form a cluster; nothing of it goes out in clear', async () => {
    const secret = 'the secret meta'
    const sent: Uint8Array[] = []
    for (let i = 0; i < 3; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const send = transport.send.bind(transport)
      transport.send = (packet, to) => {
        sent.push(packet)
        send(packet, to)
      }
      const keyring = new Keyring([keyA])
      cluster.add({ transport, keyring, delegate: { meta: () => bytes(secret) } })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(3000)
    expect(cluster.lists.map((list) => list.numberOfMembers)).to.deep.equal([3, 3, 3])
    expect(sent.length).to.be.greaterThan(20)
    expect(sent.filter((packet) => packet[0] !== 1)).to.deep.equal([])
    expect(sent.filter((packet) => text(packet).includes(secret))).to.deep.equal([])
  })

  it('a wrong key, or none, gets in nowhere and learns nothing', async () => {
    cluster.add({ keyring: new Keyring([keyA]) })
    const wrong = cluster.add({ keyring: new Keyring([keyB]) })
    const none = cluster.add()
    const failures = [wrong, none].map(async (list) => {
      const { errors } = await list.join(['10.0.0.1'])
      return errors[0]!.message
    })
    const [wrongKey, noKey] = await cluster.run(Promise.all(failures))
    // The refusal itself is encrypted, so that a outsider cannot read it.
    expect(wrongKey).to.match(/no key of the ring opens this message/)
    expect(noKey).to.match(/the stream is encrypted and no key is configured/)
    await none.send(endpointOf(0), bytes('hello'))
    await cluster.clock.advance(5000)
    expect(cluster.lists.map(present)).to.deep.equal([['m0'], ['m1'], ['m2']])
    expect(cluster.lists[0]!.counters).to.include.keys(
      'packet-malformed',
      'stream-wrong-key',
      'stream-plaintext-refused',
    )
  })

  it('a keyed member is refused by one without keys, in words', async () => {
    cluster.add()
    const keyed = cluster.add({ keyring: new Keyring([keyA]), config: { verifyIncoming: false } })
    const { errors } = await cluster.run(keyed.join(['10.0.0.1']))
    expect(errors[0]!.message).to.match(/refused: the stream is encrypted and no key is configured/)
  })

  it('keys rotate while the cluster runs', async () => {
    const rings = [0, 1, 2].map(() => new Keyring([keyA]))
    for (const keyring of rings) cluster.add({ keyring })
    await cluster.run(cluster.joinFirst())
    const steps: ((ring: Keyring) => void)[] = [
      (ring) => ring.add(keyB),
      (ring) => ring.use(keyB),
      (ring) => ring.remove(keyA),
    ]
    for (const step of steps) {
      for (const ring of rings) {
        step(ring)
        await cluster.clock.advance(3000)
      }
    }
    await cluster.clock.advance(30_000)
    const views = cluster.lists.map((list) => [
      list.numberOfMembers,
      list.counters['packet-wrong-key'],
    ])
    for (const view of views) expect(view).to.deep.equal([3, undefined])
    const late = cluster.add({ keyring: new Keyring([keyA]) })
    expect((await cluster.run(late.join(['10.0.0.1']))).contacted).to.equal(0)
  })

  it('a cluster migrates to encryption without an interruption', async () => {
    // First keys everywhere that are neither used nor demanded, then used, then demanded.
    const phases = [
      { verifyOutgoing: false, verifyIncoming: false },
      { verifyOutgoing: true, verifyIncoming: false },
      { verifyOutgoing: true, verifyIncoming: true },
    ]
    for (const [a, b] of [
      [0, 1],
      [1, 2],
    ] as const) {
      await using own = new Cluster(SEED)
      own.add({ keyring: new Keyring([keyA]), config: phases[a]! })
      own.add({ keyring: new Keyring([keyA]), config: phases[b]! })
      await own.run(own.joinFirst())
      await own.clock.advance(20_000)
      expect(own.lists.map((list) => list.numberOfMembers)).to.deep.equal([2, 2])
    }
  })

  it('versions 0 and 1 of encryption understand each other', async () => {
    cluster.add({ keyring: new Keyring([keyA]), config: { encryptionVersion: 0 } })
    cluster.add({ keyring: new Keyring([keyA]) })
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(20_000)
    expect(cluster.lists.map((list) => list.numberOfMembers)).to.deep.equal([2, 2])
  })

  it('another label is another world, with or without a key', async () => {
    for (const keyring of [undefined, new Keyring([keyA])]) {
      await using own = new Cluster(SEED)
      const options = keyring === undefined ? {} : { keyring }
      own.add({ ...options, label: 'blue' })
      own.add({ ...options, label: 'blue' })
      own.add({ ...options, label: 'red' })
      own.add(options)
      await own.run(own.joinFirst())
      await own.clock.advance(20_000)
      expect(own.lists.map((list) => list.numberOfMembers)).to.deep.equal([2, 2, 1, 1])
      expect(own.lists[0]!.counters).to.have.property('stream-bad-label')
    }
  })

  it('compression of everything works, and saves on a join', async () => {
    const sizes: number[] = []
    for (const compression of ['none', 'all'] as const) {
      await using own = new Cluster(SEED)
      await own.assemble(12, {
        config: { compression },
        delegate: { meta: () => bytes('role=web '.repeat(20)) },
      })
      await own.clock.advance(5000)
      sizes.push(own.network.traffic.bytes)
    }
    expect(sizes[1]).to.be.lessThan(0.8 * sizes[0]!)
  })
})

describe('a keyring', () => {
  it('keeps its rules', () => {
    const ring = new Keyring([keyA])
    ring.add(keyA)
    expect(ring.keys.length).to.equal(1)
    expect(() => ring.use(keyB))
      .to.throw()
      .with.property('code', 'unknown-key')
    expect(() => ring.remove(keyA))
      .to.throw()
      .with.property('code', 'invalid-option')
    ring.remove(keyB)
    expect(() => ring.add(new Uint8Array(15))).to.throw('a key has 16, 24, 32 bytes, not 15')
    expect(() => new Keyring([]))
      .to.throw()
      .with.property('code', 'invalid-option')
    ring.add(keyB)
    ring.use(keyB)
    expect(ring.primary.symmetricKeySize).to.equal(32)
    for (let i = 0; i < 14; i++) ring.add(new Uint8Array(24).fill(i))
    expect(() => ring.add(new Uint8Array(24).fill(99))).to.throw('a keyring holds 16 keys')
  })
})
