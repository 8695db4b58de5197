import { expect } from 'chai'
import { Memberlist, type Stream, type Transport, seededRandom } from 'memberlist-js'
import { addLabel } from '../../packages/memberlist-js/src/wire/layers/label.ts'
import { encodeMessage } from '../../packages/memberlist-js/src/wire/messages.ts'
import { parseJoinToken } from '../../src/identity/enrolment/join-token.ts'
import { generateKeyPair } from '../../src/identity/certificates/keys.ts'
import type { Ip } from '../../src/net/ip.ts'
import { testMember } from '../unit/identity/people.ts'
import { TestCluster, enrolAt } from '../unit/identity/test-cluster.ts'
import { VirtualWorld } from '../unit/identity/virtual-world.ts'

const label = 'ts-overlay'
const signal = new AbortController().signal

/** All that arrives at an address where nobody should send to. */
interface Bystander {
  readonly transport: Transport
  readonly heard: string[]
}

/** Three members that gossip over sealed transports, and whoever else is on the network. */
class Scene extends VirtualWorld {
  readonly cluster = new TestCluster(this.clock())
  readonly lists: Memberlist[] = []
  /** Whatever crossed the network to a member, by its number. */
  readonly recorded = new Map<number, Uint8Array[]>()

  async start(hosts: readonly number[] = [1, 2, 3]): Promise<void> {
    for (const host of hosts)
      this.list(`host${host}`, this.cluster.member(`host${host}`, this.tapped(host)).transport)
    for (const list of this.lists) await this.during(list.join(['10.0.0.1']))
    await this.advance(5000)
  }

  list(name: string, transport: Transport): Memberlist {
    const clock = this.clock()
    const random = seededRandom(name.length * 100 + name.charCodeAt(name.length - 1))
    const list = new Memberlist({ name, transport, clock, random, label, config: 'lan' })
    list.start()
    this.lists.push(list)
    return list
  }

  /** A transport whose incoming packets are recorded. */
  tapped(host: number): Transport {
    const inner = this.at(host)
    const recorded: Uint8Array[] = []
    this.recorded.set(host, recorded)
    return {
      advertise: inner.advertise,
      send: (packet, to) => inner.send(packet, to),
      onPacket: (receive) =>
        inner.onPacket((packet, from, at) => {
          recorded.push(packet)
          receive(packet, from, at)
        }),
      dial: (to, options) => inner.dial(to, options),
      onStream: (receive) => inner.onStream(receive),
      close: () => inner.close(),
    }
  }

  bystander(host: number): Bystander {
    const transport = this.at(host)
    const heard: string[] = []
    transport.onPacket((packet) => heard.push(`packet ${Buffer.from(packet).toString('latin1')}`))
    transport.onStream((stream: Stream) => {
      heard.push('stream')
      const read = async (): Promise<void> => {
        for await (const chunk of stream) heard.push(Buffer.from(chunk).toString('latin1'))
      }
      read().catch(() => {})
    })
    return { transport, heard }
  }

  views(): string[][] {
    return this.lists.map(({ members }) =>
      Array.from(members.values(), ({ name, state }) => `${name} ${state}`).sort(),
    )
  }

  async close(): Promise<void> {
    for (const list of this.lists.splice(0)) await this.during(list.close())
  }
}

const peaceful = ['host1 alive', 'host2 alive', 'host3 alive']

