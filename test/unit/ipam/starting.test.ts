import { expect } from 'chai'
import { parseCidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, keyOf, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`
/** The world moves in steps of 20 ms, and writes take time, too. */
const atOnceMs = 50
/** A socket is to answer within 300 ms after a start, and so is what needs nobody else. */
const soonMs = 300
/** What the plugin gives a call, ms. */
const answerMostMs = 8000

const poolWish = { space: 'ts-overlay', pool: null, subPool: null, options: {}, ipv6: false }
const anyAddress = { poolId: id, address: null, gateway: false }
/** Of h1: in use, and free in the same block of its own. */
const leased = '10.10.0.100' as Ip
const besides = '10.10.0.101' as Ip
/** In use on h2. */
const elsewhere = '10.10.0.200' as Ip

type Call = (host: SimulatedHost) => Promise<unknown>

/** Answered from the disk: nobody could say anything to change it. */
const calls: Record<string, Call> = {
  'RequestPool of a pool that it holds': ({ ipam }) =>
    ipam.requestPool({ ...poolWish, pool: parseCidr(subnet) }),
  'RequestAddress of its gateway': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, gateway: true }),
  'RequestAddress of what a container here has': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, address: leased }),
  ReleaseAddress: ({ ipam }) => ipam.releaseAddress({ poolId: id, address: leased }),
  ReleasePool: ({ ipam }) => ipam.releasePool(id),
  'CreateNetwork once more': ({ ipam }) => ipam.bindings.bindPool(keyOf(id), 'network-1'),
  DeleteNetwork: ({ ipam }) => ipam.bindings.unbindPool(keyOf(id), 'network-1'),
}

/** From blocks of its own. */
const ownAddresses: Record<string, Call> = {
  'RequestAddress of any address': ({ ipam }) => ipam.requestAddress(anyAddress),
  'RequestAddress of one of its own': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, address: besides }),
}

/** Cannot be had without others. */
const inVain: Record<string, Call> = {
  'RequestAddress of more than its own': ({ ipam }) =>
    Promise.all(Array.from({ length: 200 }, () => ipam.requestAddress(anyAddress))),
  'RequestAddress in a block of nobody': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, address: '10.10.0.250' as Ip }),
  'RequestPool of any pool': ({ ipam }) => ipam.requestPool(poolWish),
  'RequestPool of a new pool': ({ ipam }) =>
    ipam.requestPool({ ...poolWish, pool: parseCidr('10.98.0.0/24') }),
}

/** Three hosts with addresses; all end, and h1 starts again alone. `heardOf`: somebody told it that the others are dead. */
function restartAlone(
  heardOf: boolean,
  test: (desk: Desk, one: SimulatedHost) => Promise<void>,
): Promise<void> {
  return Desk.with(3, async (desk, one, two, three) => {
    for (const host of [one, two, three]) await desk.create(host, { subnet })
    await desk.take(one, id, leased)
    await desk.take(two, id, elsewhere)
    await desk.gossip()
    await desk.pass(2000)
    for (const host of [one, two, three]) host.crash(false)
    await desk.pass(1000)
    const started = one.start()
    if (!heardOf) hearOfNobody(one)
    await desk.run(started)
    await test(desk, one)
  })
}

/** As after a real start, before the first member is reached. */
function hearOfNobody(host: SimulatedHost): void {
  for (const name of host.known) if (name !== host.name) host.known.delete(name)
}

/** How long a call takes, in virtual ms, whatever comes of it. */
async function timeOf(desk: Desk, call: Promise<unknown>): Promise<number> {
  const began = desk.world.clock.now()
  await desk.run(call.catch(() => {}))
  return desk.world.clock.now() - began
}

/** The others had h3 evicted while it was off, and use what was its own. */
async function evictedMeanwhile(
  test: (desk: Desk, three: SimulatedHost, taken: readonly string[]) => Promise<void>,
): Promise<void> {
  await Desk.with(3, async (desk, one, two, three) => {
    for (const host of [one, two, three]) await desk.create(host, { subnet })
    await desk.take(three, id)
    await desk.gossip()
    await desk.pass(2000)
    three.crash(false)
    await desk.pass(200)
    await desk.run(one.ipam.evict(['h3']))
    await desk.gossip()
    const taken = [...(await desk.takeMany(one, id, 120)), ...(await desk.takeMany(two, id, 120))]
    desk.world.cut(['h3'])
    const started = three.start()
    hearOfNobody(three)
    await desk.run(started)
    await test(desk, three, taken)
  })
}

/** Some addresses for containers at once, as when an engine starts. */
async function containersStart(desk: Desk, { ipam }: SimulatedHost): Promise<string[]> {
  const ask = (): Promise<string> => ipam.requestAddress(anyAddress).catch(() => 'refused')
  const given = await desk.run(Promise.all(Array.from({ length: 8 }, ask)))
  return given.filter((address) => address !== 'refused')
}

describe('a member of three that starts again alone', () => {
  for (const heardOf of [true, false]) {
    const others = heardOf ? 'the others known to be dead' : 'nobody heard of yet'
    describe(`with ${others}`, () => {
      for (const [what, call] of Object.entries(calls)) {
        it(`answers at once: ${what}`, () =>
          restartAlone(heardOf, async (desk, one) => {
            expect(await timeOf(desk, call(one))).to.be.at.most(atOnceMs)
          }))
      }
      for (const [what, call] of Object.entries(ownAddresses)) {
        it(`gives what is its own: ${what}`, () =>
          restartAlone(heardOf, async (desk, one) => {
            const began = desk.world.clock.now()
            expect(await desk.run(call(one))).to.match(/^10\.10\.0\./)
            const mostMs = heardOf ? atOnceMs : soonMs
            expect(desk.world.clock.now() - began).to.be.at.most(mostMs)
            await desk.pass(soonMs)
            expect(await timeOf(desk, desk.take(one, id))).to.be.at.most(atOnceMs)
          }))
      }
      for (const [what, call] of Object.entries(inVain)) {
        it(`says in time what it cannot have: ${what}`, () =>
          restartAlone(heardOf, async (desk, one) => {
            const began = desk.world.clock.now()
            await refused(desk.run(call(one)), 'QUORUM', 'h2', 'h3')
            expect(desk.world.clock.now() - began).to.be.lessThan(answerMostMs)
          }))
      }
    })
  }
})

describe('a member that was evicted by hand while it was off', () => {
  it('hands out nothing of its former blocks when others appear in a moment', () =>
    evictedMeanwhile(async (desk, three, taken) => {
      desk.world.heal()
      const given = await containersStart(desk, three)
      expect(given.filter((address) => taken.includes(address))).to.deep.equal([])
    }))

  it('nor when the first of them appears much later', () =>
    evictedMeanwhile(async (desk, three, taken) => {
      await desk.pass(10_000)
      desk.world.heal()
      await desk.world.until(() => three.known.size > 1, 1000)
      const given = await containersStart(desk, three)
      expect(given.filter((address) => taken.includes(address))).to.deep.equal([])
    }))
})

describe('a member that is new', () => {
  it('learns which gateway the others have before it creates a network', () =>
    Desk.with(2, async (desk, one) => {
      const gateway = '10.10.0.77'
      await desk.create(one, { subnet, gateway })
      const three = await desk.world.add('h3', ['h1'])
      expect((await desk.create(three, { subnet })).gateway).to.equal(`${gateway}/24`)
    }))
})

describe('a member whose disk does not say when it heard the others', () => {
  it('hands out nothing before it has heard them', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.take(three, id)
      await desk.pass(2000)
      desk.world.cut(['h3'])
      three.crash(false)
      expect(three.disk.tables.get('ipam.self')!.delete('heard')).to.equal(true)
      await desk.run(three.start())
      await refused(desk.take(three, id), 'QUORUM', 'since it was started', 'h1, h2')
      desk.world.heal()
      expect(await desk.take(three, id)).to.match(/^10\.10\.0\./)
    }))
})
