import { expect } from 'chai'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'

type Three = [SimulatedHost, SimulatedHost, SimulatedHost]

async function createOnAll(desk: Desk, hosts: readonly SimulatedHost[]): Promise<string> {
  let id = ''
  for (const host of hosts) {
    id = (await desk.create(host, { subnet })).id
    await desk.take(host, id)
  }
  await desk.gossip()
  return id
}

describe('a cut', () => {
  it('leaves a minority what it has, and says why it cannot have more', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.cut(['h3'])
      const [one, , three] = hosts as Three
      const { free } = three.ipam.status().pools[0]!.addresses
      for (let i = 0; i < free; i++) await desk.take(three, id)
      const before = desk.world.clock.now()
      const words = ['h1, h2', 'h3 cannot take', 'can be used']
      await refused(desk.take(three, id), 'QUORUM', ...words, 'ts-overlay recover')
      expect(desk.world.clock.now() - before).to.be.lessThan(8000)
      await desk.takeMany(one, id, 60)
      desk.world.heal()
      await desk.pass(500)
      expect(await desk.take(three, id)).to.match(/^10\.10\.0\./)
    }))

  it('in which members do not answer is noticed in time', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.weather.loss = 1
      const began = desk.world.clock.now()
      await refused(desk.takeMany(hosts[0]!, id, 200), 'QUORUM')
      expect(desk.world.clock.now() - began).to.be.lessThan(8000)
    }))

  it('of two hosts leaves neither a majority', () =>
    Desk.with(2, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.cut(['h1'])
      for (const host of hosts) {
        await refused(desk.takeMany(host, id, 200), 'QUORUM')
      }
    }))
})

