import { expect } from 'chai'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

describe('the state of a pool', () => {
  it('has its blocks and owners, what is free and used, and what people asked for', () =>
    Desk.with(2, async (desk, one, two) => {
      const aux = ['10.10.0.9']
      await desk.create(one, { subnet, gateway: '10.10.0.254', aux, range: '10.10.0.0/25' })
      await desk.create(two, { subnet })
      const [first] = await desk.takeMany(one, id, 3)
      await desk.take(two, id)
      await desk.gossip()
      const pool = one.ipam.status().pools[0]!
      expect(pool).to.deep.include({ poolKey: subnet, networkId: 'network-1', auto: false })
      expect(pool).to.deep.include({ gateway: '10.10.0.254', reserved: aux, blockSize: 8 })
      expect(pool.ipRange).to.equal('10.10.0.0/25')
      const { total, mine, owners } = pool.blocks
      expect(total).to.equal(32)
      const other = two.ipam.status().pools[0]!.blocks.mine
      expect(owners.map(({ owner, alive, blocks }) => [owner, alive, blocks])).to.have.deep.members(
        [
          ['h1', true, mine.length],
          ['h2', true, other.length],
        ],
      )
      expect(mine.filter((index) => other.includes(index))).to.deep.equal([])
      const addresses = owners.reduce((sum, owner) => sum + owner.addresses, 0)
      expect(addresses).to.be.within(8 * (mine.length + other.length) - 2, 8 * 32)
      const { usable, used, free, borrowed } = pool.addresses
      expect({ usable, used, borrowed }).to.deep.equal({ usable: 254, used: 4, borrowed: 0 })
      expect(free).to.be.within(4, 8 * mine.length - 4)
      expect(pool.leases).to.have.length(4)
      const lease = pool.leases.find(({ ip }) => first!.startsWith(`${ip}/`))
      expect(lease).to.deep.include({ kind: 'container', borrowed: false })
      expect(pool.leases.find(({ kind }) => kind === 'reserved')?.ip).to.equal('10.10.0.9')
    }))

  it('tells of votes that are asked for and of votes that are being given back', () =>
    Desk.with(3, async (desk, one) => {
      await desk.create(one, { subnet })
      await desk.take(one, id)
      await desk.pass(500)
      const { given } = one.ipam.status().votes
      expect(given).to.be.greaterThan(0)
      desk.world.weather.delayMs = 300
      const more = desk.takeMany(one, id, 100)
      await desk.pass(400)
      expect(one.ipam.status().votes.claiming).to.be.greaterThan(0)
      await refused(more, 'DEADLINE', subnet, 'in time', 'try again')
      desk.world.weather.delayMs = 0.3
      desk.world.cut(['h3'])
      await desk.remove(one, id)
      await desk.pass(2000)
      expect(one.ipam.status().votes).to.deep.include({ claiming: 0, given: 0 })
      expect(one.ipam.status().votes.releasing).to.be.greaterThan(0)
      const voters = one.ipam.status().roster!.voters.map(({ name, state }) => [name, state])
      expect(voters).to.deep.equal([
        ['h1', 'alive'],
        ['h2', 'alive'],
        ['h3', 'dead'],
      ])
      desk.world.heal()
      await desk.pass(3000)
      expect(one.ipam.status().votes.releasing).to.equal(0)
    }))
})
