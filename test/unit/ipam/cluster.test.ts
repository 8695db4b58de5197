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
      const blocks = three.ipam.status().pools[0]!.blocks.owners.find(({ owner }) => owner === 'h3')
      for (let i = 1; i < blocks!.addresses; i++) await desk.take(three, id)
      const before = desk.world.clock.now()
      const words = ['1 of 3', '2 are needed', 'no answer from h1, h2', 'h3 cannot take']
      const todo = 'ts-overlay forget h1 h2'
      await refused(desk.take(three, id), 'NO_MAJORITY', ...words, todo)
      expect(desk.world.clock.now() - before).to.be.lessThan(8000)
      await desk.takeMany(one, id, 60)
      desk.world.heal()
      await desk.pass(500)
      expect(await desk.take(three, id)).to.match(/^10\.10\.0\./)
    }))

  it('that leaves one of many names all the others in the command it advises', () =>
    Desk.with(16, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.cut(['h1'])
      const others = hosts.map(({ name }) => name).filter((name) => name !== 'h1')
      const todo = `ts-overlay forget ${others.sort().join(' ')}`
      await refused(desk.takeMany(hosts[0]!, id, 200), 'NO_MAJORITY', 'and 3 more', todo)
    }))

  it('in which members do not answer is noticed in time', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.weather.loss = 1
      const began = desk.world.clock.now()
      await refused(desk.takeMany(hosts[0]!, id, 200), 'NO_MAJORITY', 'h2', 'h3')
      expect(desk.world.clock.now() - began).to.be.lessThan(8000)
    }))

  it('of two hosts leaves neither a majority', () =>
    Desk.with(2, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.cut(['h1'])
      for (const host of hosts) {
        await refused(desk.takeMany(host, id, 200), 'NO_MAJORITY', '1 of 2')
      }
    }))

  it('with newcomers on the smaller side does not make it the larger', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      desk.world.cut(['h3', 'h4', 'h5', 'h6'])
      const newcomers: SimulatedHost[] = []
      for (const name of ['h4', 'h5', 'h6']) newcomers.push(await desk.world.add(name, ['h3']))
      await desk.pass(3000)
      expect(newcomers.some(({ ipam }) => ipam.status().voter.seated)).to.equal(false)
      await refused(desk.takeMany(hosts[2]!, id, 200), 'NO_MAJORITY')
      desk.world.heal()
      const seated = (): boolean => newcomers.every(({ ipam }) => ipam.status().voter.seated)
      await desk.world.until(seated, 10_000)
      expect(hosts[0]!.ipam.status().roster!.voters).to.have.length(6)
    }))
})

