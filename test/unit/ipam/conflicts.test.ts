import { expect } from 'chai'
import { createLogger } from '../../../src/base/logger.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

interface Doubled {
  readonly desk: Desk
  readonly one: SimulatedHost
  readonly two: SimulatedHost
  readonly three: SimulatedHost
  /** What h3's container has, and one of h1's. */
  readonly ip: string
  /** What each host logged about it. */
  readonly logged: (host: string) => string[]
}

/** h3 was evicted while its container ran, h1 gave the container's address away, and h3 is back. */
async function withDoubled(test: (doubled: Doubled) => Promise<void>): Promise<void> {
  const lines: string[] = []
  const desk = new Desk()
  desk.world.logger = createLogger((line) => lines.push(line)).logger
  try {
    const [one, two, three] = (await desk.world.grow(3)) as [
      SimulatedHost,
      SimulatedHost,
      SimulatedHost,
    ]
    for (const host of [one, two, three]) await desk.create(host, { subnet })
    await desk.gossip()
    const ip = (await desk.take(three, id)).split('/')[0]!
    await desk.pass(500)
    three.crash(false)
    await desk.pass(200)
    await desk.run(one.ipam.evict(['h3']))
    await desk.gossip()
    expect(await desk.take(one, id, ip), 'free at once').to.equal(`${ip}/24`)
    await desk.run(three.start())
    await desk.world.until(() => three.ipam.status().conflicts.length > 0, 10_000)
    await desk.pass(1000)
    const logged = (host: string): string[] =>
      lines.filter((line) => line.includes('same address') && line.startsWith(`warn ${host}:`))
    await test({ desk, one, two, three, ip, logged })
  } finally {
    desk.world.end()
  }
}

describe('an address that two hosts use', () => {
  it('is reported on both, and only there', () =>
    withDoubled(async ({ one, two, three, ip }) => {
      const poolKey = subnet
      expect(three.ipam.status().conflicts).to.deep.equal([{ poolKey, ip, member: 'h1' }])
      expect(one.ipam.status().conflicts).to.deep.equal([{ poolKey, ip, member: 'h3' }])
      expect(two.ipam.status().conflicts).to.deep.equal([])
    }))

  it('is logged on both, once', () =>
    withDoubled(async ({ desk, logged, ip }) => {
      await desk.pass(60_000)
      for (const host of ['h1', 'h3']) {
        expect(logged(host), host).to.have.length(1)
        expect(logged(host)[0]).to.contain(ip)
      }
    }))

  it('is the error of the next request on both, once, and of every request for that address', () =>
    withDoubled(async ({ desk, one, two, three, ip }) => {
      await refused(desk.take(one, id), 'ADDRESS_CONFLICT', ip, 'h3', 'h1', 'try again')
      await refused(desk.take(three, id), 'ADDRESS_CONFLICT', ip, 'h1', 'h3', 'try again')
      for (const host of [one, two, three]) {
        expect(await desk.take(host, id)).to.match(/^10\.10\.0\./)
        await refused(desk.take(host, id, ip), 'ADDRESS_IN_USE', ip)
      }
    }))

  it('is known on both again after either plugin was restarted', () =>
    withDoubled(async ({ desk, one, three, ip }) => {
      for (const host of [one, three]) {
        host.crash(false)
        await desk.pass(100)
        await desk.run(host.start())
        await desk.pass(5000)
        for (const [side, member] of [
          [one, 'h3'],
          [three, 'h1'],
        ] as const) {
          const known = side.ipam.status().conflicts
          expect(known, side.name).to.deep.equal([{ poolKey: subnet, ip, member }])
        }
      }
    }))

  it('stands while the other’s plugin is away: its container runs', () =>
    withDoubled(async ({ desk, one, three }) => {
      three.crash(false)
      await desk.pass(300_000)
      expect(one.ipam.status().conflicts).to.have.length(1)
    }))

  it('is over on both when one of the two containers is gone, whichever', async () => {
    for (const which of ['one', 'three'] as const) {
      await withDoubled(async ({ desk, one, three, ip, ...hosts }) => {
        await desk.free({ one, three, ...hosts }[which], id, ip)
        await desk.pass(5000)
        expect(one.ipam.status().conflicts).to.deep.equal([])
        expect(three.ipam.status().conflicts).to.deep.equal([])
        for (const host of [one, three]) expect(await desk.take(host, id)).to.be.a('string')
        const left = which === 'one' ? three : one
        expect(left.ipam.bindings.leases(subnet).map((lease) => lease.ip)).to.include(ip)
      })
    }
  })

  it('is over when its other host lost its disk, or is evicted again', async () => {
    for (const how of ['disk', 'evict'] as const) {
      await withDoubled(async ({ desk, one, three }) => {
        three.crash(how === 'disk')
        await desk.pass(200)
        if (how === 'disk') await desk.run(three.start())
        else await desk.run(one.ipam.evict(['h3']))
        await desk.pass(60_000)
        expect(one.ipam.status().conflicts).to.deep.equal([])
      })
    }
  })
})

describe('a member that was evicted with many containers', () => {
  it('gets back each address that is still free, however many others are doubled', () =>
    Desk.with(3, async (desk, one, two, three) => {
      for (const host of [one, two, three]) await desk.create(host, { subnet })
      await desk.gossip()
      const had = (await desk.takeMany(three, id, 100)).map((address) => address.split('/')[0]!)
      await desk.pass(500)
      three.crash(false)
      await desk.pass(200)
      await desk.run(one.ipam.evict(['h3']))
      await desk.gossip()
      const doubled = had.filter((_, i) => i % 2 === 0)
      for (const [i, ip] of doubled.entries()) await desk.take([one, two][i % 2]!, id, ip)
      await desk.run(three.start())
      await desk.world.until(() => three.ipam.status().member.registered, 10_000)
      await desk.pass(30_000)
      const reported = (host: SimulatedHost): string[] =>
        host.ipam.status().conflicts.map(({ ip }) => ip)
      expect(reported(three)).to.have.members(doubled)
      expect([...reported(one), ...reported(two)]).to.have.members(doubled)
      await refused(desk.take(one, id), 'ADDRESS_CONFLICT', '(also on h3)', 'and 20 more')
      for (const ip of had) await refused(desk.take(one, id, ip), 'ADDRESS_IN_USE')
    }))
})
