import { expect } from 'chai'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import { LoopbackPlugins } from './ipam-plugins.ts'

/* Address management as the plugin has it, with real disks and real, encrypted sockets on this machine. */

const networks = 40
const hosts = 5

describe(`addresses of ${hosts} plugins on loopback`, function () {
  this.timeout(60_000)
  let plugins: LoopbackPlugins

  before(async () => (plugins = await LoopbackPlugins.up(hosts)))
  after(() => plugins.end())

  it('two hosts take addresses on each of many networks, all different', async () => {
    const all = new Set<string>()
    for (let i = 0; i < networks; i++) {
      const pool = parseCidr(`10.50.${i}.0/24`)!
      for (const host of [1 + (i % hosts), 1 + ((i + 2) % hosts)]) {
        const id = await plugins.create(host, pool)
        for (let n = 0; n < 2; n++) all.add(await plugins.take(host, id))
      }
    }
    expect(all.size).to.equal(4 * networks)
  })

  it('a thousand addresses at once on one host are all answered, all different', async () => {
    const id = await plugins.create(1, parseCidr('10.60.0.0/16')!)
    const all = await Promise.all(Array.from({ length: 1000 }, () => plugins.take(1, id)))
    expect(new Set(all).size).to.equal(1000)
  })

  it('a block’s owner is dead and nobody gets its addresses; evicted, and they are free', async () => {
    const pool = parseCidr('10.70.0.0/28')!
    const id = await plugins.create(hosts, pool)
    const first = await plugins.take(hosts, id)
    const had = first.split('/')[0] as Ip
    await plugins.attach(hosts, pool, first)
    await plugins.create(1, pool)
    await plugins.crash(hosts)
    const dead = (): boolean =>
      plugins
        .plugin(1)
        .cluster.members()
        .some(({ name, state }) => name === `h${hosts}` && state === 'dead')
    await plugins.until(dead)
    const asked = await plugins.take(1, id, had).catch((error: Error) => error)
    expect(asked).to.have.property('code', 'MEMBER_AWAY')
    await plugins.plugin(2).ipam.evict([`h${hosts}`])
    expect(await plugins.take(1, id, had)).to.equal(first)
    await plugins.attach(1, pool, first)
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
