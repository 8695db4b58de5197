import { expect } from 'chai'
import { seededRandom } from '../../../src/base/random.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import { copyLabel } from '../../../src/networks/claim.ts'
import { NetworkHosts, type NetworkHost, shape } from '../../support/network-hosts.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const subnet = '10.0.1.0/24'

describe('networks of three hosts', () => {
  let clock: VirtualClock
  let world: NetworkHosts
  let [a, b, c]: NetworkHost[] = []

  beforeEach(async () => {
    clock = new VirtualClock()
    world = new NetworkHosts(clock, seededRandom(1), 3)
    ;[a, b, c] = world.hosts
    await clock.advance(2000)
  })
  afterEach(async () => {
    for (const host of world.hosts) await host.stop()
  })

  const names = (host: NetworkHost): string[] =>
    Array.from(host.engine.all.values(), ({ Name }) => Name).toSorted()
  const everywhere = (): string[][] => world.hosts.map(names)
  const codes = (host: NetworkHost): string[] => host.findings.status().list.map(({ code }) => code)

  it('are on all within a second, as they are on the first, but for our label', async () => {
    const labels = { 'com.docker.compose.network': 'x', 'com.docker.compose.config-hash': 'h' }
    a!.engine.create('blue', subnet, labels)
    await clock.advance(1000)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
    const [copy] = b!.engine.named('blue')
    expect(copy!.Labels).to.deep.equal({
      'com.docker.compose.network': 'x',
      [copyLabel]: '1 host1',
    })
    expect(copy!.IPAM.Config[0]!.Subnet).to.equal(subnet)
  })

  it('are on a host that comes later', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    const late = world.add()
    await clock.advance(2000)
    expect(names(late)).to.deep.equal(['blue'])
  })

  it('go everywhere when one is removed that nobody uses', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    b!.engine.remove('blue')
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([[], [], []])
    await clock.advance(120_000)
    expect(everywhere()).to.deep.equal([[], [], []])
  })

  for (const again of [subnet, '10.0.9.0/24'])
    it(`stay when one is made again with ${again} while others still look at its removal`, async () => {
      a!.engine.create('blue', subnet)
      await clock.advance(1000)
      for (const host of world.hosts) host.engine.remove('blue')
      await clock.advance(500)
      a!.engine.create('blue', again)
      await clock.advance(10_000)
      expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
      expect(c!.engine.named('blue')[0]!.IPAM.Config[0]!.Subnet).to.equal(again)
    })

  it('come back when one is removed that another host uses, with the reason', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    c!.engine.run('web', 'blue')
    b!.engine.remove('blue')
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
    const [finding] = b!.findings.status().list
    expect(finding).to.include({ code: 'NETWORK_PUT_BACK' })
    expect(finding!.text).to.contain('in use on host3')
  })

  it('come back after a prune', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    a!.engine.prune()
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
    expect(codes(a!)).to.deep.equal(['NETWORK_PUT_BACK'])
  })

  it('are put back once in ten seconds', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    let putBack = 0
    for (let i = 0; i < 20; i++) {
      if (names(a!).length > 0) putBack++
      a!.engine.prune()
      await clock.advance(3000)
    }
    expect(putBack).to.be.within(2, 8)
    await clock.advance(60_000)
    expect(names(a!)).to.deep.equal(['blue'])
  })

  it('stay where a stopped container refers to them, which is told, until it is gone', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    c!.engine.run('web', 'blue')
    c!.engine.stop('web')
    a!.engine.remove('blue')
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([[], [], ['blue']])
    expect(c!.findings.status().list[0]).to.include({ code: 'NETWORK_KEPT' })
    expect(c!.findings.status().list[0]!.remedy).to.contain('web')
    c!.engine.removeContainer('web')
    await clock.advance(31_000)
    expect(everywhere()).to.deep.equal([[], [], []])
    expect(codes(c!)).to.deep.equal([])
  })

  it('return everywhere when a host comes back that uses one', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    c!.engine.run('web', 'blue')
    world.cutOff.add(c!)
    a!.engine.remove('blue')
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([[], [], ['blue']])
    world.heal()
    await clock.advance(2000)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
  })

  it('of one name created at once are one, when their subnets are automatic', async () => {
    a!.engine.create('blue', world.automatic())
    b!.engine.create('blue', world.automatic())
    await clock.advance(2000)
    const shapes = new Set(world.hosts.flatMap(({ engine }) => engine.named('blue').map(shape)))
    expect(shapes.size).to.equal(1)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
  })

  it('of one name and subnet created by hand on two hosts are one', async () => {
    a!.engine.create('blue', subnet)
    b!.engine.create('blue', subnet)
    await clock.advance(2000)
    expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
    expect(a!.engine.named('blue')[0]!.Labels).to.not.have.property(copyLabel)
    expect(b!.engine.named('blue')[0]!.Labels).to.not.have.property(copyLabel)
    b!.engine.remove('blue')
    await clock.advance(4000)
    expect(everywhere()).to.deep.equal([[], [], []])
  })

  it('of one name with two subnets that users asked for stay, and both sides are told', async () => {
    world.cutOff.add(b!)
    a!.engine.create('blue', subnet)
    b!.engine.create('blue', '10.0.2.0/24')
    await clock.advance(1000)
    world.heal()
    await clock.advance(2000)
    expect(b!.engine.named('blue')[0]!.IPAM.Config[0]!.Subnet).to.equal('10.0.2.0/24')
    expect(codes(b!)).to.deep.equal(['NETWORK_CLASH'])
    b!.engine.remove('blue')
    await clock.advance(40_000)
    expect(b!.engine.named('blue')[0]!.IPAM.Config[0]!.Subnet).to.equal(subnet)
    expect(codes(b!)).to.not.include('NETWORK_CLASH')
  })

  it('are removed and created with another subnet by the same user', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    a!.engine.remove('blue')
    a!.engine.create('blue', '10.0.2.0/24')
    await clock.advance(3000)
    for (const { engine } of world.hosts)
      expect(engine.named('blue')[0]!.IPAM.Config[0]!.Subnet).to.equal('10.0.2.0/24')
  })

  it('survive the loss of the member that created them', async () => {
    a!.engine.create('blue', subnet)
    await clock.advance(1000)
    a!.crash()
    for (const host of [b!, c!]) host.hear('host1', new Map())
    await clock.advance(35_000)
    const late = world.add()
    await clock.advance(2000)
    expect(names(late)).to.deep.equal(['blue'])
  })

  it('stay on their host with the label for that', async () => {
    a!.engine.create('blue', subnet, { 'ts-overlay.local': 'true' })
    await clock.advance(2000)
    expect(everywhere()).to.deep.equal([['blue'], [], []])
  })

  it('are one again after an engine made two of one name', async () => {
    b!.engine.allowsDuplicates = true
    a!.engine.create('blue', subnet)
    b!.engine.createNetwork({ ...a!.engine.named('blue')[0]!, Labels: {} }).catch(() => {})
    await clock.advance(2000)
    expect(names(b!)).to.deep.equal(['blue'])
  })

  describe("with the engines' own addresses", () => {
    const plain = '10.0.7.0/24'
    const createPlain = (host: NetworkHost): void => {
      host.engine.create('blue', plain, {}, 'default')
    }
    const config = (host: NetworkHost) => host.engine.named('blue')[0]!.IPAM

    it('are copied with one gateway, and for each host a part of its own', async () => {
      createPlain(a!)
      await clock.advance(2000)
      expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
      const ranges = [b!, c!].map((host) => config(host).Config[0]!.IPRange)
      expect(ranges.toSorted()).to.deep.equal(['10.0.7.128/28', '10.0.7.144/28'])
      for (const host of [b!, c!]) {
        expect(config(host).Driver).to.equal('default')
        expect(config(host).Config[0]!.Gateway).to.equal('10.0.7.1')
      }
    })

    it('go from all when one is removed, and come back after a prune', async () => {
      createPlain(a!)
      await clock.advance(2000)
      c!.engine.prune()
      await clock.advance(5000)
      expect(everywhere()).to.deep.equal([['blue'], ['blue'], ['blue']])
      b!.engine.remove('blue')
      await clock.advance(5000)
      expect(everywhere()).to.deep.equal([[], [], []])
    })

    it('are not on a host that uses the prefix, a later one too, and both sides are told', async () => {
      b!.routes = [parseCidr('10.0.7.64/26')!]
      await clock.advance(31_000)
      createPlain(a!)
      await clock.advance(31_000)
      const late = world.add()
      late.routes = [parseCidr('10.0.0.0/16')!]
      await clock.advance(62_000)
      expect(everywhere()).to.deep.equal([['blue'], [], ['blue'], []])
      for (const host of [b!, late]) expect(codes(host)).to.deep.equal(['NETWORK_CLASH'])
      const told = a!.findings.status().list.map(({ text }) => text)
      expect(told.some((text) => text.includes('host2, which uses 10.0.7.64/26'))).to.equal(true)
      expect(told.some((text) => text.includes('host4, which uses 10.0.0.0/16'))).to.equal(true)
      b!.routes = []
      await clock.advance(62_000)
      expect(names(b!)).to.deep.equal(['blue'])
    })

    it('are a finding where no part is left', async () => {
      const hosts = Array.from({ length: 8 }, () => world.add())
      createPlain(a!)
      await clock.advance(5000)
      const without = hosts.concat(b!, c!).filter((host) => names(host).length === 0)
      expect(without.length).to.equal(2)
      for (const host of without) expect(codes(host)).to.deep.equal(['NETWORK_CLASH'])
    })
  })
})
