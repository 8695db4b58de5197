import { expect } from 'chai'
import type { OverlayError } from '../../../src/base/errors.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, keyOf, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`
const wish = {
  space: 'ts-overlay',
  pool: parseCidr(subnet),
  subPool: null,
  options: {},
  ipv6: false,
}

/** What a host's disk has in a table. */
function onDisk({ disk }: SimulatedHost, table: string): string[] {
  return [...(disk.tables.get(`ipam.${table}`)?.keys() ?? [])]
}

/** The plugin ends at once and starts again from what the disk has. */
async function restart(desk: Desk, host: SimulatedHost): Promise<void> {
  host.crash(false)
  await desk.pass(500)
  await desk.run(host.start())
  await desk.pass(3000)
}

/** The pools of which the voters have something for a host. */
async function agreedPools(desk: Desk, host: SimulatedHost): Promise<string[]> {
  const { pools } = await desk.run(host.life!.agreement.holdings()(1000))
  return pools.map(({ pool }) => pool)
}

/** All that the hosts get, until they are refused. */
async function takeAll(desk: Desk, ...hosts: SimulatedHost[]): Promise<string[]> {
  const taken: string[] = []
  for (const host of hosts) {
    for (;;) {
      const address = await desk.take(host, id).catch((error: OverlayError) => error.code)
      if (!address.includes('/')) break
      taken.push(address)
    }
  }
  return taken
}

describe('a full disk', () => {
  it("idle blocks are nobody else's before their owner has it on the disk that they are given back", () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      const many = await desk.takeMany(one, id, 100)
      await desk.pass(2000)
      for (const address of many) await desk.free(one, id, address)
      one.disk.full = true
      await desk.pass(90_000)
      const given = await takeAll(desk, two, three)
      one.disk.full = false
      await restart(desk, one)
      const more = await takeAll(desk, one)
      expect(more.filter((address) => given.includes(address))).to.deep.equal([])
      expect(more, 'what one has is still its own').to.have.length.greaterThan(64)
    }))

  it('what is given back meanwhile can be had by others once the disk has room', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.gossip()
      const many = await desk.takeMany(one, id, 100)
      for (const address of many) await desk.free(one, id, address)
      one.disk.full = true
      await refused(desk.remove(one, id), 'STORE')
      expect(one.ipam.bindings.heldPools()).to.deep.equal([])
      await desk.pass(30_000)
      expect(onDisk(one, 'pools')).to.have.length(1)
      const before = await takeAll(desk, two, three)
      one.disk.full = false
      await desk.pass(5000)
      expect(onDisk(one, 'pools'), 'nobody had to ask again').to.deep.equal([])
      const after = await takeAll(desk, two, three)
      expect(before.length + after.length).to.equal(253)
      await restart(desk, one)
      expect(one.ipam.bindings.heldPools()).to.deep.equal([])
    }))

  it('a pool that was refused is not held, and can be requested as soon as there is room', () =>
    Desk.with(1, async (desk, one) => {
      one.disk.full = true
      await refused(desk.run(one.ipam.requestPool(wish)), 'STORE')
      await refused(desk.run(one.ipam.requestPool({ ...wish, pool: null })), 'STORE')
      expect(one.ipam.bindings.heldPools()).to.deep.equal([])
      one.disk.full = false
      const { poolId } = await desk.run(one.ipam.requestPool(wish))
      expect(keyOf(poolId)).to.equal(subnet)
      await desk.pass(2000)
      expect(onDisk(one, 'pools')).to.deep.equal([subnet])
      await desk.remove(one, id)
      await desk.pass(2000)
      expect(await agreedPools(desk, one)).to.deep.equal([])
    }))

  it('a pool chosen while the disk fills up is let go of', () =>
    Desk.with(3, async (desk, one) => {
      const { id } = await desk.create(one)
      desk.world.weather.delayMs = 30 // so that the disk fills up before the answer is there
      const asked = one.ipam.requestPool({ ...wish, pool: null })
      const outcome = asked.catch((error: OverlayError) => error.code)
      await desk.pass(10)
      one.disk.full = true
      expect(await desk.run(outcome)).to.equal('STORE')
      expect(one.ipam.bindings.heldPools()).to.have.length(1)
      one.disk.full = false
      await desk.pass(65_000)
      expect(onDisk(one, 'pools')).to.have.length(1)
      expect(await agreedPools(desk, one)).to.deep.equal([keyOf(id)])
    }))

  it('a network, a gateway or an address that was refused is not there', () =>
    Desk.with(1, async (desk, one) => {
      await desk.run(one.ipam.requestPool(wish))
      const gateway = { poolId: id, address: null, gateway: true }
      one.disk.full = true
      await refused(desk.run(one.ipam.requestAddress(gateway)), 'STORE')
      await refused(desk.run(one.ipam.bindings.bindPool(subnet, 'network-1')), 'STORE')
      const [pool] = one.ipam.bindings.heldPools()
      expect(pool).to.include({ gateway: null, networkId: null })
      one.disk.full = false
      await desk.run(one.ipam.bindings.bindPool(subnet, 'network-2'))
      await desk.take(one, id)
      one.disk.full = true
      await refused(desk.take(one, id), 'STORE')
      await refused(desk.take(one, id, '10.10.0.77'), 'STORE')
      expect(one.ipam.bindings.leases()).to.have.length(1)
      one.disk.full = false
      await desk.pass(2000)
      await restart(desk, one)
      expect(one.ipam.bindings.leases()).to.have.length(1)
      expect(one.ipam.bindings.heldPools()[0]).to.include({ networkId: 'network-2' })
    }))

  it('an address that another member lends is given back when it cannot be written down', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.gossip()
      const [taken] = await desk.takeMany(one, id, 1)
      await desk.gossip()
      const wanted = taken!.replace(/(\d+)\/24$/, (_, last: string) => String(Number(last) + 1))
      desk.world.weather.delayMs = 30
      const asked = two.ipam.requestAddress({
        poolId: id,
        address: wanted as never,
        gateway: false,
      })
      const outcome = asked.catch((error: OverlayError) => error.code)
      await desk.world.until(() => one.ipam.status().pools[0]!.addresses.lent > 0, 1000)
      two.disk.full = true
      expect(await desk.run(outcome)).to.equal('STORE')
      expect(two.ipam.bindings.leases()).to.deep.equal([])
      two.disk.full = false
      await desk.pass(5000)
      expect(await desk.take(three, id, wanted)).to.equal(`${wanted}/24`)
    }))

  it('an address set aside is free once the disk has room, when its release was refused', () =>
    Desk.with(1, async (desk, one) => {
      const aux = '10.10.0.9'
      await desk.create(one, { subnet, aux: [aux] })
      one.disk.full = true
      await refused(desk.free(one, id, aux), 'STORE')
      one.disk.full = false
      await desk.pass(2000)
      await restart(desk, one)
      expect(await desk.take(one, id, aux)).to.equal(`${aux}/24`)
    }))

  it('a host that is known to the others starts with a full disk, and hands out nothing', () =>
    Desk.with(2, async (desk, one) => {
      await desk.create(one, { subnet })
      await desk.take(one, id)
      one.disk.full = true
      await restart(desk, one)
      expect(one.ipam.bindings.leases()).to.have.length(1)
      await refused(desk.take(one, id), 'STORE')
      one.disk.full = false
      await desk.take(one, id)
    }))
})
