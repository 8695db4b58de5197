import { expect } from 'chai'
import type { SocketAddress, Transport } from 'memberlist-js'
import { Cluster, endpointOf, record, stateOf } from '../../support/cluster.ts'
import { filtered } from '../../support/filtered.ts'
import { SEED } from '../../support/seed.ts'
import { openPacket } from '../../../src/wire/packet.ts'
import { encodeMessage, type Message } from '../../../src/wire/messages.ts'
import { pingFor } from '../../../src/core/probing/probe.ts'

/** While `cut()` holds, lets nothing but the pings out of each packet. */
function pingsOnly(transport: Transport, cut: () => boolean): void {
  const send = transport.send.bind(transport)
  transport.send = (packet, to) => {
    if (!cut()) return send(packet, to)
    filtered({ ...transport, send: () => undefined }, (message) => {
      if (message.type === 'ping') send(encodeMessage(message), to)
      return true
    }).send(packet, to)
  }
}

describe(`probing (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('probes the next by name every other time, and all others in rounds of a new order', async () => {
    const order: string[] = []
    for (let i = 0; i < 6; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const watch = (message: Message, to: SocketAddress) => {
        if (message.type === 'ping') order.push(to.address)
        return true
      }
      cluster.add({ transport: i === 0 ? filtered(transport, watch) : transport })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(10_000)
    order.length = 0
    await cluster.clock.advance(20_000)
    expect(order.length).to.be.within(19, 21)
    const counts = new Map<string, number>()
    for (const address of order) counts.set(address, (counts.get(address) ?? 0) + 1)
    const next = endpointOf(1).address
    for (const [address, count] of counts) {
      const expected = address === next ? 12 : 2
      expect(count, address).to.be.within(expected - 1, expected + 1)
    }
    expect(counts.size).to.equal(5)
    const alternate = [0, 1].map((turn) => order.filter((_, i) => i % 2 === turn))
    expect(alternate.some((turn) => turn.every((address) => address === next))).to.equal(true)
  })

  /** m0 cannot reach m1 by UDP pings, nor by TCP unless `tcp`; the others can. */
  async function withBadLink(count: number, tcp: boolean): Promise<void> {
    for (let i = 0; i < count; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const config = { tcpPings: tcp }
      if (i > 0) cluster.add({ transport, config })
      else {
        const passes = ({ type }: Message, to: SocketAddress) =>
          type !== 'ping' || to.address !== endpointOf(1).address
        cluster.add({ transport: filtered(transport, passes), config })
      }
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(1000)
  }

  it('others probe where the direct way is cut', async () => {
    await withBadLink(4, false)
    const seen = record(cluster.lists[0]!)
    await cluster.clock.advance(60_000)
    expect(seen).to.deep.equal([])
  })

  it('TCP tells a UDP problem from a death', async () => {
    await withBadLink(2, true)
    const seen = record(cluster.lists[0]!)
    await cluster.clock.advance(30_000)
    expect(seen).to.deep.equal([])
    expect(cluster.lists[0]!.counters['probe-only-tcp']).to.be.greaterThan(5)
  })

  it('without either the member is suspected, and refutes', async () => {
    await withBadLink(2, false)
    const seen = record(cluster.lists[0]!)
    let worst = 0
    cluster.lists[1]!.on('health', (score) => (worst = Math.max(worst, score)))
    await cluster.clock.advance(10_000)
    // A suspicion of the first second, before the record began, may be refuted first.
    const first = seen.indexOf('suspect m1')
    expect(seen.slice(first, first + 2)).to.deep.equal(['suspect m1', 'refuted m1'])
    expect(seen).not.to.include('leave m1 failed')
    expect(worst).to.be.greaterThan(0)
  })

  it('a suspect is told by the ping itself that it is suspected', async () => {
    const together: string[] = []
    for (let i = 0; i < 3; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const send = transport.send.bind(transport)
      transport.send = (packet, to) => {
        const types: string[] = []
        openPacket(
          packet,
          { label: new Uint8Array(), skipLabelCheck: false, keys: [], verify: true },
          ({ type }) => types.push(type),
          () => undefined,
        )
        if (types.includes('ping') && types.includes('suspect'))
          together.push(`${types.join()} ${to.address}`)
        send(packet, to)
      }
      cluster.add({ transport, config: { suspicionMult: 20, gossipNodes: 1 } })
    }
    await cluster.run(cluster.joinFirst())
    cluster.stop(2)
    await cluster.until(() => stateOf(cluster.lists[0]!, 'm2') === 'suspect')
    await cluster.clock.advance(5000)
    expect(together).to.include('ping,suspect 10.0.0.3')
  })

  it('our own trouble slows our judgement: health falls, then recovers', async () => {
    const lists = await cluster.assemble(5)
    const scores: number[] = []
    lists[0]!.on('health', (score) => scores.push(score))
    cluster.network.partition([[endpointOf(0)], [1, 2, 3, 4].map(endpointOf)])
    await cluster.clock.advance(6000)
    expect(lists[0]!.health).to.be.greaterThan(1)
    cluster.network.heal()
    await cluster.until(() => lists[0]!.health === 0)
    expect(lists[0]!.health).to.equal(0)
    expect(Math.max(...scores)).to.be.lessThan(8)
  })

  it('helpers that answer keep us healthy although the target is dead', async () => {
    const lists = await cluster.assemble(5, { config: { tcpPings: false } })
    let worst = 0
    for (const list of lists.slice(0, 4))
      list.on('health', (score) => (worst = Math.max(worst, score)))
    await lists[4]!.close()
    await cluster.until(() => stateOf(lists[0]!, 'm4') === 'dead')
    expect(worst).to.equal(0)
  })

  it('a process that stood still does not blame the others', async () => {
    const lists = await cluster.assemble(5)
    const seen = record(lists[0]!)
    cluster.stop(0)
    await cluster.clock.advance(7000)
    cluster.resume(0)
    await cluster.clock.advance(20_000)
    expect(
      seen.filter((line) => line.startsWith('leave') || line.startsWith('suspect')),
    ).to.deep.equal([])
    expect(lists[1]!.numberOfMembers).to.equal(5)
  })

  it('nor does one that stood still while it waited for an answer', async () => {
    let armed = false
    for (let i = 0; i < 3; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const stopAtPing = ({ type }: Message) => {
        if (armed && type === 'ping') cluster.stop(0)
        return true
      }
      cluster.add({ transport: i === 0 ? filtered(transport, stopAtPing) : transport })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(3000)
    const [first] = cluster.lists
    const seen = record(first!)
    armed = true
    // Short enough for the others to suspect it, but not to give it up.
    await cluster.clock.advance(3500)
    armed = false
    cluster.resume(0)
    await cluster.clock.advance(10_000)
    expect(first!.counters['probe-stalled']).to.equal(1)
    expect(seen).to.deep.equal([])
  })

  it('a ping for another name is not answered', async () => {
    const lists = await cluster.assemble(2)
    const other = { ...lists[1]!.local, name: 'someone' }
    ;(lists[0]!.members as Map<string, typeof other>).set('someone', other)
    const failure = await cluster.run(lists[0]!.ping('someone').catch((error: unknown) => error))
    expect(failure).to.have.property('code', 'timed-out')
    expect(lists[1]!.counters).to.have.property('ping-for-another')
  })

  it('a outsider asks for many pings and gets a bounded number', async () => {
    const lists = await cluster.assemble(2, { config: { probeTimeoutMs: 500 } })
    const outsider = cluster.network.transport({ address: '10.9.9.9', port: 1 })
    for (let seqNo = 0; seqNo < 3000; seqNo++) {
      const body = {
        seqNo,
        target: Uint8Array.of(10, 0, 99, 99),
        port: 7946,
        node: 'x',
        nack: true,
        sourceAddr: null,
        sourcePort: 0,
        sourceNode: '',
      }
      outsider.send(encodeMessage({ type: 'indirectPing', body }), endpointOf(0))
    }
    await cluster.clock.advance(2000)
    expect(lists[0]!.counters['relay-overload']).to.equal(3000 - 1024)
    expect(lists[0]!.numberOfMembers).to.equal(2)
  })
})

describe(`a member that does not know what is said of it (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('is told when it pings somebody who holds it for dead', async () => {
    // Nothing else can tell it: gossip has said its last word long ago, and there are no exchanges
    // of states.
    const config = {
      reconnectIntervalMs: 0,
      pushPullIntervalMs: 0,
      tcpPings: false,
      gossipToTheDeadMs: 600_000,
    }
    let cut = false
    for (let i = 0; i < 3; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      // Its pings go out and are answered, its answers and refutations do not arrive.
      if (i === 1) pingsOnly(transport, () => cut)
      cluster.add({ transport, config })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(2000)
    cut = true
    const [first, second] = cluster.lists
    await cluster.until(() => stateOf(first!, 'm1') === 'dead')
    expect(second!.numberOfMembers).to.equal(3)
    await cluster.clock.advance(20_000)
    cut = false
    expect(await cluster.until(() => stateOf(first!, 'm1') === 'alive', 5000)).to.equal(true)
  })

  it('is told when it pings somebody who remembers the goodbye of its former life', async () => {
    const quiet = { reconnectIntervalMs: 0, pushPullIntervalMs: 0, tcpPings: false }
    for (let i = 0; i < 3; i++) cluster.add({ config: quiet })
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(2000)
    const [first] = cluster.lists
    // The goodbye of a life in which it had to refute often; only the first still knows.
    const body = { node: 'm1', incarnation: 9, from: 'm1' }
    const outsider = cluster.network.transport(endpointOf(9))
    cluster.network.partition([[endpointOf(0), endpointOf(9)]])
    outsider.send(encodeMessage({ type: 'dead', body }), endpointOf(0))
    await cluster.clock.advance(1500)
    expect(stateOf(first!, 'm1')).to.equal('left')
    cluster.network.heal()
    expect(await cluster.until(() => stateOf(first!, 'm1') === 'alive', 5000)).to.equal(true)
  })

  it('is met anew when it pings somebody who has forgotten it', async () => {
    const forgetful = cluster.add()
    const transport = cluster.network.transport(endpointOf(1))
    const forgotten = cluster.add({ transport })
    const body = { ...pingFor('m0', 1, forgotten.local) }
    transport.send(encodeMessage({ type: 'ping', body }), endpointOf(0))
    expect(await cluster.until(() => forgetful.numberOfMembers === 2, 3000)).to.equal(true)
    expect(await cluster.until(() => forgotten.numberOfMembers === 2, 1000)).to.equal(true)
  })
})
