import { expect } from 'chai'
import { Cluster, endpointOf, stateOf } from '../../support/cluster.ts'
import { filtered } from '../../support/filtered.ts'
import { SEED } from '../../support/seed.ts'

/**
 * Nothing but gossip can tell m1 that it is held for dead: it pings nobody, and nobody seeks it.
 */
const GOSSIP_ONLY = { reconnectIntervalMs: 0, pushPullIntervalMs: 0, tcpPings: false }

describe(`one who is held for dead (SEED=${SEED})`, () => {
  it('hears of it by gossip and refutes', async () => {
    await using cluster = new Cluster(SEED)
    for (let i = 0; i < 3; i++) {
      const transport = cluster.network.transport(endpointOf(i))
      const mute = filtered(transport, ({ type }) => i !== 1 || type !== 'ping')
      cluster.add({ transport: mute, config: GOSSIP_ONLY })
    }
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(2000)
    cluster.network.partition([[0, 2].map(endpointOf), [1].map(endpointOf)])
    const others = [cluster.lists[0]!, cluster.lists[2]!]
    await cluster.until(() => others.every((list) => stateOf(list, 'm1') === 'dead'))
    cluster.network.heal()
    const returned = () => others.every((list) => stateOf(list, 'm1') === 'alive')
    expect(await cluster.until(returned, 3000)).to.equal(true)
  })
})
