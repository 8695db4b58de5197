import { expect } from 'chai'
import { cidrContains, parseCidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'

describe('the gateway', () => {
  it('is the same on every host: the first one’s choice', () =>
    Desk.with(3, async (desk, one, two, three) => {
      await desk.create(one, { subnet, gateway: '10.10.0.254' })
      await desk.gossip()
      expect((await desk.create(two, { subnet })).gateway).to.equal('10.10.0.254/24')
      const create = desk.create(three, { subnet, gateway: '10.10.0.1' })
      await refused(create, 'OVERLAY_CONFLICT', 'h1', '10.10.0.254')
    }))

  it('is the first address when nobody says otherwise, and is nobody else’s', () =>
    Desk.with(2, async (desk, one) => {
      const { id, gateway } = await desk.create(one, { subnet: '10.10.0.0/29' })
      expect(gateway).to.equal('10.10.0.1/29')
      const all = await desk.takeMany(one, id, 5)
      expect(all).to.not.include(gateway)
      await refused(desk.take(one, id), 'POOL_EXHAUSTED')
      await refused(desk.take(one, id, '10.10.0.1'), 'ADDRESS_IN_USE', 'gateway')
    }))

  it('cannot be the address of a container', () =>
    Desk.with(2, async (desk, one, two) => {
      desk.world.endpoints.set(`${subnet} 10.10.0.7`, 'h1')
      await refused(
        desk.create(two, { subnet, gateway: '10.10.0.7' }),
        'ADDRESS_IN_USE',
        'h1',
        '--gateway',
      )
      await refused(desk.create(one, { subnet, gateway: '10.10.0.0' }), 'ADDRESS_OUT_OF_POOL')
    }))

  it('its release changes nothing: the pool’s release follows', () =>
    Desk.with(1, async (desk, host) => {
      const { id, gateway } = await desk.create(host, { subnet })
      await desk.free(host, id, gateway)
      expect(host.ipam.status().pools[0]!.gateway).to.equal('10.10.0.1')
    }))
})

describe('automatic addresses', () => {
  it('a thousand at once on one host, and five hundred on each of two others: all different', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const wide = '10.20.0.0/16'
      const ids: string[] = []
      for (const host of hosts) ids.push((await desk.create(host, { subnet: wide })).id)
      const all = await Promise.all(
        hosts.map((host, i) => desk.takeMany(host, ids[i]!, i === 0 ? 1000 : 500)),
      )
      const flat = all.flat()
      expect(new Set(flat).size).to.equal(2000)
      expect(flat.every((ip) => cidrContains(parseCidr(wide)!, ip.split('/')[0] as Ip))).to.equal(
        true,
      )
    }))

  it('three hosts use a /24 up to its last address, then are told who has how much', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const all = new Set<string>()
      let id = ''
      for (const host of hosts) id = (await desk.create(host, { subnet })).id
      await desk.gossip()
      for (let i = 0; i < 253; i++) all.add(await desk.take(hosts[i % 7 === 0 ? 1 : 0]!, id))
      expect(all.size).to.equal(253)
      for (const host of hosts) {
        await refused(desk.take(host, id), 'POOL_EXHAUSTED', 'h1', 'h2', '254', '--subnet')
      }
      const address = [...all].at(-1)!
      const last = hosts.find(({ ipam }) =>
        ipam.bindings.leases().some(({ ip }) => address.startsWith(`${ip}/`)),
      )
      await desk.free(last!, id, address)
      expect(await desk.take(hosts[2]!, id)).to.equal(address)
    }))

  it('keep to --ip-range, which each host has for itself', () =>
    Desk.with(2, async (desk, one, two) => {
      const low = await desk.create(one, { subnet, range: '10.10.0.32/28' })
      await desk.create(two, { subnet, range: '10.10.0.128/25' })
      const taken = await desk.takeMany(one, low.id, 16)
      const inRange = (ip: string): boolean =>
        cidrContains(parseCidr('10.10.0.32/28')!, ip.split('/')[0] as Ip)
      expect(new Set(taken).size).to.equal(16)
      expect(taken.every(inRange)).to.equal(true)
      const words = ['--ip-range 10.10.0.32/28 of pool', 'of 16 addresses', 'larger --ip-range']
      await refused(desk.take(one, low.id), 'POOL_EXHAUSTED', ...words)
      expect(await desk.take(one, low.id, '10.10.0.200'), 'any may be asked for').to.be.a('string')
      for (const ip of await desk.takeMany(two, low.id, 30)) {
        expect(cidrContains(parseCidr('10.10.0.128/25')!, ip.split('/')[0] as Ip)).to.equal(true)
      }
    }))

  it('a full pool counts what is set aside besides what is in use', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet: '10.10.0.0/30' })
      await desk.take(host, id)
      await refused(desk.take(host, id), 'POOL_EXHAUSTED', 'of 2', '1 are set aside', '1 in use')
      const part = '10.10.1.0/24'
      const small = await desk.create(host, { subnet: part, range: '10.10.1.0/29' })
      await desk.takeMany(host, small.id, 6)
      await desk.take(host, small.id, '10.10.1.99')
      const words = ['10.10.1.0/29', 'of 7', '1 are set aside', '6 in use']
      await refused(desk.take(host, small.id), 'POOL_EXHAUSTED', ...words)
    }))

  it('a freed address is not the next one', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet })
      const [first, second] = await desk.takeMany(host, id, 2)
      for (const address of [first!, second!]) await desk.free(host, id, address)
      expect([first, second]).to.not.include(await desk.take(host, id))
    }))

  it('a container that is restarted keeps its address', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet })
      const first = await desk.take(host, id)
      await desk.take(host, id)
      await desk.free(host, id, first)
      await desk.pass(9000)
      expect(await desk.take(host, id), 'the only one released in 10 s').to.equal(first)
      await desk.free(host, id, first)
      await desk.pass(11_000)
      expect(await desk.take(host, id), 'later').to.not.equal(first)
    }))

  it('a container that is started again keeps its address where the engine tells its name', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet })
      const web = await desk.take(host, id, undefined, 'web')
      const db = await desk.take(host, id, undefined, 'db')
      for (const address of [web, db]) await desk.free(host, id, address)
      await desk.pass(60_000)
      expect(await desk.take(host, id, undefined, 'new')).to.not.be.oneOf([web, db])
      expect(await desk.take(host, id, undefined, 'db')).to.equal(db)
      expect(await desk.take(host, id, undefined, 'web')).to.equal(web)
    }))

  it('IPv6 with the same code', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id, gateway } = await desk.create(one, { subnet: 'fd00:1::/64', ipv6: true })
      await desk.create(two, { subnet: 'fd00:1::/64', ipv6: true })
      expect(gateway).to.equal('fd00:1::1/64')
      const all = [...(await desk.takeMany(one, id, 50)), ...(await desk.takeMany(two, id, 50))]
      expect(new Set(all).size).to.equal(100)
      expect(await desk.take(two, id, 'fd00:1::beef')).to.equal('fd00:1::beef/64')
      const far = desk.take(two, id, 'fd00:1::dead:beef:0:1')
      await refused(far, 'ADDRESS_OUT_OF_POOL', 'fd00:1::ff:ffff')
    }))

  it('skip an address that an endpoint elsewhere has without having asked', () =>
    Desk.with(2, async (desk, one) => {
      const small = '10.10.0.0/29'
      desk.world.endpoints.set(`${small} 10.10.0.4`, 'h2')
      const { id } = await desk.create(one, { subnet: small })
      const taken = await desk.takeMany(one, id, 4)
      expect(taken).to.not.include('10.10.0.4/29')
      await refused(desk.take(one, id, '10.10.0.4'), 'ADDRESS_IN_USE', 'h2', '192.0.2.1')
    }))
})

