import { expect } from 'chai'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import { LoopbackPlugins } from './ipam-plugins.ts'

/*
 * Address management as the plugin has it, with real disks and real, encrypted sockets on this machine.
 * `SHOW=1` prints the figures; what is asserted a busy machine does not spoil.
 */

const networks = 40
const hosts = 5

function show(line: string): void {
  if (process.env['SHOW'] !== undefined) process.stdout.write(`    ${line}\n`)
}

/** The lower quartile, which a busy machine spoils last, and text for people. */
function spread(values: readonly number[]): { quartile: number; text: string } {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.ceil(part * sorted.length) - 1]!
  const [median, p95, most] = [0.5, 0.95, 1].map((part) => at(part).toFixed(2))
  const text = `median ${median}, p95 ${p95}, most ${most} ms of ${values.length}`
  return { quartile: at(0.25), text }
}

async function timed<T>(into: number[], work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  into.push(performance.now() - began)
  return result
}

describe(`addresses of ${hosts} plugins on loopback`, function () {
  this.timeout(60_000)
  let plugins: LoopbackPlugins

  before(async () => (plugins = await LoopbackPlugins.up(hosts)))
  after(() => plugins.end())

  it('a host’s first block on a network takes less than 50 ms', async () => {
    const pools: number[] = []
    const first: number[] = []
    const later: number[] = []
    const all = new Set<string>()
    for (let i = 0; i < networks; i++) {
      const pool = parseCidr(`10.50.${i}.0/24`)!
      for (const host of [1 + (i % hosts), 1 + ((i + 2) % hosts)]) {
        const id = await timed(pools, () => plugins.create(host, pool))
        all.add(await timed(first, () => plugins.take(host, id)))
        all.add(await timed(later, () => plugins.take(host, id)))
      }
    }
    show(`RequestPool and the gateway: ${spread(pools).text}`)
    show(`first RequestAddress on a network: ${spread(first).text}`)
    show(`the next: ${spread(later).text}`)
    expect(all.size).to.equal(4 * networks)
    expect(spread(first).quartile).to.be.lessThan(50)
  })

  it('a thousand addresses at once on one host are all answered, all different', async () => {
    const id = await plugins.create(1, parseCidr('10.60.0.0/16')!)
    const took: number[] = []
    const all = await timed(took, () =>
      Promise.all(Array.from({ length: 1000 }, () => plugins.take(1, id))),
    )
    show(`a thousand at once: ${took[0]!.toFixed(0)} ms`)
    expect(new Set(all).size).to.equal(1000)
    expect(took[0]).to.be.lessThan(8000)
  })

  it('a block’s owner is dead and nobody gets its addresses; forgotten, and they are free', async () => {
    const pool = parseCidr('10.70.0.0/28')!
    const id = await plugins.create(hosts, pool)
    const had = (await plugins.take(hosts, id)).split('/')[0] as Ip
    await plugins.create(1, pool)
    await plugins.crash(hosts)
    const dead = (): boolean =>
      plugins.status(1).roster!.voters.some(({ name, state }) => {
        return name === `h${hosts}` && state === 'dead'
      })
    await plugins.until(dead)
    const asked = await plugins.take(1, id, had).catch((error: Error) => error)
    expect(asked).to.have.property('code', 'MEMBER_AWAY')
    await plugins.plugin(2).ipam.forget(`h${hosts}`)
    expect(await plugins.take(1, id, had)).to.equal(`${had}/28`)
    await plugins.start(hosts)
    const conflicts = (host: number) => plugins.status(host).conflicts
    await plugins.until(() => conflicts(1).length > 0 && conflicts(hosts).length > 0)
    expect(conflicts(1)).to.deep.equal([{ poolKey: pool, ip: had, member: `h${hosts}` }])
    expect(conflicts(hosts)).to.deep.equal([{ poolKey: pool, ip: had, member: 'h1' }])
    for (const host of [1, hosts]) {
      const told = await plugins.take(host, id).catch((error: Error) => error)
      expect(told).to.have.property('code', 'ADDRESS_CONFLICT')
      expect(await plugins.take(host, id)).to.match(/^10\.70\.0\./)
    }
  })
})
