import { expect } from 'chai'
import { Cluster, endpointOf, present } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'
import { encodeMessage } from '../../../src/wire/messages.ts'

const everybody = ['m0', 'm1', 'm2']

describe(`one forged packet about a member, with an incarnation far ahead (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  /** Accuses `m1`, to itself or to another member. */
  async function forge(type: 'suspect' | 'dead', at: number, ahead: number): Promise<void> {
    const [, victim] = await cluster.assemble(3)
    const incarnation = victim!.local.incarnation + ahead
    const body = { incarnation, node: 'm1', from: 'm2' }
    const attacker = cluster.network.transport({ address: '10.66.6.6', port: 666 })
    attacker.send(encodeMessage({ type, body }), endpointOf(at))
    await cluster.clock.advance(2000)
  }

  for (const type of ['suspect', 'dead'] as const) {
    for (const [to, at, ahead] of [
      ['itself', 1, 2 ** 31],
      ['another', 0, 2 ** 31],
      ['another, as far as is believed', 0, 2 ** 30],
    ] as const) {
      it(`${type}, sent to ${to}: it is believed again, after a cut too`, async () => {
        await forge(type, at, ahead)
        const whole = (): boolean =>
          cluster.lists.every((list) => String(present(list)) === String(everybody))
        expect(await cluster.until(whole, 120_000), 'before the cut').to.equal(true)
        cluster.network.partition([[endpointOf(1)], [endpointOf(0), endpointOf(2)]])
        await cluster.clock.advance(60_000)
        expect(whole()).to.equal(false)
        cluster.network.heal()
        expect(await cluster.until(whole, 120_000), 'after the cut').to.equal(true)
      })
    }
  }
})