describe('a certain address', () => {
  it('from an unowned block, from one’s own, and from another member’s', () =>
    Desk.with(3, async (desk, one, two, three) => {
      const { id } = await desk.create(one, { subnet })
      await desk.create(two, { subnet })
      await desk.create(three, { subnet })
      expect(await desk.take(one, id, '10.10.0.77')).to.equal('10.10.0.77/24')
      expect(await desk.take(one, id, '10.10.0.78')).to.equal('10.10.0.78/24')
      await desk.gossip()
      expect(await desk.take(two, id, '10.10.0.76')).to.equal('10.10.0.76/24')
      const status = two.ipam.status().pools[0]!
      expect(status.addresses.borrowed).to.equal(1)
      for (const host of [one, two, three]) {
        await refused(desk.take(host, id, '10.10.0.77'), 'ADDRESS_IN_USE', '10.10.0.77')
        await refused(desk.take(host, id, '10.10.0.76'), 'ADDRESS_IN_USE', '10.10.0.76')
      }
      await refused(desk.take(two, id, '10.10.0.77'), 'ADDRESS_IN_USE', 'h1')
      await refused(desk.take(one, id, '10.10.0.76'), 'ADDRESS_IN_USE', 'lent to h2')
    }))

  it('a lent one comes back', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet: '10.10.0.0/29' })
      await desk.create(two, { subnet: '10.10.0.0/29' })
      const all = await desk.takeMany(one, id, 5)
      await desk.gossip()
      await desk.free(one, id, all[0]!)
      const ip = all[0]!.split('/')[0]!
      expect(await desk.take(two, id, ip)).to.equal(all[0])
      await refused(desk.take(one, id), 'POOL_EXHAUSTED')
      await desk.free(two, id, all[0]!)
      await desk.pass(100)
      expect(await desk.take(one, id)).to.equal(all[0])
    }))

  it('its owner is away: a clear error; and in time', () =>
    Desk.with(3, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet })
      await desk.create(two, { subnet })
      await desk.take(one, id, '10.10.0.77')
      await desk.gossip()
      one.crash(false)
      await refused(desk.take(two, id, '10.10.0.78'), 'MEMBER_AWAY', 'h1', '10.10.0.78')
    }))

  it('its owner was not heard of yet, as after a start: it is waited for, and not for ever', () =>
    Desk.with(3, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet })
      await desk.create(two, { subnet })
      await desk.take(one, id, '10.10.0.77')
      two.known.delete('h1')
      desk.world.clock.setTimeout(() => two.known.add('h1'), 1000)
      expect(await desk.take(two, id, '10.10.0.78')).to.equal('10.10.0.78/24')
      one.crash(false)
      two.known.delete('h1')
      const begun = desk.world.clock.now()
      await refused(desk.take(two, id, '10.10.0.79'), 'MEMBER_AWAY', 'h1', '10.10.0.79')
      expect(desk.world.clock.now() - begun).to.be.lessThan(5000)
    }))

  it('no host’s address at all', () =>
    Desk.with(1, async (desk, host) => {
      const { id } = await desk.create(host, { subnet })
      for (const ip of ['10.10.0.0', '10.10.0.255', '10.11.0.1', 'fd00::1']) {
        await refused(desk.take(host, id, ip), 'ADDRESS_OUT_OF_POOL', ip, '10.10.0.254')
      }
    }))

  it('asked for again while the first request still tries to borrow it is refused', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const [one, two, three] = hosts
      for (const host of hosts) await desk.create(host, { subnet })
      const id = `ts-overlay/${subnet}`
      await desk.take(one!, id, '10.10.0.77')
      await desk.gossip()
      const ip = '10.10.0.78'
      await desk.take(three!, id, ip)
      desk.world.weather.delayMs = 15
      const first = two!.ipam.requestAddress({ poolId: id, address: ip as Ip, gateway: false })
      first.catch(() => {})
      await desk.pass(50) // it was refused once, and is about to look again
      void desk.free(three!, id, ip)
      await refused(desk.take(two!, id, ip), 'ADDRESS_IN_USE', 'another request on this host')
      expect(await desk.run(first)).to.equal(`${ip}/24`)
    }))

  it('asked for twice at once, one gets it', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet })
      await desk.create(two, { subnet })
      await desk.gossip()
      const wish = { poolId: id, address: '10.10.0.99' as Ip, gateway: false }
      const asked = [one, one, two, two].map(({ ipam }) => ipam.requestAddress(wish))
      const outcomes = await desk.run(Promise.allSettled(asked))
      expect(outcomes.filter(({ status }) => status === 'fulfilled').length).to.equal(1)
    }))
})