describe('members that come and go', () => {
  it('a newcomer that reaches nobody gets nothing, and is told so', async () => {
    const desk = new Desk(4)
    try {
      await desk.world.grow(3)
      desk.world.cut(['h4'])
      const host = await desk.world.add('h4', ['h1'])
      await refused(desk.create(host, { subnet }), 'QUORUM', 'h4 cannot take', 'h1, h2, h3')
    } finally {
      desk.world.end()
    }
  })

  it('a drained host leaves its blocks to the others', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [, , three] = hosts as Three
      for (const { ip } of three.ipam.bindings.leases()) await desk.free(three, id, ip)
      expect(await desk.run(three.ipam.left())).to.deep.include({ kept: 0 })
      desk.world.depart('h3')
      await desk.pass(500)
      const members = await desk.run(hosts[0]!.life!.agreement.members()(1000))
      expect(members.map(({ name }) => name)).to.deep.equal(['h1', 'h2'])
      const all = await desk.takeMany(hosts[0]!, id, 200)
      expect(new Set(all).size).to.equal(200)
    }))

  it('a host hands out nothing of what is free once it has left', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const desk = new Desk(seed)
      try {
        const [one, two] = (await desk.world.grow(3)) as [SimulatedHost, SimulatedHost]
        const { id } = await desk.create(one, { subnet })
        await desk.create(two, { subnet, gateway: '10.10.0.1' })
        Object.assign(desk.world.weather, { jitterMs: 500 })
        const given = desk.take(two, id).catch(() => null)
        await desk.pass(seed * 50)
        await desk.run(two.ipam.left())
        Object.assign(desk.world.weather, { jitterMs: 0 })
        const ip = await desk.run(given)
        desk.world.depart('h2')
        const others = await desk.takeMany(one, id, ip === null ? 1 : 240)
        expect(others).to.not.include(ip)
      } finally {
        desk.world.end()
      }
    }
  })

  it('a host with containers keeps what they use', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [, , three] = hosts as Three
      const { ip } = three.ipam.bindings.leases()[0]!
      const { returned, kept } = await desk.run(three.ipam.left())
      expect(returned).to.be.greaterThan(0)
      expect(kept).to.be.greaterThan(0)
      desk.world.depart('h3')
      await desk.pass(500)
      const [one, two] = hosts as Three
      const all = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
      expect(all).to.not.include(`${ip}/24`)
    }))

  it('a evicted member’s blocks are free at once; back again, it is a newcomer', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const lost = three.ipam.bindings.leases().map(({ ip }) => `${ip}/24`)
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.evict(['h3']))
      three.disk.tables.get('ipam.leases')!.clear()
      const all = [...(await desk.takeMany(one, id, 126)), ...(await desk.takeMany(two, id, 125))]
      expect(new Set(all).size).to.equal(251)
      expect(all).to.include.members(lost)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().member.registered, 10_000)
      await refused(desk.take(three, id), 'POOL_EXHAUSTED')
      expect(three.ipam.status().conflicts).to.deep.equal([])
    }))

  it('a evicted member that comes back with a container whose address is given away says so', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const { ip } = three.ipam.bindings.leases()[0]!
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.evict(['h3']))
      const all = [...(await desk.takeMany(one, id, 125)), ...(await desk.takeMany(two, id, 125))]
      expect(all).to.include(`${ip}/24`)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().conflicts.length > 0, 10_000)
      const [conflict] = three.ipam.status().conflicts
      expect(conflict).to.deep.include({ poolKey: subnet, ip })
      expect(conflict!.member).to.match(/h[12]/)
    }))

  it('a evicted member that comes back in time keeps its containers’ addresses', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const { ip } = three.ipam.bindings.leases()[0]!
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.evict(['h3']))
      await desk.run(three.start())
      await desk.pass(5000)
      expect(three.ipam.status().conflicts).to.deep.equal([])
      const all = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
      expect(all).to.not.include(`${ip}/24`)
      await refused(desk.take(one, id, ip), 'ADDRESS_IN_USE', 'h3')
    }))

  it('a host that lost its disk is a newcomer, and its former blocks are free', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      three.crash(true)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().member.registered, 10_000)
      const all = [...(await desk.takeMany(one, id, 125)), ...(await desk.takeMany(two, id, 126))]
      expect(new Set(all).size).to.equal(251)
    }))

  it('a block that lies empty goes back to the cluster, but not the first share', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one] = hosts as Three
      const many = await desk.takeMany(one, id, 100)
      const blocks = (): number => one.ipam.status().pools[0]!.blocks.mine.length
      expect(blocks()).to.be.greaterThan(12)
      for (const address of many) await desk.free(one, id, address)
      await desk.pass(120_000)
      expect(blocks()).to.equal(5)
    }))

  it('when all blocks have owners, those with idle ones give them back', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two] = hosts as Three
      const many = await desk.takeMany(two, id, 120)
      for (const address of many) await desk.free(two, id, address)
      await desk.gossip()
      const all = await desk.takeMany(one, id, 220)
      expect(new Set(all).size).to.equal(220)
    }))
})

describe('an eviction by hand', () => {
  it('is refused for a member that can be reached, unless forced', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, , three] = hosts as Three
      await refused(desk.run(one.ipam.evict(['h3'])), 'MEMBER_ALIVE', 'h3', '--force')
      await desk.run(one.ipam.evict(['h3'], { force: true }))
      await desk.pass(65_000)
      expect(three.ipam.status().member.registered, 'it is back as a newcomer').to.equal(true)
      expect(await desk.take(three, id)).to.match(/^10\.10\.0\./)
      expect(three.ipam.status().conflicts).to.deep.equal([])
    }))

  it('of a name that the cluster does not have is refused', () =>
    Desk.with(2, async (desk, one) => {
      await refused(desk.run(one.ipam.evict(['h9'])), 'MEMBER_UNKNOWN', 'h9')
    }))

  it('needs a majority', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [two, three]) host.crash(false)
      await refused(desk.run(one.ipam.evict(['h2', 'h3'])), 'QUORUM', 'h2', 'h3', 'recover')
    }))
})
