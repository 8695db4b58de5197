import { expect } from 'chai'
import type { OverlayError } from '../../../src/base/errors.ts'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`
const hourMs = 3_600_000

describe('a member that is dead for an hour', () => {
  it('keeps its blocks and what was lent to it', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.take(one, id, '10.10.0.200')
      await desk.gossip()
      const lent = await desk.take(three, id, '10.10.0.201')
      const had = [lent, ...(await desk.takeMany(three, id, 10))]
      const blocks = three.ipam.status().pools[0]!.blocks.mine
      await desk.gossip()
      three.crash(false)
      await desk.pass(hourMs)
      const all: string[] = []
      for (const host of [one, two]) {
        for (;;) {
          const address = await desk.take(host, id).catch((error: OverlayError) => error.code)
          if (address === 'POOL_EXHAUSTED') break
          all.push(address)
        }
      }
      expect(all.length).to.be.greaterThan(180)
      expect(all.filter((address) => had.includes(address))).to.deep.equal([])
      for (const host of [one, two]) {
        await refused(desk.take(host, id), 'POOL_EXHAUSTED', 'h3 (dead) has', 'h1')
        const inBlock = had.at(-1)!.split('/')[0]!
        await refused(desk.take(host, id, inBlock), 'MEMBER_AWAY', inBlock, 'h3')
        await refused(desk.take(host, id, '10.10.0.201'), 'ADDRESS_IN_USE', 'h3')
      }
      await desk.run(three.start())
      const again = three.ipam.bindings.leases(subnet).map(({ ip }) => `${ip}/24`)
      expect(again).to.have.members(had)
      expect(three.ipam.status().pools[0]!.blocks.mine).to.have.members(blocks)
      expect(had).to.not.include(await desk.take(three, id))
    })).timeout(60_000)

  it('keeps its pools, also when the others have been restarted meanwhile', () =>
    Desk.with(3, async (desk, one, two, three) => {
      await desk.create(three, { subnet: '10.20.0.0/16' })
      await desk.gossip()
      three.crash(false)
      await desk.pass(hourMs / 2)
      for (const host of [one, two]) {
        host.crash(false)
        await desk.run(host.start())
      }
      await desk.pass(60_000)
      for (const host of [one, two]) {
        const create = desk.create(host, { subnet: '10.20.7.0/24' })
        await refused(create, 'POOL_OVERLAP', '10.20.7.0/24', '10.20.0.0/16', 'h3')
      }
      await desk.run(one.ipam.evict(['h3']))
      await desk.create(two, { subnet: '10.20.7.0/24' })
    })).timeout(60_000)
})