describe('addresses set aside (--aux-address)', () => {
  it('are nobody’s in the whole cluster, and may be set aside on several hosts', () =>
    Desk.with(2, async (desk, one, two) => {
      const aux = ['10.10.0.3', '10.10.0.5']
      const small = '10.10.0.0/29'
      const { id } = await desk.create(one, { subnet: small, aux })
      await desk.gossip()
      await desk.create(two, { subnet: small, aux: ['10.10.0.3'] })
      const taken = [await desk.take(two, id), await desk.take(one, id), await desk.take(two, id)]
      expect(taken).to.have.members(['10.10.0.2/29', '10.10.0.4/29', '10.10.0.6/29'])
      await refused(desk.take(two, id, '10.10.0.5'), 'ADDRESS_IN_USE', 'reserved', 'h1')
      await refused(desk.take(one, id, '10.10.0.3'), 'ADDRESS_IN_USE', 'reserved')
    }))

  it('one that a container has is refused, with the holder', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet })
      await desk.take(one, id, '10.10.0.50')
      await desk.gossip()
      await refused(
        desk.create(two, { subnet, aux: ['10.10.0.50'] }),
        'ADDRESS_IN_USE',
        '10.10.0.50',
        'h1',
      )
    }))

  it('the gateway cannot be one', () =>
    Desk.with(1, async (desk, host) => {
      const create = desk.create(host, { subnet, aux: ['10.10.0.1'] })
      await refused(create, 'ADDRESS_IN_USE', 'gateway')
    }))

  it('are free again when the pool is released', () =>
    Desk.with(2, async (desk, one, two) => {
      const aux = ['10.10.0.50']
      const { id } = await desk.create(one, { subnet, aux })
      await desk.free(one, id, '10.10.0.50')
      await desk.remove(one, id)
      await desk.gossip()
      await desk.create(two, { subnet })
      expect(await desk.take(two, id, '10.10.0.50')).to.equal('10.10.0.50/24')
    }))
})