describe('hostile: gossip', () => {
  let scene: Scene
  beforeEach(async () => {
    scene = new Scene()
    await scene.start()
    expect(scene.views()).to.deep.equal([peaceful, peaceful, peaceful])
  })
  afterEach(() => scene.close())

  it('lets no host in that has nothing, and tells it nothing (row 1)', async () => {
    const outside = scene.list('evil', scene.at(9))
    const joined = await scene.during(outside.join(['10.0.0.1', '10.0.0.2']))
    await scene.advance(10_000)
    expect(joined.contacted).to.equal(0)
    expect(scene.views()).to.deep.equal([peaceful, peaceful, peaceful, ['evil alive']])
  })

  it('lets no host in whose certificate it made itself (row 1)', async () => {
    const own = new TestCluster(scene.clock(), { seed: 9 })
    const outside = scene.list('evil', own.member('evil', scene.at(9)).transport)
    const joined = await scene.during(outside.join(['10.0.0.1']))
    await scene.advance(10_000)
    expect(joined.contacted).to.equal(0)
    expect(joined.errors.join()).to.match(/not of this cluster/)
    expect(scene.views()).to.deep.equal([peaceful, peaceful, peaceful, ['evil alive']])
  })

  it('enrols nobody without the token, however often it is tried', async () => {
    const guess = parseJoinToken('0123456789abcdef0123456789abcdef')
    if (!('value' in guess)) expect.fail()
    const before = scene.cluster.members.length
    const refusals = new Map<string, number>()
    for (let attempt = 0; attempt < 60; attempt++) {
      const asks = {
        name: 'evil',
        address: '10.0.0.9' as Ip,
        key: generateKeyPair(),
        token: guess.value,
      }
      const from = scene.at(9, 10_000 + attempt)
      const at = { address: '10.0.0.1', port: 7946 }
      const enrolling = enrolAt(from, at, asks, scene.clock()).then(
        () => 'enrolled',
        (error: Error) => (error.message.includes('no such token') ? 'refused' : 'throttled'),
      )
      const result = await scene.during(enrolling)
      refusals.set(result, (refusals.get(result) ?? 0) + 1)
    }
    expect([...refusals.keys()].sort()).to.deep.equal(['refused', 'throttled'])
    expect(scene.cluster.members.length).to.equal(before)
    expect(scene.views()).to.deep.equal([peaceful, peaceful, peaceful])
  })

  it("shows a member's streams as its own, wherever it dials from (row 6)", async () => {
    const own = testMember(scene.cluster.authority, 'host4', '10.0.0.4')
    // It has taken host3's address on the wire.
    const dialler = scene.cluster.member('host4', scene.at(3, 9999), own)
    const five = scene.cluster.member('host5', scene.at(5))
    const callers: string[] = []
    five.transport.onStream((_stream, from) => callers.push(from.address))
    await scene.during(dialler.transport.dial({ address: '10.0.0.5', port: 7946 }, { signal }))
    await scene.advance(100)
    expect(callers).to.deep.equal(['10.0.0.4'])
  })

  it('answers no made-up source of a stranger, and tells one of a member nothing (row 7)', async () => {
    const bystander = scene.bystander(8)
    const source = { sourceAddr: Uint8Array.of(10, 0, 0, 8), sourcePort: 7946 }
    const body = { seqNo: 9, node: '', sourceNode: 'ghost', ...source }
    const ping = addLabel(encodeMessage({ type: 'ping', body }), Buffer.from(label))
    const outside = scene.at(9)
    const at = { address: '10.0.0.1', port: 7946 }
    for (let i = 0; i < 100; i++) outside.send(ping, at)
    await scene.advance(5000)
    expect(bystander.heard).to.deep.equal([])
    const member = scene.cluster.member('host4', scene.at(4))
    member.transport.onPacket(() => {})
    member.transport.send(ping, at)
    await scene.advance(5000)
    expect(bystander.heard).to.include('stream')
    for (const heard of bystander.heard) expect(heard).to.not.match(/host\d|ghost/)
  })

  it('takes a recorded packet neither at another member nor after a restart (row 8)', async () => {
    await scene.advance(20_000)
    const recorded = [...scene.recorded.get(2)!]
    expect(recorded.length).to.be.greaterThan(20)
    await scene.during(scene.lists[1]!.close())
    scene.lists.splice(1, 1)
    const again = scene.cluster.member('host2', scene.tapped(2))
    const got: string[] = []
    again.transport.onPacket((packet) => got.push(Buffer.from(packet).toString('latin1')))
    const outside = scene.at(9)
    for (const packet of recorded)
      for (const host of [2, 3]) outside.send(packet, { address: `10.0.0.${host}`, port: 7946 })
    await scene.advance(100)
    expect(got).to.deep.equal([])
    expect(again.counts.filter((what) => what.startsWith('sealed-')).length).to.be.greaterThan(10)
    await scene.during(again.transport.close())
  })

  it('suspects nobody under junk, whole handshakes and idle connections (row 4)', async () => {
    const random = seededRandom(7)
    let suspicions = 0
    for (const list of scene.lists) list.on('suspect', () => suspicions++)
    const outside = scene.at(9)
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 200; i++) outside.send(random.bytes(1 + (i % 300)), at(1 + (i % 3)))
      for (const packet of scene.recorded.get(1)!.slice(-50)) outside.send(packet, at(1))
      for (let i = 0; i < 20; i++) {
        const idle = outside.dial(at(1 + (i % 3)), { signal })
        if (i % 2 === 0) idle.then((stream) => stream.write(random.bytes(500))).catch(() => {})
        else idle.catch(() => {})
      }
      await scene.advance(1000)
    }
    expect(suspicions).to.equal(0)
    expect(scene.views()).to.deep.equal([peaceful, peaceful, peaceful])
    // A host that has the token joins meanwhile.
    const four = scene.list('host4', scene.cluster.member('host4', scene.at(4)).transport)
    expect((await scene.during(four.join(['10.0.0.1']))).contacted).to.equal(1)
  })
})

function at(host: number) {
  return { address: `10.0.0.${host}`, port: 7946 }
}
