import { expect } from 'chai'
import fc from 'fast-check'
import { VirtualClock } from 'memberlist-js'
import type { Clock } from '../../../../src/base/clock.ts'
import { type Random, seededRandom } from '../../../../src/base/random.ts'
import {
  type GossipKeys,
  firstGossipKeys,
  installGossipKey,
  removeGossipKeys,
  useGossipKey,
} from '../../../../src/identity/packets/gossip-keys.ts'
import { PacketSessions } from '../../../../src/identity/packets/packet-sessions.ts'
import { agreementKey, sharedSecret } from '../../../../src/identity/certificates/agreement.ts'
import { encodeControl } from '../../../../src/identity/packets/control.ts'
import { controlKey, dataKey, hintOf } from '../../../../src/identity/packets/packet-keys.ts'
import { ReplayWindow } from '../../../../src/identity/packets/replay-window.ts'
import {
  decodeEndpoint,
  encodeEndpoint,
  maxSealBytes,
  open,
  readHeader,
  seal,
} from '../../../../src/identity/packets/sealed-packet.ts'
import { type TestMember, testAuthority, testMember } from '../people.ts'
import type { Endpoint } from '../../../../src/identity/streams/transport.ts'

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** Members on a wire that a test watches, cuts and repeats. */
class Wire {
  readonly clock = new VirtualClock()
  readonly authority = testAuthority()
  readonly evicted = new Set<string>()
  readonly #people = new Map<string, TestMember>()
  readonly #receivers = new Map<string, (packet: Uint8Array) => void>()
  readonly log: { readonly packet: Uint8Array; readonly to: string }[] = []
  keys = firstGossipKeys(key(1))
  /** What becomes of a packet on its way; dropped when it returns false. */
  passes: (packet: Uint8Array, to: string) => boolean = () => true

  /** The same host for one address, unless another's key and certificate are given. */
  member(
    address: string,
    random: Random,
    { keys = () => this.keys, own }: { keys?: () => GossipKeys; own?: TestMember } = {},
  ) {
    const name = `host-${address.replaceAll(':', '-')}`
    const person = own ?? this.#people.get(address) ?? testMember(this.authority, name, address)
    this.#people.set(address, person)
    const self = { address, port: 7946 }
    const got: string[] = []
    const names: (string | undefined)[] = []
    const counts: string[] = []
    const sessions = new PacketSessions({
      clock: { ...asClock(this.clock) },
      random,
      self,
      membership: () => ({
        keys: keys(),
        certificate: person.certificate,
        key: person.key.privateKey,
      }),
      judge: (certificate, at) =>
        certificate.address === at &&
        !this.evicted.has(certificate.identity) &&
        certificate.x509.verify(this.authority.key.publicKey),
      send: (packet, to) => this.#carry(packet, to),
      deliver: (plain, from) => got.push(`${from.address} ${text(plain)}`) && names.push(from.name),
      count: (what) => counts.push(what),
    })
    this.#receivers.set(address, (packet) =>
      sessions.receive(packet, { address: '203.0.113.1', port: 1 }, 0),
    )
    return {
      self,
      person,
      got,
      names,
      counts,
      sessions,
      send: (to: string, plain: string, name?: string) => {
        const at = { address: to, port: 7946, ...(name !== undefined && { name }) }
        sessions.send(Buffer.from(plain), at)
      },
    }
  }

  /** Hands a packet over, again or for the first time. */
  hand(packet: Uint8Array, to: string): void {
    this.#receivers.get(to)?.(packet)
  }

  #carry(packet: Uint8Array, { address }: Endpoint): void {
    this.log.push({ packet, to: address })
    if (this.passes(packet, address)) this.hand(packet, address)
  }
}

function asClock(clock: VirtualClock): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.now(),
    setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
    clearTimeout: (timer) => clock.clearTimeout(timer),
  }
}

const a = '192.0.2.1'
const b = '192.0.2.2'

function pair() {
  const wire = new Wire()
  const left = wire.member(a, seededRandom(1))
  const right = wire.member(b, seededRandom(2))
  return { wire, left, right }
}

