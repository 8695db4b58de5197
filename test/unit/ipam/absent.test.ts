import { expect } from 'chai'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`
const minuteMs = 60_000
/** Longer than a seat is kept, with what the change itself needs. */
const longMs = 11 * minuteMs

/** Hosts that each have the network and some addresses. */
function withHosts(
  count: number,
  test: (desk: Desk, ...hosts: SimulatedHost[]) => Promise<void>,
): Promise<void> {
  return Desk.with(count, async (desk, ...hosts) => {
    desk.world.gossipMs = 10_000
    for (const host of hosts) {
      await desk.create(host, { subnet })
      await desk.takeMany(host, id, 3)
    }
    await desk.pass(5000)
    await test(desk, ...hosts)
  })
}

function names(list: readonly { name: string }[] | undefined): string {
  return (list ?? []).map(({ name }) => name).join(' ')
}

/** Who votes, and who is absent, as a host sees it. */
function roster({ ipam }: SimulatedHost): string {
  const { voters, absent } = ipam.status().roster!
  return `${names(voters)} | ${names(absent)}`
}

function owned({ ipam }: SimulatedHost): readonly number[] {
  return ipam.status().pools[0]!.blocks.mine
}

function leases({ ipam }: SimulatedHost): string[] {
  return ipam.leases(subnet).map(({ ip }) => `${ip}/24`)
}

describe('a voter that is dead for ten minutes', function () {
  this.timeout(60_000)

  it('loses its seat and nothing else, and is seated again when it is back', () =>
    withHosts(5, async (desk, one, _two, _three, four, five) => {
      const blocks = owned(five)
      const had = leases(five)
      for (const host of [four, five]) host.crash(false)
      await desk.pass(9 * minuteMs)
      expect(roster(one)).to.equal('h1 h2 h3 h4 h5 | ')
      await desk.pass(2 * minuteMs)
      expect(roster(one)).to.equal('h1 h2 h3 | h4 h5')
      const others = await desk.takeMany(one, id, 120)
      expect(others.filter((address) => had.includes(address))).to.deep.equal([])
      await refused(desk.take(one, id, had[0]!.split('/')[0]), 'MEMBER_AWAY', 'h5')
      await desk.run(five.start())
      expect(owned(five)).to.deep.equal(blocks)
      expect(leases(five)).to.have.members(had)
      expect(others).to.not.include(await desk.take(five, id))
      await desk.pass(3000)
      expect(roster(five)).to.equal('h1 h2 h3 h5 | h4')
      expect(owned(five)).to.deep.equal(blocks)
    }))

  it('leaves a majority when others die later: seven are lost one by one, and two of the last three decide', () =>
    withHosts(7, async (desk, one, two, ...others) => {
      for (const host of others) {
        host.crash(false)
        await desk.pass(longMs)
      }
      expect(roster(one)).to.equal('h1 h2 h7 | h3 h4 h5 h6')
      expect(new Set(await desk.takeMany(two, id, 50)).size).to.equal(50)
      expect(owned(one).filter((index) => owned(two).includes(index))).to.deep.equal([])
    }))

  it('is replaced by one that joined, of three: hosts are exchanged one after the other', () =>
    withHosts(3, async (desk, ...old) => {
      const hosts = [...old]
      for (let round = 4; round <= 9; round++) {
        hosts.shift()!.crash(true)
        const host = await desk.world.add(`h${round}`, [hosts[0]!.name])
        hosts.push(host)
        await desk.create(host, { subnet })
        await desk.takeMany(host, id, 3)
        await desk.pass(longMs)
        expect(roster(host).split(' | ')[0]).to.equal(names(hosts))
      }
      expect(roster(hosts[0]!).split(' | ')[1]).to.equal('h1 h2 h3 h4 h5 h6')
      await desk.run(hosts[0]!.ipam.forgetAway('h1', 'h2', 'h3', 'h4', 'h5', 'h6'))
      expect(roster(hosts[0]!)).to.equal('h7 h8 h9 | ')
      const all = await desk.takeMany(hosts[0]!, id, 200)
      expect(new Set(all).size).to.equal(200)
    }))

  it('keeps its seat of two and of three, where its return would help', () =>
    withHosts(3, async (desk, one, two, three) => {
      three.crash(false)
      await desk.pass(longMs)
      two.crash(false)
      await desk.pass(longMs)
      await desk.run(three.start())
      expect(roster(one)).to.equal('h1 h2 h3 | ')
      expect(new Set(await desk.takeMany(one, id, 100)).size).to.equal(100)
    }))

  it('that lost its disk comes back as another, and what it had is free', () =>
    withHosts(4, async (desk, one, two, three, four) => {
      four.crash(true)
      await desk.pass(longMs)
      expect(roster(one)).to.equal('h1 h2 h3 | h4')
      await desk.run(four.start())
      await desk.pass(3000)
      expect(roster(one)).to.equal('h1 h2 h3 h4 | ')
      await desk.create(four, { subnet })
      const free = 253 - leases(one).length - leases(two).length - leases(three).length
      expect(new Set(await desk.takeMany(four, id, free)).size).to.equal(free)
    }))

  it('that leaves while it has no seat is off the roster', () =>
    withHosts(4, async (desk, one, _two, _three, four) => {
      desk.world.cut(['h4'])
      await desk.pass(longMs)
      await desk.remove(four, id)
      await desk.pass(5000)
      desk.world.heal()
      await desk.run(four.ipam.left(5000))
      expect(roster(one)).to.equal('h1 h2 h3 | ')
    }))
})

describe('a cut of four and three hosts for an hour', function () {
  this.timeout(60_000)

  it('heals by itself, and all own what they owned', () =>
    withHosts(7, async (desk, ...hosts) => {
      const larger = hosts.slice(0, 4)
      const smaller = hosts.slice(4)
      const blocks = hosts.map((host) => owned(host))
      desk.world.cut(smaller.map(({ name }) => name))
      await desk.pass(60 * minuteMs)
      expect(roster(larger[0]!)).to.equal('h1 h2 h3 h4 | h5 h6 h7')
      expect(roster(smaller[0]!), 'they cannot know').to.equal('h1 h2 h3 h4 h5 h6 h7 | ')
      await desk.take(smaller[0]!, id)
      await refused(desk.takeMany(smaller[0]!, id, 40), 'NO_MAJORITY', 'of 7', '4 are needed')
      await desk.takeMany(larger[0]!, id, 30)
      // One more of the larger part is away when they meet: the smaller is four of the seven that were voters.
      larger[3]!.crash(false)
      desk.world.heal()
      await desk.pass(10_000)
      expect(roster(smaller[2]!)).to.equal('h1 h2 h3 h4 h5 h6 h7 | ')
      for (const [i, host] of hosts.entries()) {
        if (host.up) expect(owned(host)).to.include.members([...blocks[i]!])
      }
      const all = hosts.filter(({ up }) => up).flatMap((host) => owned(host))
      expect(new Set(all).size).to.equal(all.length)
      await desk.takeMany(smaller[1]!, id, 20)
    }))

  it('gives the smaller part no roster of its own, whoever of the larger is dead afterwards', () =>
    withHosts(7, async (desk, ...hosts) => {
      const smaller = hosts.slice(4)
      desk.world.cut(smaller.map(({ name }) => name))
      await desk.pass(60 * minuteMs)
      for (const host of hosts.slice(0, 3)) host.crash(false)
      desk.world.heal()
      await desk.pass(longMs)
      // h4 and three that have no seat: two of h1 h2 h3 h4 are lacking.
      for (const host of smaller) {
        expect(roster(host)).to.equal('h1 h2 h3 h4 | h5 h6 h7')
        await desk.take(host, id)
      }
      const one = smaller[0]!
      await refused(desk.takeMany(one, id, 200), 'NO_MAJORITY', 'ts-overlay forget h1 h2 h3')
      await refused(desk.run(one.ipam.forgetAway('h1', 'h2', 'h3')), 'NO_MAJORITY')
      const owners = smaller.map((host) => owned(host))
      await desk.run(one.ipam.forget('h1', 'h2', 'h3'))
      await desk.pass(10_000)
      expect(roster(hosts[3]!)).to.equal('h4 h5 h6 h7 | ')
      for (const [i, host] of smaller.entries())
        expect(owned(host)).to.include.members([...owners[i]!])
    }))
})

describe('an absent member', function () {
  this.timeout(60_000)

  it('that may have been forgotten asks first, and does not count itself', () =>
    withHosts(5, async (desk, one, two, three, four, five) => {
      const forgetAfterMs = 60 * minuteMs
      for (const host of [four, five]) host.crash(false)
      await desk.pass(longMs)
      for (const host of [two, three]) host.crash(false)
      four.forgetAfterMs = forgetAfterMs
      await desk.run(four.start())
      await desk.pass(minuteMs)
      // It follows the roster, but one of three cannot admit it.
      expect(roster(four)).to.equal('h1 h2 h3 | h4 h5')
      await desk.take(four, id)
      await desk.pass(forgetAfterMs / 2)
      await refused(desk.take(four, id), 'NO_MAJORITY', 'may have given', 'forget h2 h3')
      await desk.take(one, id)
      await desk.run(two.start())
      await desk.take(four, id)
    }))

  it('is not given away by an operator who does not name it: an owner must agree', () =>
    withHosts(5, async (desk, one, two, three, four, five) => {
      for (const host of [four, five]) host.crash(false)
      await desk.pass(longMs)
      expect(roster(one)).to.equal('h1 h2 h3 | h4 h5')
      const blocks = owned(one).length
      for (const host of [two, three]) host.crash(true)
      await desk.pass(1000)
      const all = 'ts-overlay forget h2 h3 h4 h5'
      await refused(desk.run(one.ipam.forget('h2', 'h3')), 'NO_MAJORITY', all)
      await desk.run(four.start())
      await desk.pass(3000)
      await desk.run(one.ipam.forget('h2', 'h3', 'h5'))
      await desk.pass(3000)
      expect(roster(four)).to.equal('h1 h4 | ')
      expect(owned(one).length).to.be.at.least(blocks)
      expect(owned(four)).to.not.have.length(0)
      const got = [...(await desk.takeMany(one, id, 80)), ...leases(four)]
      expect(new Set(got).size).to.equal(got.length)
    }))

  it('is named beside all others that cannot agree, when its disk is lost and it is there', () =>
    withHosts(5, async (desk, one, two, three, four, five) => {
      for (const host of [four, five]) host.crash(true)
      await desk.pass(longMs)
      for (const host of [two, three]) host.crash(true)
      await desk.pass(1000)
      for (const host of [four, five]) await desk.run(host.start())
      await desk.pass(1000)
      const all = 'ts-overlay forget h2 h3 h4 h5'
      await refused(desk.run(one.ipam.forget('h2', 'h3')), 'NO_MAJORITY', all)
      await desk.run(one.ipam.forget('h2', 'h3', 'h4', 'h5'))
      await desk.pass(5000)
      expect(roster(five)).to.equal('h1 h4 h5 | ')
    }))
})