describe('members that come and go', () => {
  it('a newcomer that has not reached its seed gets nothing, and is told so', async () => {
    const desk = new Desk(4)
    try {
      const host = await desk.world.add('h2', ['h1'])
      const { id } = await desk.create(host, { subnet })
      await refused(desk.take(host, id), 'NO_MAJORITY', 'JOIN', 'GOSSIP_PORT')
    } finally {
      desk.world.end()
    }
  })

  it('a newcomer waits for its seat, also when all blocks have owners', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const many: string[][] = []
      for (const host of hosts) many.push(await desk.takeMany(host, id, 80))
      for (const [i, host] of hosts.entries()) {
        for (const address of many[i]!.slice(0, 79)) await desk.free(host, id, address)
      }
      const owned = hosts.flatMap(({ ipam }) => ipam.status().pools[0]!.blocks.mine)
      expect(owned).to.have.length(32)
      await desk.gossip()
      const newcomer = await desk.world.add('h4', ['h1'])
      await desk.create(newcomer, { subnet })
      expect(newcomer.ipam.status().voter.seated).to.equal(false)
      expect(await desk.take(newcomer, id)).to.match(/^10\.10\.0\./)
    }))

  it('hosts that all JOIN each other found one cluster together', async () => {
    const desk = new Desk(5)
    try {
      const names = ['h1', 'h2', 'h3']
      const hosts: SimulatedHost[] = []
      for (const name of names)
        hosts.push(
          await desk.world.add(
            name,
            names.filter((n) => n !== name),
          ),
        )
      await desk.world.until(() => hosts.every(({ ipam }) => ipam.status().voter.seated), 10_000)
      const clusters = new Set(hosts.map(({ ipam }) => ipam.status().roster!.cluster))
      expect(clusters.size).to.equal(1)
    } finally {
      desk.world.end()
    }
  })

  it('and without one that is gone before it, when they are told so', async () => {
    const desk = new Desk(3)
    try {
      const hosts = [await desk.world.add('h1', ['h2']), await desk.world.add('h2', ['h1'])]
      for (const host of hosts) host.known.add('h3')
      await desk.pass(20_000)
      const [one, two] = hosts.map(({ ipam }) => ipam)
      expect(one!.status().roster).to.equal(null)
      await refused(desk.run(two!.forget('h4')), 'NO_MAJORITY', 'no answer from h3')
      expect(one!.status().roster).to.equal(null)
      await desk.run(two!.forget('h3'))
      expect(one!.status().roster!.cluster).to.equal(two!.status().roster!.cluster)
    } finally {
      desk.world.end()
    }
  })

  it('a drained host leaves its seat and its blocks to the others', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [, , three] = hosts as Three
      for (const { ip } of three.ipam.leases()) await desk.free(three, id, ip)
      expect(await desk.run(three.ipam.left())).to.deep.include({ kept: 0 })
      desk.world.depart('h3')
      await desk.pass(500)
      expect(hosts[0]!.ipam.status().roster!.voters.map(({ name }) => name)).to.deep.equal([
        'h1',
        'h2',
      ])
      const all = await desk.takeMany(hosts[0]!, id, 200)
      expect(new Set(all).size).to.equal(200)
    }))

  it('a host with containers keeps what they use, and its seat', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [, , three] = hosts as Three
      const { ip } = three.ipam.leases()[0]!
      const { returned, kept } = await desk.run(three.ipam.left())
      expect(returned).to.be.greaterThan(0)
      expect(kept).to.be.greaterThan(0)
      desk.world.depart('h3')
      await desk.pass(500)
      const [one, two] = hosts as Three
      const all = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
      expect(all).to.not.include(`${ip}/24`)
    }))

  it('a forgotten member’s blocks are free at once; back again, it is a newcomer', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const lost = three.ipam.leases().map(({ ip }) => `${ip}/24`)
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.forget('h3'))
      three.disk.tables.get('ipam.leases')!.clear()
      const all = [...(await desk.takeMany(one, id, 126)), ...(await desk.takeMany(two, id, 125))]
      expect(new Set(all).size).to.equal(251)
      expect(all).to.include.members(lost)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().voter.seated, 10_000)
      await refused(desk.take(three, id), 'POOL_EXHAUSTED')
      expect(three.ipam.status().conflicts).to.deep.equal([])
    }))

  it('a forgotten member that comes back with a container whose address is given away says so', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const { ip } = three.ipam.leases()[0]!
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.forget('h3'))
      const all = [...(await desk.takeMany(one, id, 125)), ...(await desk.takeMany(two, id, 125))]
      expect(all).to.include(`${ip}/24`)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().conflicts.length > 0, 10_000)
      const [conflict] = three.ipam.status().conflicts
      expect(conflict).to.deep.include({ poolKey: subnet, ip })
      expect(conflict!.member).to.match(/h[12]/)
    }))

  it('a forgotten member that comes back in time keeps its containers’ addresses', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      const { ip } = three.ipam.leases()[0]!
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.forget('h3'))
      await desk.run(three.start())
      await desk.pass(5000)
      expect(three.ipam.status().conflicts).to.deep.equal([])
      const all = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
      expect(all).to.not.include(`${ip}/24`)
      await refused(desk.take(one, id, ip), 'ADDRESS_IN_USE', 'h3')
    }))

  it('a host that lost its disk takes its seat again, and its former blocks are free', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      three.crash(true)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().voter.seated, 10_000)
      const all = [...(await desk.takeMany(one, id, 125)), ...(await desk.takeMany(two, id, 126))]
      expect(new Set(all).size).to.equal(251)
    }))

  it('when most are gone for good, the rest goes on after it is told so', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      two.crash(true)
      three.crash(true)
      await desk.pass(200)
      const words = ['1 of 3', '2 are needed', 'no answer from h3', 'ts-overlay forget h2 h3']
      await refused(desk.run(one.ipam.forget('h2')), 'NO_MAJORITY', ...words)
      await desk.run(one.ipam.forget('h2', 'h3'))
      const all = await desk.takeMany(one, id, 252)
      expect(new Set(all).size).to.equal(252)
    }))

  it('members that are away too long are forgotten by a majority, never by a minority', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const id = await createOnAll(desk, hosts)
      const [one, two, three] = hosts as Three
      two.crash(false)
      three.crash(true)
      await desk.pass(200)
      await refused(desk.run(one.ipam.forgetAway('h2', 'h3')), 'NO_MAJORITY', 'h3')
      await desk.run(two.start())
      await desk.run(one.ipam.forgetAway('h3'))
      const all = [...(await desk.takeMany(one, id, 126)), ...(await desk.takeMany(two, id, 125))]
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

describe('a second host with the name of a living one', () => {
  it('does not get its seat, and the living one keeps its blocks', () =>
    Desk.with(3, async (desk, ...hosts) => {
      await createOnAll(desk, hosts)
      const [one, , three] = hosts as Three
      const before = three.ipam.status()
      const from = { name: 'h3', id: 'another disk' }
      const join = { version: 2, from, roster: null, body: { kind: 'join' } }
      const answer = await desk.run(one.life!.handler!('h3', join))
      expect(answer).to.deep.include({ body: { kind: 'elsewhere' } })
      await desk.pass(2000)
      const after = three.ipam.status()
      expect(after.voter).to.deep.equal(before.voter).and.include({ seated: true })
      expect(after.pools[0]!.blocks.mine).to.deep.equal(before.pools[0]!.blocks.mine)
    }))
})
