import { expect } from 'chai'
import { AgreedClient } from '../../../../src/consensus/state/agreed-client.ts'
import { AgreedMachine } from '../../../support/agreed-machine.ts'

function clientOf(machine: AgreedMachine, name: string): AgreedClient {
  const client = {
    submit: (command: Uint8Array) => Promise.resolve(machine.apply(command, name)),
    query: (question: Uint8Array) => Promise.resolve(machine.state.query(question)),
  }
  return new AgreedClient(client, machine.idOf(name))
}

describe('the client of the agreed state', () => {
  it('knows the commands as the state does', async () => {
    const machine = new AgreedMachine('h2')
    const client = clientOf(machine, 'h1')
    const pool = '10.1.0.0/24'
    expect(await client.renew()(1)).to.deep.equal({ ok: { root: machine.idOf('h2') } })
    const done = [
      await client.tick(10.4)(1),
      await client.holdPool(pool)(1),
      await client.gateway(pool, null)(1),
      await client.claimBlock(pool, 4)(1),
      await client.claim(pool, { total: 2, first: 0, last: 255 })(1),
      await client.reserve(pool, 33)(1),
      await client.unreserve(pool, 33)(1),
      await client.release(pool, [[4, 6]], [])(1),
      await client.attachOverlay({
        overlayId: pool,
        encrypted: false,
        vni: null,
        start: 1,
        avoid: [],
      })(1),
      await client.detachOverlay(pool, 1)(1),
      await client.evict([machine.idOf('h2')], null)(1),
    ]
    for (const outcome of done) expect(outcome).to.have.property('ok')
    expect(await client.usage(pool)(1)).to.deep.equal([{ member: 'h1', blocks: 1 }])
    expect(await client.whoHas(pool, 4, 33)(1)).to.deep.equal({
      owner: null,
      borrower: null,
      reserver: null,
    })
    expect(await client.members()(1)).to.have.length(1)
    expect(await client.lend(pool, 9, 'h3')(1)).to.deep.equal({ refused: { code: 'NOT_HELD' } })
    expect(await client.releasePool(pool, 4)(1)).to.deep.equal({ ok: {} })
    expect(await client.leave()(1)).to.deep.equal({ ok: {} })
    expect((await client.holdings()(1)).known).to.equal(false)
  })

  it('gets all of many pools, a page at a time', async () => {
    const machine = new AgreedMachine('h1')
    const client = clientOf(machine, 'h1')
    const keys = Array.from({ length: 120 }, (_, i) => `10.${i}.0.0/24`)
    for (const key of keys) await client.holdPool(key)(1)
    const { pools } = await client.holdings()(1)
    expect(pools.map(({ pool }) => pool)).to.have.members(keys)
  })
})
