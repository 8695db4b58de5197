import { expect } from 'chai'
import { cidrsOverlap, parseCidr } from '../../../src/net/cidr.ts'
import { Desk, keyOf, refused } from './desk.ts'

describe('pools', () => {
  it('an explicit pool: its id, its gateway, its network', () =>
    Desk.with(1, async (desk, host) => {
      const { id, gateway } = await desk.create(host, { subnet: '10.10.0.0/16' })
      expect(id).to.equal('ts-overlay/10.10.0.0/16')
      expect(gateway).to.equal('10.10.0.1/16')
      const cidr = parseCidr('10.10.0.0/16')!
      expect(host.ipam.bindings.poolFor(cidr, undefined, 'ts-overlay')).to.equal('10.10.0.0/16')
      const [pool] = host.ipam.bindings.heldPools()
      expect(pool).to.deep.include({ poolKey: '10.10.0.0/16', networkId: 'network-1' })
    }))

  it('the same pool twice on one host is refused, with the network and the remedy', () =>
    Desk.with(1, async (desk, host) => {
      await desk.create(host, { subnet: '10.10.0.0/16' })
      await refused(
        desk.create(host, { subnet: '10.10.0.0/16' }),
        'POOL_IN_USE',
        'network-1',
        '--ipam-opt overlay=',
        '-o overlay=',
      )
    }))

  it('a pool whose network never came is taken over after a while, not before', () =>
    Desk.with(1, async (desk, host) => {
      await desk.create(host, { subnet: '10.10.0.0/16', unbound: true })
      await refused(desk.create(host, { subnet: '10.10.0.0/16' }), 'POOL_IN_USE', 'a moment ago')
      await desk.pass(31_000)
      const { id } = await desk.create(host, { subnet: '10.10.0.0/16' })
      expect(await desk.take(host, id)).to.match(/^10\.10\./)
    }))

  it('and when the clock was set back its addresses are not all taken for set aside', () =>
    Desk.with(2, async (desk, one, two) => {
      const wish = { subnet: '10.10.0.0/24', unbound: true }
      const { id } = await desk.create(one, wish)
      await desk.create(two, wish)
      await desk.pass(60_000)
      const { clock } = desk.world
      const wall = clock.wall.bind(clock)
      clock.wall = () => wall() - 7_200_000
      await desk.take(one, id, '10.10.0.60')
      await desk.gossip()
      await refused(desk.take(two, id, '10.10.0.60'), 'ADDRESS_IN_USE', 'h1')
      await desk.create(two, wish)
    }))

  it('an automatic pool of an overlay with a name is the one that the overlay has', () =>
    Desk.with(2, async (desk, one, two) => {
      const options = { overlay: 'blue' }
      const first = await desk.create(one, { options })
      const second = await desk.create(two, { options })
      expect(second.id).to.equal(first.id)
      expect(second.gateway).to.equal(first.gateway)
    }))

  it('a pool that was requested for one overlay is refused for another', () =>
    Desk.with(1, async (desk, host) => {
      const [subnet, options] = ['10.10.0.0/24', { overlay: 'x' }]
      await desk.create(host, { subnet, options, unbound: true })
      expect(() => host.ipam.bindings.poolFor(parseCidr(subnet)!, 'y', 'ts-overlay')).to.throw(
        '--ipam-opt overlay=x and -o overlay=y contradict',
      )
    }))

  it('the same subnet for two overlays is two pools', () =>
    Desk.with(1, async (desk, host) => {
      const { ipam } = host
      const plain = await desk.create(host, { subnet: '10.10.0.0/24' })
      const options = { overlay: 'blue' }
      const blue = await desk.create(host, { subnet: '10.10.0.0/24', options, unbound: true })
      expect(blue.id).to.equal('ts-overlay/10.10.0.0/24/blue')
      const cidr = parseCidr('10.10.0.0/24')!
      expect(ipam.bindings.poolFor(cidr, 'blue', 'ts-overlay')).to.equal('10.10.0.0/24 blue')
      expect(ipam.bindings.poolFor(cidr, undefined, 'ts-overlay'), 'the unbound one').to.equal(
        '10.10.0.0/24 blue',
      )
      await desk.run(ipam.bindings.bindPool('10.10.0.0/24 blue', 'n2'))
      expect(ipam.bindings.poolFor(cidr, undefined, 'ts-overlay')).to.equal('10.10.0.0/24')
      const [a, b] = [await desk.take(host, plain.id), await desk.take(host, blue.id)]
      expect(a, 'each pool has all its addresses').to.equal(b)
      expect(ipam.bindings.poolFor(cidr, undefined, 'LocalDefault')).to.equal(null)
      expect(ipam.bindings.poolFor(parseCidr('10.11.0.0/24')!, undefined, 'ts-overlay')).to.equal(
        null,
      )
    }))

  it('options that nobody knows are refused, with those that are known', () =>
    Desk.with(1, async (desk, host) => {
      const subnet = '10.10.0.0/24'
      await refused(
        desk.create(host, { subnet, options: { ovrlay: 'x' } }),
        'OPTION_UNKNOWN',
        'ovrlay',
        'overlay',
      )
      for (const overlay of ['a b', 'x'.repeat(64)]) {
        await refused(desk.create(host, { subnet, options: { overlay } }), 'OPTION_INVALID', '63')
      }
      await refused(desk.create(host, { subnet, space: 'other' }), 'BAD_REQUEST', 'other')
      await refused(
        desk.create(host, { subnet, range: '10.11.0.0/25' }),
        'BAD_REQUEST',
        '10.11.0.0/25',
      )
      expect(host.ipam.status().pools).to.deep.equal([])
    }))

  it('a pool that overlaps one of another host is refused, with both names', () =>
    Desk.with(2, async (desk, one, two) => {
      await desk.create(one, { subnet: '10.10.0.0/16' })
      await desk.gossip()
      await refused(
        desk.create(two, { subnet: '10.10.7.0/24' }),
        'POOL_OVERLAP',
        '10.10.7.0/24',
        '10.10.0.0/16',
        'h1',
      )
      await desk.create(two, { subnet: '10.10.7.0/24', options: { overlay: 'apart' } })
      await desk.create(two, { subnet: '10.10.0.0/16' })
    }))

  it('and one that overlaps another of the same host', () =>
    Desk.with(1, async (desk, host) => {
      await desk.create(host, { subnet: '10.10.0.0/16' })
      const create = desk.create(host, { subnet: '10.10.7.0/24' })
      await refused(create, 'POOL_OVERLAP', '10.10.7.0/24', '10.10.0.0/16', 'h1')
    }))

  it('also when the other host asked at the same moment', () =>
    Desk.with(3, async (desk, one, two) => {
      const wishes = ['10.10.0.0/16', '10.10.7.0/24'].map((text, i) =>
        [one, two][i]!.ipam.requestPool({
          space: 'ts-overlay',
          pool: parseCidr(text),
          subPool: null,
          options: {},
          ipv6: false,
        }),
      )
      const outcomes = await desk.run(Promise.allSettled(wishes))
      expect(outcomes.filter(({ status }) => status === 'fulfilled').length).to.equal(1)
    }))

  it('automatic pools of several hosts, chosen at one moment, do not overlap', () =>
    Desk.with(3, async (desk, ...hosts) => {
      const wish = { space: 'ts-overlay', pool: null, subPool: null, options: {}, ipv6: false }
      const asked = hosts.flatMap(({ ipam }) =>
        Array.from({ length: 8 }, () => ipam.requestPool(wish)),
      )
      const pools = (await desk.run(Promise.all(asked))).map(({ pool }) => pool)
      for (const [i, a] of pools.entries()) {
        expect(cidrsOverlap(a, parseCidr('10.128.0.0/9')!)).to.equal(true)
        for (const b of pools.slice(i + 1)) expect(cidrsOverlap(a, b), `${a} ${b}`).to.equal(false)
      }
    }))

  it('an automatic pool is a different one each time, and there is an end', () =>
    Desk.with(1, async (desk, host) => {
      const seen = new Set<string>()
      for (let i = 0; i < 64; i++) seen.add((await desk.create(host, { unbound: true })).id)
      expect(seen.size).to.equal(64)
      await refused(desk.create(host, { unbound: true }), 'POOL_EXHAUSTED', '--subnet', 'POOLS')
      for (const id of seen) await desk.remove(host, id)
      await desk.create(host)
    }))

  it('two hosts can meet on an automatic pool, by naming it', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id } = await desk.create(one)
      await desk.gossip()
      const again = await desk.create(two, { subnet: keyOf(id) })
      expect(again.id).to.equal(id)
    }))

  it('an IPv6 pool is a /64 of the cluster’s own prefix', () =>
    Desk.with(2, async (desk, one, two) => {
      const a = await desk.create(one, { ipv6: true })
      const b = await desk.create(two, { ipv6: true })
      expect(a.id).to.match(/^ts-overlay\/fd[0-9a-f:]+::\/64$/)
      expect(a.id.split(':').slice(0, 3)).to.deep.equal(b.id.split(':').slice(0, 3))
      expect(a.id).to.not.equal(b.id)
      expect(await desk.take(one, a.id)).to.match(/\/64$/)
    }))

  it('keeps clear of the routes of the host', async () => {
    const desk = new Desk(7)
    try {
      const host = await desk.world.add('h1')
      host.routes = [parseCidr('10.128.0.0/10')!, parseCidr('10.192.0.0/11')!]
      const { id } = await desk.create(host)
      expect(cidrsOverlap(parseCidr(keyOf(id))!, parseCidr('10.224.0.0/11')!)).to.equal(true)
    } finally {
      desk.world.end()
    }
  })

  it('releasing a pool gives everything back, and again is fine', () =>
    Desk.with(2, async (desk, one, two) => {
      const { id } = await desk.create(one, { subnet: '10.10.0.0/24' })
      await desk.takeMany(one, id, 20)
      await desk.remove(one, id)
      await desk.remove(one, id)
      await desk.remove(one, 'nonsense')
      await desk.free(one, id, '10.10.0.7')
      await desk.pass(1000)
      for (const host of [one, two]) {
        expect(host.ipam.status().pools).to.deep.equal([])
        expect((await desk.run(host.life!.agreement.holdings()(1000))).pools).to.deep.equal([])
      }
      expect([...one.disk.tables.get('ipam.leases')!.keys()]).to.deep.equal([])
      await refused(desk.take(one, id), 'POOL_NOT_FOUND', '10.10.0.0/24')
    }))

  it('what a host has is there again after a crash', () =>
    Desk.with(2, async (desk, one) => {
      const { id } = await desk.create(one, { subnet: '10.10.0.0/24', gateway: '10.10.0.9' })
      const taken = await desk.takeMany(one, id, 5)
      one.crash(false)
      await desk.run(one.start())
      const { ipam } = one
      expect(ipam.bindings.leases('10.10.0.0/24').map(({ ip }) => `${ip}/24`)).to.have.members(
        taken,
      )
      const next = await desk.take(one, id)
      expect(taken).to.not.include(next)
      const [pool] = ipam.status().pools
      expect(pool).to.include({ gateway: '10.10.0.9', networkId: 'network-1' })
    }))
})

describe('binding a pool', () => {
  it('is once, and for one network', () =>
    Desk.with(1, async (desk, host) => {
      const { ipam } = host
      await desk.create(host, { subnet: '10.10.0.0/24' })
      await desk.run(ipam.bindings.bindPool('10.10.0.0/24', 'network-1'))
      await refused(ipam.bindings.bindPool('10.10.0.0/24', 'other'), 'POOL_IN_USE', 'network-1')
      await refused(ipam.bindings.bindPool('10.11.0.0/24', 'other'), 'POOL_NOT_FOUND')
      await desk.run(ipam.bindings.unbindPool('10.10.0.0/24', 'other'))
      expect(ipam.bindings.heldPools()[0]!.networkId).to.equal('network-1')
      await desk.run(ipam.bindings.unbindPool('10.10.0.0/24', 'network-1'))
      await desk.run(ipam.bindings.unbindPool('10.99.0.0/24', 'network-1'))
      expect(ipam.bindings.heldPools()[0]!.networkId).to.equal(null)
    }))
})
