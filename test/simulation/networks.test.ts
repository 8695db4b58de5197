/** Whole plugins with their engines in virtual time, and users who type at random: at rest one list of networks. */
import { expect } from 'chai'
import { type Random, below, pick, seededRandom } from '../../src/base/random.ts'
import type { Engine } from '../../src/engine-client/engine.ts'
import type { Cidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type AddressWatch, NetworkEngine } from './support/network-engine.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

const names = ['blue', 'red', 'green']
const containers = ['c0', 'c1', 'c2', 'c3']
const seeds = Number(process.env['SEEDS'] ?? 2)
const firstSeed = Number(process.env['SEED'] ?? 1)
const steps = Number(process.env['STEPS'] ?? 40)
/** Audits, put-backs and releases have come round, ms. */
const restMs = 120_000

interface Host extends WholeHost {
  readonly engine: NetworkEngine
}

/** No address is on two hosts at a time. */
class Addresses implements AddressWatch {
  readonly #holders = new Map<string, string>()
  readonly doubles: string[] = []

  takes(host: string, network: string, subnet: Cidr, ip: Ip): void {
    const key = `${subnet} ${ip}`
    const other = this.#holders.get(key)
    if (other !== undefined && other !== host)
      this.doubles.push(`${ip} of ${network}: ${other}, ${host}`)
    this.#holders.set(key, host)
  }

  frees(host: string, subnet: Cidr, ip: Ip): void {
    const key = `${subnet} ${ip}`
    if (this.#holders.get(key) === host) this.#holders.delete(key)
  }
}

describe('random histories of networks of whole plugins', () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++)
    it(`SEED=${seed} SEEDS=1: one list on all hosts, no address twice`, async () => {
      const random = seededRandom(seed)
      const world = new WholeHosts()
      const addresses = new Addresses()
      const hosts: Host[] = []
      for (let i = 0; i < 3; i++) hosts.push(await add(world, random, addresses))
      for (let step = 0; step < steps; step++) {
        await act(pick(random, hosts)!, world, random)
        await world.clock.advance(pick(random, [1, 5, 50, 300, 3000, 15_000])!)
      }
      for (const { engine } of hosts) if (!engine.isUp) engine.up()
      world.heal()
      await world.clock.advance(restMs)
      expect(addresses.doubles).to.deep.equal([])
      for (const { engine } of hosts) {
        expect(engine.violations).to.deep.equal([])
        for (const name of engine.running.keys()) await world.done(engine.removeContainer(name))
      }
      await world.clock.advance(restMs)
      hosts.push(await add(world, random, addresses))
      await world.clock.advance(restMs)
      for (const name of names) expectOne(name, hosts)
      await world.stop()
    })
})

async function add(world: WholeHosts, random: Random, watch: AddressWatch): Promise<Host> {
  let engine!: NetworkEngine
  const name = `h${world.hosts.length + 1}`
  const host = await world.add({
    ports: (clock) => {
      engine = new NetworkEngine(name, clock, random, watch)
      return { engine: engine as unknown as Engine }
    },
  })
  engine.attach(host.plugin)
  return { ...host, engine }
}

async function act({ engine }: Host, world: WholeHosts, random: Random): Promise<void> {
  const name = pick(random, names)!
  const container = pick(random, containers)!
  const work = [
    () => engine.create(name, 'ts-overlay'),
    () => engine.create(name, 'default'),
    () => engine.create(name, 'default'),
    () => engine.create(name, 'default', `10.0.${below(random, 3)}.0/24`),
    () => engine.create(name, 'ts-overlay', `10.0.${below(random, 3)}.0/24`),
    () => engine.remove(name),
    () => engine.remove(name),
    () => engine.prune(),
    () => engine.run(container, name),
    () => engine.run(container, name),
    () => engine.run(container, name),
    () => engine.stop(container),
    () => engine.removeContainer(container),
    async () => (engine.isUp ? engine.down() : engine.up()),
    async () => (below(random, 2) === 0 ? world.cut() : world.heal()),
    async () => world.heal(),
  ]
  await world.done<unknown>(pick(random, work)!())
}

/** All hosts have the same, or a finding says on whom it is to make them so. */
function expectOne(name: string, hosts: readonly Host[]): void {
  const shapes = hosts.map(({ engine }) => {
    const network = engine.named(name)
    return network === undefined
      ? 'none'
      : `${network.subnet} ${network.shown.IPAM.Driver} ${network.gateway}`
  })
  if (new Set(shapes).size === 1) return
  const told = hosts.flatMap(({ plugin }) => plugin.status().findings.list)
  const about = told.filter(({ subject }) => subject === `network ${name}`)
  expect(about, `${name}: ${shapes.join(' | ')}`).to.not.deep.equal([])
}
