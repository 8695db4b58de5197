import { expect } from 'chai'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'

describe('two clusters that lived apart', () => {
  it('become one when they meet; what both use is reported, what only one uses it keeps', async () => {
    const desk = new Desk(11)
    try {
      const founders = [await desk.world.add('h1'), await desk.world.add('h4')]
      await desk.pass(3000)
      const second = await desk.world.add('h2', ['h1'])
      await desk.world.until(() => second.ipam.status().voter.seated, 10_000)
      // Until now h1 and h4 have never heard of each other.
      const taken: string[][] = []
      for (const host of founders) {
        const { id } = await desk.create(host, { subnet })
        const both = await desk.take(host, id, '10.10.0.77')
        const own = host.name === 'h1' ? '10.10.0.80' : '10.10.0.90'
        taken.push([both, await desk.take(host, id, own)])
      }
      founders[1]!.known.add('h1')
      founders[0]!.known.add('h4')
      await desk.pass(15_000)
      const hosts = [...desk.world.hosts.values()]
      const clusters = new Set(hosts.map(({ ipam }) => ipam.status().roster?.cluster))
      expect(clusters.size).to.equal(1)
      expect(hosts.every(({ ipam }) => ipam.status().voter.seated)).to.equal(true)
      const owned = hosts.flatMap(({ ipam }) =>
        ipam.status().pools.flatMap(({ blocks }) => blocks.mine),
      )
      expect(new Set(owned).size, 'no block has two owners').to.equal(owned.length)
      const conflicts = hosts.map(({ name, ipam }) => [name, ipam.status().conflicts])
      const doubled = { poolKey: subnet, ip: '10.10.0.77' }
      expect(conflicts).to.have.deep.members([
        ['h1', [{ ...doubled, member: 'h4' }]],
        ['h2', []],
        ['h4', [{ ...doubled, member: 'h1' }]],
      ])
      const id = 'ts-overlay/10.10.0.0/24'
      for (const founder of founders) {
        await refused(desk.take(founder, id), 'ADDRESS_CONFLICT', '10.10.0.77')
      }
      await refused(desk.take(founders[0]!, id, '10.10.0.90'), 'ADDRESS_IN_USE', 'h4')
      await refused(desk.take(founders[1]!, id, '10.10.0.80'), 'ADDRESS_IN_USE', 'h1')
    } finally {
      desk.world.end()
    }
  })
})
