import { expect } from 'chai'
import { MemoryNetwork } from 'memberlist-js'
import { encodeMessage } from '../../../packages/memberlist-js/src/wire/messages.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { createMemberlistGossip } from '../../../src/cluster/memberlist-gossip.ts'
import { EventClock } from '../../simulation/support/event-clock.ts'

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
})
