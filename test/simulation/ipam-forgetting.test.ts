import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { SimulatedHost } from './ipam-host.ts'
import { Observer } from './ipam-observer.ts'
import { IpamWorld } from './ipam-world.ts'

/* `SEED=7 npx mocha test/simulation/ipam-forgetting.test.ts` runs one seed again, `SEEDS=300` so many. */

const only = process.env['SEED']
const count = Number(process.env['SEEDS'] ?? 12)
const subnet = '10.0.0.0/27'
const poolId = `ts-overlay/${subnet}`
const forgetAfterMs = 20_000
const phases = 6
/** Hosts are apart, or off, for up to this long, ms: some are evicted, others not. */
const phaseMostMs = 3 * forgetAfterMs
const burstMs = 500
const burst = 3
/** Containers are gone before their host may be evicted: what runs on is another matter, a conflict. */
const lifeMostMs = 2000

/**
 * Hosts that are cut off, or off, until the others evict them by themselves, and come back to a network
 * that is there or not. Containers come and go all the while.
 */
class Absences {
  readonly world: IpamWorld
  readonly observer: Observer
  #violation: Error | null = null
  evicted = 0

  constructor(seed: number) {
    this.world = new IpamWorld(seed)
    this.world.gossipMs = 250
    this.world.forgetAfterMs = forgetAfterMs
    this.world.voters.onEvicted = (names) => {
      this.observer.note(`evicted: ${names.join(' ')}`)
      this.evicted += names.length
    }
    this.observer = new Observer(this.world)
  }

  async run(): Promise<void> {
    const { world } = this
    const hosts = await world.grow(2 + below(world.random, 4))
    for (const host of hosts) {
      const wish = { space: 'ts-overlay', subPool: null, options: {}, ipv6: false }
      await world.run(host.ipam.requestPool({ ...wish, pool: parseCidr(subnet)! }))
      await world.run(host.ipam.requestAddress({ poolId, address: null, gateway: true }))
      await world.run(host.ipam.bindings.bindPool(subnet, 'network'))
    }
    for (let phase = 0; phase < phases; phase++) {
      const apart = hosts.filter(() => world.chance(0.4))
      this.observer.note(`apart: ${apart.map(({ name }) => name).join(' ')}`)
      world.cut(apart.map(({ name }) => name))
      const off = apart.filter(() => world.chance(0.4))
      for (const host of off) this.#stop(host)
      await this.#live(hosts, below(world.random, phaseMostMs))
      for (const host of off) await this.#start(host)
      await this.#live(hosts, below(world.random, lifeMostMs + 3000))
      world.heal()
      await this.#live(hosts, 5000)
    }
  }

  end(): void {
    this.world.end()
  }

  #stop(host: SimulatedHost): void {
    this.observer.note(`${host.name} stops`)
    host.crash(false)
  }

  async #start(host: SimulatedHost): Promise<void> {
    this.observer.note(`${host.name} starts`)
    await this.world.run(host.start())
  }

  async #live(hosts: readonly SimulatedHost[], ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += burstMs) {
      const host = pick(this.world.random, hosts)!
      for (let i = 0; host.up && i < burst; i++) void this.#contain(host)
      await this.world.clock.advance(burstMs)
      if (this.#violation !== null) throw this.#violation
    }
  }

  /** A container of the host: it starts, if it gets an address, and ends. */
  async #contain(host: SimulatedHost): Promise<void> {
    const { ipam, life } = host
    const got = await ipam
      .requestAddress({ poolId, address: null, gateway: false })
      .catch(({ code }) => this.observer.refuses(code))
    if (got === undefined || life?.alive !== true) return
    try {
      this.observer.takes(host.name, subnet, got)
    } catch (error) {
      this.#violation ??= error as Error
    }
    const ip = got.split('/')[0] as Ip
    this.world.clock.setTimeout(
      () => {
        this.observer.frees(host.name, subnet, ip)
        if (host.up) void host.ipam.releaseAddress({ poolId, address: ip })
      },
      below(this.world.random, lifeMostMs),
    )
  }
}

describe('hosts that are away until they are evicted', function () {
  this.timeout(0)

  it('never hand out what has become somebody else’s', async () => {
    const seeds = only === undefined ? Array.from({ length: count }, (_, i) => 1 + i) : [+only]
    const sum: Record<string, number> = { given: 0, evicted: 0 }
    for (const seed of seeds) {
      const absences = new Absences(seed)
      const { observer } = absences
      try {
        await absences.run()
      } catch (error) {
        const recent = observer.log.slice(-40).join('\n')
        throw new Error(`SEED=${seed}: ${String(error)}\n${recent}`, { cause: error })
      } finally {
        absences.end()
      }
      sum['given']! += observer.given
      sum['evicted']! += absences.evicted
      for (const [code, times] of observer.refused) sum[code] = (sum[code] ?? 0) + times
    }
    if (process.env['SHOW'] !== undefined) process.stdout.write(`    ${JSON.stringify(sum)}\n`)
    if (only !== undefined) return
    expect(sum['given']).to.be.greaterThan(200 * count)
    expect(sum['evicted']).to.be.greaterThan(count)
  })
})
