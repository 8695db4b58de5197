import { expect } from 'chai'
import type { OverlayError } from '../../../src/base/errors.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, keyOf, refused } from './desk.ts'

const small = '10.10.0.0/29'
const next = '10.20.0.0/28'
const ipv6 = 'fd00:10::/64'

/** Creates one network with several subnets; their pool ids. */
async function createWith(
  desk: Desk,
  host: SimulatedHost,
  subnets: string[],
  network = 'network-a',
): Promise<string[]> {
  const ids: string[] = []
  for (const subnet of subnets) {
    const create = { subnet, unbound: true, ipv6: subnet.includes(':') }
    const { id } = await desk.create(host, create)
    await desk.run(host.ipam.bindings.bindPool(keyOf(id), network))
    ids.push(id)
  }
  return ids
}

const addressesOf = (host: SimulatedHost): string[] =>
  host.ipam.bindings
    .leases()
    .filter(({ kind }) => kind === 'container')
    .map(({ poolKey, ip }) => `${poolKey} ${ip}`)

describe('a network with several subnets', () => {
  it('goes on with the next subnet of the family when the one that is asked for is full', () =>
    Desk.with(2, async (desk, one, two) => {
      const [first] = await createWith(desk, one, [small, next, ipv6])
      await createWith(desk, two, [small, next, ipv6])
      const given: string[] = []
      for (let n = 0; n < 18; n++) given.push(await desk.take(n % 2 === 0 ? one : two, first!))
      expect(new Set(given).size).to.equal(18)
      expect(given.filter((address) => address.endsWith('/29'))).to.have.length(5)
      expect(given.filter((address) => /^10\.20\.0\.\d+\/28$/.test(address))).to.have.length(13)
      await refused(desk.take(one, first!), 'POOL_EXHAUSTED', next)
      await refused(desk.take(two, first!), 'POOL_EXHAUSTED', next)
    }))

  it('takes back an address of another subnet under the pool that the engine knows', () =>
    Desk.with(1, async (desk, host) => {
      const [first] = await createWith(desk, host, [small, next])
      await desk.takeMany(host, first!, 5)
      const address = await desk.take(host, first!)
      expect(addressesOf(host)).to.include(`${next} ${address.split('/')[0]}`)
      await desk.free(host, first!, address)
      expect(addressesOf(host)).to.have.length(5)
      expect(addressesOf(host).every((lease) => lease.startsWith(small))).to.equal(true)
    }))

  it('gives the address that is asked for out of any', () =>
    Desk.with(1, async (desk, host) => {
      const [first, second] = await createWith(desk, host, [small, next])
      expect(await desk.take(host, second!, '10.20.0.9')).to.equal('10.20.0.9/28')
      await desk.pass(60_000)
      expect(await desk.take(host, first!, '10.20.0.10')).to.equal('10.20.0.10/28')
      await refused(desk.take(host, first!, '10.30.0.1'), 'ADDRESS_OUT_OF_POOL', small)
    }))

  it('gives what this host has of the next subnet when the voters are away, else says that', () =>
    Desk.with(3, async (desk, one, two, three) => {
      const wide = '10.30.0.0/16'
      const subnets = ['10.10.0.0/24', wide]
      const [first, second] = await createWith(desk, one, subnets)
      for (const host of [two, three]) await createWith(desk, host, subnets)
      for (const id of [first!, second!]) await desk.take(one, id)
      desk.world.cut([one.name], [two.name, three.name])
      const given = new Set<string>()
      for (;;) {
        const address = await desk.take(one, first!).catch((error: OverlayError) => error.code)
        if (!address.includes('/')) {
          expect(address).to.equal('QUORUM')
          break
        }
        expect(given.has(address), address).to.equal(false)
        given.add(address)
      }
      expect([...given].some((address) => address.endsWith('/24'))).to.equal(true)
      expect([...given].some((address) => address.endsWith('/16'))).to.equal(true)
    })).timeout(60_000)

  it('takes nothing from a subnet of another network', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet: small })
      await createWith(desk, host, [next])
      await desk.takeMany(host, id, 5)
      await refused(desk.take(host, id), 'POOL_EXHAUSTED', small)
    }))
})
