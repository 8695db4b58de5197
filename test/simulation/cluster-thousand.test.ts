import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { figuresLine, figuresOf } from './support/figures.ts'
import { long } from './support/seeds.ts'
import { World } from './support/world.ts'

/*
 * A thousand members, or as many as SIM_HOSTS says, over the model of membership. Takes minutes and some
 * gigabytes with a thousand, so by default there are 150.
 */
const hosts = Number(process.env['SIM_HOSTS'] ?? (long ? 1000 : 150))
/** Times spread widely at a thousand members: a median of twenty says little there. */
const writes = long ? 200 : hosts < 1000 ? 20 : 100

describe('simulation/cluster of many', function () {
  this.timeout(0)

  it(`a write reaches ${hosts} members, 5 % loss`, async () => {
    const world = new World({ seed: 1, hosts, misses: 0 })
    await world.startAcquainted()
    world.net.faults.loss = 0.05
    const samples: number[] = []
    const before = { ...world.net.sent }
    const begun = world.clock.now()
    for (let i = 0; i < writes; i++) {
      const owner = pick(world.random, world.up)!
      const record = world.put(owner)
      const start = world.clock.now()
      const waiting = new Set(world.hosts.filter((host) => host !== owner))
      const told = (): boolean => {
        for (const host of waiting) {
          if (!world.sees(host, owner, record)) return false
          waiting.delete(host)
        }
        return true
      }
      await world.clock.until(told, 60_000)
      samples.push(world.clock.now() - start)
      await world.clock.advance(500 + below(world.random, 500))
    }
    const packets = (world.net.sent.packets - before.packets) / hosts
    const kilobytes = (world.net.sent.packetBytes - before.packetBytes) / hosts / 1000
    const seconds = (world.clock.now() - begun) / 1000
    const figures = figuresOf(samples)
    process.stdout.write(
      `    ${figuresLine(`quiet write, N = ${hosts}, 5 % loss`, figures)}\n` +
        `    ${(packets / writes).toFixed(1)} packets and ${(kilobytes / seconds).toFixed(2)} kB/s a member\n`,
    )
    expect(figures.median).to.be.at.most(150)
    expect(figures.p99).to.be.at.most(400)
  })
})
