import { expect } from 'chai'
import { MemoryNetwork } from 'memberlist-js'
import { encodeMessage } from '../../../../packages/memberlist-js/src/wire/messages.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import type { GossipTransport } from '../../../../src/cluster/gossip/gossip-transport.ts'
import {
  createMemberlistGossip,
  gossipTuning,
} from '../../../../src/cluster/gossip/memberlist-gossip.ts'
import { EventClock } from '../../../simulation/support/event-clock.ts'

const deaths = 1100

describe('cluster/memberlist-gossip', () => {
  it('sends to the dead, but not to thousands of them', async () => {
    const clock = new EventClock()
    const random = seededRandom(1)
    const network = new MemoryNetwork({ clock, random })
    const at = { address: '10.0.0.1', port: 7946 }
    const transport = async () => network.transport(at)
    const gossip = createMemberlistGossip({ name: 'host-1', clock, random, transport })
    const seen = new Map<string, string>()
    await gossip.start({
      meta: () => Uint8Array.of(1),
      onMember: ({ name, state }) => void seen.set(name, state),
      onMessage: () => {},
      ackPayload: () => Uint8Array.of(),
      onAck: () => {},
    })
    const others = network.transport({ address: '10.0.0.2', port: 7946 })
    let arrived = 0
    others.onPacket(() => arrived++)
    const addr = Uint8Array.of(10, 0, 0, 2)
    const vsn = Uint8Array.of(1, 5, 2, 16, 16, 16)
    for (let i = 0; i < deaths; i++) {
      const node = `host-${i + 2}`
      const alive = { incarnation: 1, node, addr, port: 7946, meta: Uint8Array.of(1), vsn }
      others.send(encodeMessage({ type: 'alive', body: alive }), at)
      await clock.advance(5)
      const dead = { incarnation: 1, node, from: 'host-x' }
      others.send(encodeMessage({ type: 'dead', body: dead }), at)
      await clock.advance(5)
    }
    expect([...seen.values()].filter((state) => state === 'dead').length).to.equal(deaths)
    await clock.advance(300_000)
    const heard = async (name: string): Promise<boolean> => {
      const before = arrived
      gossip.sendUnreliable(name, Uint8Array.of(7))
      await clock.advance(5)
      return arrived > before
    }
    expect(await heard('host-2'), 'the longest dead').to.equal(false)
    expect(await heard(`host-${deaths + 1}`), 'the last').to.equal(true)
    await gossip.close()
  })

  it('seeks one that was cut off until it may be forgotten, without seeds too', async () => {
    const clock = new EventClock()
    const random = seededRandom(1)
    const network = new MemoryNetwork({ clock, random })
    const ends = [1, 2, 3].map((i) => ({ address: `10.0.0.${i}`, port: 7946 }))
    const states = [0, 1, 2].map(() => new Map<string, string>())
    const members: GossipTransport[] = []
    for (const [i, at] of ends.entries()) {
      const gossip = createMemberlistGossip({
        name: `host-${i}`,
        clock,
        random,
        transport: async () => network.transport(at),
        config: { ...gossipTuning, reconnectTimeoutMs: 10_000 },
        forgetAfterMs: 60_000,
      })
      await gossip.start({
        meta: () => Uint8Array.of(1),
        onMember: ({ name, state }) => void states[i]!.set(name, state),
        onMessage: () => {},
        ackPayload: () => Uint8Array.of(),
        onAck: () => {},
      })
      members.push(gossip)
    }
    const [seed, one, two] = members
    const joined = [one!.join(['10.0.0.1']), two!.join(['10.0.0.1'])]
    await clock.advance(5000)
    await Promise.all(joined)
    const left = seed!.leave(2000)
    await clock.advance(5000)
    await left
    await seed!.close()
    network.partition([[ends[1]!], [ends[2]!]])
    await clock.advance(60_000)
    expect(states[1]!.get('host-2')).to.equal('dead')
    network.heal()
    await clock.advance(30_000)
    const seen = [states[1]!.get('host-2'), states[2]!.get('host-1')]
    expect(seen).to.deep.equal(['alive', 'alive'])
    for (const gossip of [one!, two!]) await gossip.close()
  })

  it('says which seeds are itself, and that others cannot be used', async () => {
    const clock = new EventClock()
    const random = seededRandom(1)
    const network = new MemoryNetwork({ clock, random })
    const at = { address: '10.0.0.1', port: 7946 }
    const names: Record<string, readonly string[]> = { us: ['10.0.0.1'], nobody: [] }
    const transport = async () =>
      Object.assign(network.transport(at), {
        resolve: async (host: string) => names[host] ?? [host],
      })
    const gossip = createMemberlistGossip({ name: 'host-1', clock, random, transport })
    await gossip.start({
      meta: () => Uint8Array.of(1),
      onMember: () => {},
      onMessage: () => {},
      ackPayload: () => Uint8Array.of(),
      onAck: () => {},
    })
    expect(await gossip.join(['us'])).to.deep.equal({ contacted: 0, own: 1, errors: [] })
    const { contacted, own, errors } = await gossip.join(['us', 'nobody'])
    expect([contacted, own, errors.length]).to.deep.equal([0, 1, 1])
    expect(errors[0]!.message).to.match(/^nobody: /)
    await gossip.close()
  })
})
