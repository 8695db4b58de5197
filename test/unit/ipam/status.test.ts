import { expect } from 'chai'
import { Desk } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

describe('the state of a pool', () => {
  it('has its blocks, what is free and used, and what people asked for', () =>
    Desk.with(2, async (desk, one, two) => {
      const aux = ['10.10.0.9']
      await desk.create(one, { subnet, gateway: '10.10.0.254', aux, range: '10.10.0.0/25' })
      await desk.create(two, { subnet })
      const [first] = await desk.takeMany(one, id, 3)
      await desk.take(two, id)
      const pool = one.ipam.status().pools[0]!
      expect(pool).to.deep.include({ poolKey: subnet, networkId: 'network-1', auto: false })
      expect(pool).to.deep.include({ gateway: '10.10.0.254', reserved: aux, blockSize: 8 })
      expect(pool.ipRange).to.equal('10.10.0.0/25')
      const { total, mine, releasing } = pool.blocks
      expect({ total, releasing }).to.deep.equal({ total: 32, releasing: 0 })
      const other = two.ipam.status().pools[0]!.blocks.mine
      expect(mine.filter((index) => other.includes(index))).to.deep.equal([])
      const { usable, used, free, borrowed, lent } = pool.addresses
      expect({ usable, used, borrowed, lent }).to.deep.equal({
        usable: 254,
        used: 3,
        borrowed: 0,
        lent: 0,
      })
      expect(free).to.be.within(4, 8 * mine.length - 3)
      expect(pool.leases).to.have.length(3)
      const lease = pool.leases.find(({ ip }) => first!.startsWith(`${ip}/`))
      expect(lease).to.deep.include({ kind: 'container', borrowed: false })
    }))
})
