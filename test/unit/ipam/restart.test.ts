import { expect } from 'chai'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

/** By block the claim that a host voted for it with, its own votes for itself. */
function claims(host: SimulatedHost): number[] {
  const { id: voterId } = host.ipam.status().voter
  const rows = [...(host.disk.tables.get('ipam.votes') ?? [])]
  return rows
    .filter(([key]) => key.startsWith('block '))
    .map(([, text]) => (JSON.parse(text) as Record<string, number>)[`${host.name}#${voterId}`])
    .filter((claim) => claim !== undefined)
}

describe('a start', () => {
  it('of a member that was forgotten: nothing is handed out before the others were heard', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.take(three, id)
      await desk.gossip()
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.forget('h3'))
      await desk.gossip()
      const all = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
      const wish = { poolId: id, address: null, gateway: false }
      const asked = three.start().then(() => {
        const ask = () => three.ipam.requestAddress(wish).catch(() => 'refused')
        return Promise.all(Array.from({ length: 8 }, ask))
      })
      const given = (await desk.run(asked)).filter((address) => address !== 'refused')
      expect(given.filter((address) => all.includes(address))).to.deep.equal([])
    }))

  it('goes on with claims above all that were ever made', () =>
    Desk.with(3, async (desk, one) => {
      await desk.create(one, { subnet })
      await desk.take(one, id)
      const before = claims(one)
      one.crash(false)
      await desk.run(one.start())
      await desk.takeMany(one, id, 100)
      const after = claims(one).filter((claim) => !before.includes(claim))
      expect(before.length).to.be.greaterThan(0)
      expect(after.length).to.be.greaterThan(0)
      expect(Math.min(...after)).to.be.greaterThan(Math.max(...before))
    }))
})

describe('a block with an address that is lent', () => {
  it('stays with its owner, also when that leaves', () =>
    Desk.with(3, async (desk, one, two) => {
      for (const host of [one, two]) await desk.create(host, { subnet })
      await desk.take(one, id, '10.10.0.77')
      await desk.gossip()
      await desk.take(two, id, '10.10.0.78')
      await desk.free(one, id, '10.10.0.77')
      expect(await desk.run(one.ipam.left())).to.deep.include({ kept: 1 })
      expect(one.ipam.status().pools[0]!.blocks.mine).to.deep.equal([9])
    }))
})
