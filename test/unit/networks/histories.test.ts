/** Random histories: whatever users, cuts and crashes do, at rest there is one list of networks. */
import { expect } from 'chai'
import { below, seededRandom, type Random } from '../../../src/base/random.ts'
import { type NetworkHost, NetworkHosts, shape } from '../../support/network-hosts.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const names = ['blue', 'red', 'green']
const seeds = Number(process.env['SEEDS'] ?? 12)
const firstSeed = Number(process.env['SEED'] ?? 1)
const steps = 60

type Step = (host: NetworkHost, world: NetworkHosts, random: Random) => void

const some = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!

const happenings: Step[] = [
  ({ engine }, world, random) => engine.create(some(random, names), world.automatic()),
  ({ engine }, world, random) => engine.create(some(random, names), world.automatic()),
  ({ engine }, _, random) => engine.create(some(random, names), `10.0.${below(random, 3)}.0/24`),
  ({ engine }, _, random) => void engine.remove(some(random, names)),
  ({ engine }, _, random) => void engine.remove(some(random, names)),
  ({ engine }) => engine.prune(),
  ({ engine }, _, random) => void engine.run(`c${below(random, 4)}`, some(random, names)),
  ({ engine }, _, random) => engine.stop(`c${below(random, 4)}`),
  ({ engine }, _, random) => engine.removeContainer(`c${below(random, 4)}`),
  ({ engine }, _, random) => engine.removeContainer(`c${below(random, 4)}`),
  ({ engine }) => (engine.isUp ? engine.down() : engine.up()),
  (host, world) =>
    void (world.cutOff.has(host) ? world.cutOff.delete(host) : world.cutOff.add(host)),
  (host) => (host.isUp ? host.crash() : host.start()),
]

describe('random histories of networks', () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++)
    it(`SEED=${seed} SEEDS=1: one list on all hosts, and nothing in use was removed`, async () => {
      const clock = new VirtualClock()
      const random = seededRandom(seed)
      const world = new NetworkHosts(clock, random, 2 + below(random, 3))
      if (below(random, 4) === 0) world.hosts[0]!.engine.allowsDuplicates = true
      await clock.advance(1000)
      for (let step = 0; step < steps; step++) {
        some(random, happenings)(some(random, world.hosts), world, random)
        await clock.advance(some(random, [1, 5, 50, 300, 3000, 15_000]))
      }
      await rest(world, clock)
      for (const host of world.hosts) expectExplained(host, world)
      // Without containers and without what users asked for differently, all is equal.
      for (const { engine } of world.hosts) engine.containersByName.clear()
      await clock.advance(100_000)
      for (const name of names) expectOne(name, world)
      for (const host of world.hosts) {
        expect(host.engine.violations).to.deep.equal([])
        await host.stop()
      }
    })
})

async function rest(world: NetworkHosts, clock: VirtualClock): Promise<void> {
  for (const host of world.hosts) {
    if (!host.engine.isUp) host.engine.up()
    if (!host.isUp) host.start()
  }
  world.heal()
  await clock.advance(100_000)
}

/** A network that is on some other host only is one that a finding here explains, or there. */
function expectExplained(host: NetworkHost, world: NetworkHosts): void {
  for (const name of names) {
    const shapes = new Set(world.hosts.map((each) => each.engine.named(name).map(shape).join()))
    if (shapes.size === 1) continue
    const told = world.hosts.flatMap(({ findings }) => findings.status().list)
    const codes = told
      .filter(({ subject }) => subject === `network ${name}`)
      .map(({ code }) => code)
    expect(codes, `${host.name}: ${name} ${[...shapes].join(' | ')}`).to.satisfy((list: string[]) =>
      list.some((code) => code === 'NETWORK_CLASH' || code === 'NETWORK_KEPT'),
    )
  }
}

/** All hosts have the same, or some user asked for another subnet and is told so. */
function expectOne(name: string, world: NetworkHosts): void {
  const agreeing = world.hosts.filter(({ findings }) =>
    findings.status().list.every(({ subject, code }) => {
      return subject !== `network ${name}` || code !== 'NETWORK_CLASH'
    }),
  )
  const shapes = new Set(agreeing.map(({ engine }) => engine.named(name).map(shape).join()))
  expect([...shapes].join(' | '), name).to.satisfy(() => shapes.size <= 1)
}
