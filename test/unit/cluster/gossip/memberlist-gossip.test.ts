import { expect } from 'chai'
import { MemoryNetwork } from 'memberlist-js'
import { seededRandom } from '../../../../src/base/random.ts'
import type { GossipTransport } from '../../../../src/cluster/gossip/gossip-transport.ts'
import {
  createMemberlistGossip,
  gossipTuning,
} from '../../../../src/cluster/gossip/memberlist-gossip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

describe('cluster/memberlist-gossip', () => {
  it('seeks one that was cut off until it may be forgotten, without seeds too', async () => {
    const clock = new VirtualClock()
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
    const clock = new VirtualClock()
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
