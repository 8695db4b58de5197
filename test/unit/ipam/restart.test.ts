import { expect } from 'chai'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

describe('a start', () => {
  it('of a member that was evicted: nothing is handed out before the others were heard', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.take(three, id)
      await desk.gossip()
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.evict(['h3']))
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
})

describe('a block with an address that is lent', () => {
  it('goes back when its owner leaves, and whoever owns it next keeps off the address', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.take(one, id, '10.10.0.77')
      await desk.take(two, id, '10.10.0.78')
      await desk.free(one, id, '10.10.0.77')
      expect(await desk.run(one.ipam.left())).to.deep.include({ kept: 0 })
      desk.world.depart('h1')
      expect(await desk.take(three, id, '10.10.0.79')).to.equal('10.10.0.79/24')
      await refused(desk.take(three, id, '10.10.0.78'), 'ADDRESS_IN_USE', 'h2')
    }))
})