describe('identity/packet-sessions', () => {
  it('delivers the first packet and all others, with the endpoint that its sender advertises', () => {
    const { left, right } = pair()
    left.send(b, 'one')
    left.send(b, 'two')
    right.send(a, 'three')
    expect(right.got).to.deep.equal([`${a} one`, `${a} two`])
    expect(left.got).to.deep.equal([`${b} three`])
    expect([...left.counts, ...right.counts]).to.deep.equal([])
  })

  it('adds no more than it says, for both families', () => {
    const wire = new Wire()
    const from = wire.member('2001:db8::1', seededRandom(1))
    const to = wire.member('2001:db8::2', seededRandom(2))
    from.send('2001:db8::2', '')
    expect(to.got).to.deep.equal(['2001:db8::1 '])
    expect(wire.log.at(-1)!.packet.length).to.equal(maxSealBytes)
    for (const address of [a, '2001:db8::2'])
      expect(decodeEndpoint(encodeEndpoint({ address, port: 65_535 })!)).to.deep.equal({
        address,
        port: 65_535,
      })
    expect(encodeEndpoint({ address: `::ffff:${a}`, port: 1 })![0]).to.equal(4)
    expect(encodeEndpoint({ address: 'host1', port: 1 })).to.equal(null)
  })

  it('takes a packet once, and from nobody but the sender to nobody but the receiver', async () => {
    const { wire, left, right } = pair()
    left.send(b, 'one')
    await wire.clock.advance(300)
    const { packet } = wire.log.at(-1)!
    const other = wire.member('192.0.2.3', seededRandom(3))
    wire.hand(packet, b)
    wire.hand(packet, '192.0.2.3')
    wire.hand(packet, a)
    expect(right.got).to.deep.equal([`${a} one`])
    expect(right.counts).to.deep.equal(['sealed-replayed'])
    expect(other.got).to.deep.equal([])
    expect(other.counts).to.deep.equal(['sealed-forged'])
    expect(left.counts).to.deep.equal(['sealed-forged'])
  })

  it('takes nothing in which any bit is another', () => {
    const { wire, left, right } = pair()
    left.send(b, 'a packet of some length')
    left.send(b, 'another')
    const { packet } = wire.log.at(-1)!
    const flip = fc.tuple(fc.nat(packet.length - 1), fc.integer({ min: 1, max: 255 }))
    const before = right.got.length
    fc.assert(
      fc.property(flip, ([at, mask]) => {
        const bytes = Uint8Array.from(packet)
        bytes[at]! ^= mask
        wire.hand(bytes, b)
      }),
      { numRuns: 1000 },
    )
    for (let length = 0; length < packet.length; length++) wire.hand(packet.slice(0, length), b)
    expect(right.got.length).to.equal(before)
  })

  it('never breaks for random bytes', () => {
    const { wire, right } = pair()
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => wire.hand(bytes, b)))
    expect(right.got).to.deep.equal([])
  })

  it('bears reordering and doubling: each packet arrives once', () => {
    const { wire, left, right } = pair()
    left.send(b, 'first')
    wire.passes = () => false
    const from = wire.log.length
    for (let i = 0; i < 500; i++) left.send(b, `${i}`)
    const packets = wire.log.slice(from).map(({ packet }) => packet)
    wire.passes = () => true
    const order = fc.shuffledSubarray([...packets, ...packets], { minLength: 1000 })
    fc.assert(
      fc.property(order, (shuffled) => {
        for (const packet of shuffled) wire.hand(packet, b)
      }),
      { numRuns: 1 },
    )
    expect(right.got.length).to.equal(501)
    expect(new Set(right.got).size).to.equal(501)
  })

  it('after a restart of the receiver takes nothing that was sealed for it before, and what is new', async () => {
    const { wire, left, right } = pair()
    left.send(b, 'before')
    right.send(a, 'hello')
    const recorded = wire.log.map(({ packet }) => packet)
    const again = wire.member(b, seededRandom(4))
    for (const packet of recorded) wire.hand(packet, b)
    expect(again.got).to.deep.equal([])
    await wire.clock.advance(300)
    left.send(b, 'lost, for another session')
    await wire.clock.advance(300)
    left.send(b, 'after')
    expect(again.got).to.deep.equal([`${a} after`])
    for (const packet of recorded) wire.hand(packet, b)
    expect(again.got.length).to.equal(1)
  })

  it('after a restart of the sender takes what is new, and nothing of its former life', async () => {
    const { wire, left, right } = pair()
    left.send(b, 'before')
    const recorded = wire.log.map(({ packet }) => packet)
    await wire.clock.advance(300)
    const again = wire.member(a, seededRandom(5))
    again.send(b, 'after')
    expect(right.got).to.deep.equal([`${a} before`, `${a} after`])
    for (const packet of recorded) wire.hand(packet, b)
    expect(right.got.length).to.equal(2)
    right.send(a, 'to the new one')
    expect(again.got).to.deep.equal([`${b} to the new one`])
  })

  it('seals no two packets with one key and counter, over restarts too', () => {
    const { wire, left } = pair()
    const random = seededRandom(7)
    const lives = [left, wire.member(a, random), wire.member(a, random)]
    for (const life of lives) for (let i = 0; i < 20; i++) life.send(b, `${i}`)
    const used = wire.log
      .filter(({ to }) => to === b)
      .map(({ packet }) => readHeader(packet)!)
      .map(({ session, counter, epoch }) => `${epoch} ${text(session)} ${counter}`)
    expect(new Set(used).size).to.equal(used.length)
  })

  it('opens the epoch before and the next, and no other', async () => {
    const { wire, left, right } = pair()
    left.send(b, 'first')
    let leftKeys = wire.keys
    const late = wire.member('192.0.2.3', seededRandom(3), { keys: () => leftKeys })
    late.send(b, 'in epoch 1')
    wire.keys = installGossipKey(wire.keys, key(2))
    late.send(b, 'not told yet')
    leftKeys = wire.keys
    wire.keys = useGossipKey(wire.keys)
    late.send(b, 'still in epoch 1')
    left.send(b, 'in epoch 2')
    wire.keys = removeGossipKeys(wire.keys)
    late.send(b, 'too late')
    const [first, second] = [wire.log[0]!.packet, wire.log.at(-2)!.packet]
    expect(readHeader(first)!.epoch).to.equal(1)
    expect(readHeader(second)!.epoch).to.equal(2)
    expect(right.got.map((line) => line.split(' ').slice(1).join(' '))).to.deep.equal([
      'first',
      'in epoch 1',
      'not told yet',
      'still in epoch 1',
      'in epoch 2',
    ])
    expect(right.counts).to.deep.equal(['sealed-epoch'])
  })

  it('keeps nothing for those who know no key, and works little for them', () => {
    const { wire, left, right } = pair()
    left.send(b, 'first')
    const to = encodeEndpoint(right.self)!
    for (let i = 0; i < 5000; i++) {
      const sender = encodeEndpoint({ address: `10.0.${i >> 8}.${i & 255}`, port: 7946 })!
      const session = seededRandom(i).bytes(8)
      const scope = { session, sender }
      const kind = i % 2 === 0 ? 'data' : 'control'
      const header = {
        kind,
        epoch: 1,
        hint: hintOf(key(9), scope, to),
        counter: i,
        ...scope,
      } as const
      wire.hand(seal(controlKey(key(9), scope), header, to, Buffer.from('x')), b)
    }
    const of = (what: string): number => right.counts.filter((each) => each === what).length
    expect(of('sealed-forged')).to.be.at.most(400)
    expect(of('sealed-throttled') + of('sealed-forged')).to.equal(5000)
    left.send(b, 'second')
    expect(right.got).to.deep.equal([`${a} first`, `${a} second`])
  })

  it('takes nothing of a member as another, nor of who has the gossip key alone', () => {
    const { wire, left, right } = pair()
    left.send(b, 'first')
    const evil = wire.member('192.0.2.3', seededRandom(3))
    evil.send(b, 'as itself')
    const genuine = readHeader(wire.log.filter(({ to }) => to === b)[1]!.packet)!
    const to = encodeEndpoint(right.self)!
    const answers = wire.log.length
    const mine = sharedSecret(
      agreementKey(evil.person.key.privateKey),
      right.person.certificate.x509.publicKey,
    )!
    const epochKey = key(1)
    // All that a member, or who has the gossip key, can derive: of the sessions it guesses the best.
    for (const secret of [mine, new Uint8Array(32), new Uint8Array()])
      for (const session of [genuine.session, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)])
        for (const receiver of wire.log.map(({ packet }) => readHeader(packet)!.session)) {
          const scope = { session, sender: genuine.sender }
          const header = { epoch: 1, hint: hintOf(epochKey, scope, to), counter: 99, ...scope }
          const data = dataKey(epochKey, secret, scope, receiver)
          wire.hand(seal(data, { kind: 'data', ...header }, to, Buffer.from('forged')), b)
          wire.hand(
            seal(
              controlKey(epochKey, scope),
              { kind: 'data', ...header },
              to,
              Buffer.from('forged'),
            ),
            b,
          )
          const plain = encodeControl({
            returned: new Uint8Array(8),
            challenge: new Uint8Array(8).fill(7),
            proof: new Uint8Array(16),
            certificate: left.person.certificate.x509.raw,
          })
          wire.hand(seal(controlKey(epochKey, scope), { kind: 'control', ...header }, to, plain), b)
        }
    expect(right.got).to.deep.equal([`${a} first`, '192.0.2.3 as itself'])
    expect(right.names).to.deep.equal(['host-192.0.2.1', 'host-192.0.2.3'])
    // What was answered went where the certificate says, and not to whoever asked.
    for (const { to: at } of wire.log.slice(answers)) expect(at).to.not.equal('192.0.2.3')
    left.send(b, 'second')
    expect(right.got.at(-1)).to.equal(`${a} second`)
  })

  it('opens nothing recorded of another pair with the gossip key and the key of a member', () => {
    const { wire, left, right } = pair()
    const evil = wire.member('192.0.2.3', seededRandom(3))
    left.send(b, 'secret')
    evil.send(b, 'hello')
    const recorded = wire.log.filter(({ packet }) => readHeader(packet)!.kind === 'data')
    const sessions = wire.log.map(({ packet }) => readHeader(packet)!.session)
    const own = agreementKey(evil.person.key.privateKey)
    const secrets = [left, right, evil].map(({ person }) =>
      sharedSecret(own, person.certificate.x509.publicKey)!,
    )
    const packet = recorded[0]!.packet
    const header = readHeader(packet)!
    const to = encodeEndpoint(right.self)!
    expect(open(controlKey(key(1), header), packet, header, to)).to.equal(null)
    for (const secret of [...secrets, new Uint8Array(32), new Uint8Array()])
      for (const session of sessions)
        expect(open(dataKey(key(1), secret, header, session), packet, header, to)).to.equal(null)
  })

  it('sends what is for one member to no other at its address', () => {
    const { left, right } = pair()
    left.send(b, 'held, for another', 'host-9')
    left.send(b, 'held', 'host-192.0.2.2')
    left.send(b, 'for another', 'host-9')
    left.send(b, 'for it', 'host-192.0.2.2')
    expect(right.got).to.deep.equal([`${a} held`, `${a} for it`])
    expect(left.counts).to.deep.equal(['sealed-other-member', 'sealed-other-member'])
  })

  it('takes no certificate of another address, of another authority, or that was evicted', async () => {
    const { wire, right } = pair()
    const wrong = [
      testMember(wire.authority, 'evil', '192.0.2.3'),
      testMember(testAuthority(9), 'evil', a),
    ]
    const evicted = testMember(wire.authority, 'evicted', a)
    wire.evicted.add(evicted.certificate.identity)
    for (const own of [...wrong, evicted]) {
      wire.member(a, seededRandom(8), { own }).send(b, 'forged')
      await wire.clock.advance(300)
    }
    expect(right.got).to.deep.equal([])
    expect(new Set(right.counts)).to.deep.equal(new Set(['sealed-refused']))
  })

  it('takes nothing more of a member from the grant on that says it was evicted', () => {
    const { wire, left, right } = pair()
    left.send(b, 'before')
    wire.evicted.add(left.person.certificate.identity)
    wire.keys = { ...wire.keys }
    left.send(b, 'after')
    left.send(b, 'again')
    expect(right.got).to.deep.equal([`${a} before`])
  })

  it('meets again a host that has another key and name, at the same address', async () => {
    const { wire, left, right } = pair()
    left.send(b, 'before')
    right.send(a, 'hello')
    await wire.clock.advance(300)
    const own = testMember(wire.authority, 'host-again', a)
    const again = wire.member(a, seededRandom(8), { own })
    again.send(b, 'after')
    right.send(a, 'to it')
    expect(right.got).to.deep.equal([`${a} before`, `${a} after`])
    expect(right.names.at(-1)).to.equal('host-again')
    expect(again.got).to.deep.equal([`${b} to it`])
  })

  it('loses no first packet that overtakes the answer before it, and delivers it once', () => {
    const { wire, left, right } = pair()
    const late: Uint8Array[] = []
    wire.passes = (packet, to) => {
      const isAnswer = to === b && wire.log.length === 3
      if (isAnswer) late.push(packet)
      return !isAnswer
    }
    left.send(b, 'first')
    expect(right.got).to.deep.equal([])
    expect(late).to.have.length(1)
    wire.hand(late[0]!, b)
    expect(right.got).to.deep.equal([`${a} first`])
    const recorded = wire.log.map(({ packet }) => packet)
    for (const packet of recorded) wire.hand(packet, b)
    expect(right.got).to.deep.equal([`${a} first`])
  })

  it('meets again whom loss kept it from meeting', async () => {
    const { wire, left, right } = pair()
    wire.passes = () => false
    left.send(b, 'lost')
    await wire.clock.advance(3000)
    wire.passes = () => true
    left.send(b, 'heard')
    expect(right.got).to.deep.equal([`${a} heard`])
    expect(left.sessions.knows(b)).to.equal(true)
    expect(left.sessions.knows('192.0.2.9')).to.equal(false)
  })
})

describe('identity/replay-window', () => {
  it('is as a set of all counters seen, within the window', () => {
    const counters = fc.array(fc.oneof(fc.nat(3000), fc.nat(40), fc.nat(2 ** 31)), {
      maxLength: 300,
    })
    fc.assert(
      fc.property(fc.nat(500), counters, (start, list) => {
        const window = new ReplayWindow(start)
        const seen = new Set<number>()
        let highest = start
        for (const counter of list) {
          const expected = counter > start && !seen.has(counter) && counter + 992 > highest
          expect(window.take(counter), `${counter} after ${highest}`).to.equal(expected)
          if (expected) seen.add(counter)
          highest = Math.max(highest, counter)
        }
      }),
    )
  })
})
