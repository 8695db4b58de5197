/** A member that says what cannot be: it counts for nothing, is counted, and is told once. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import { macOfIp, parseMac } from '../../src/net/mac.ts'
import { WholeHosts } from './support/whole-hosts.ts'
import { endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { blockRecord, poolRecord } from '../../src/wiring/records.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!

describe('claims that cannot be true', () => {
  let world: WholeHosts

  beforeEach(() => {
    world = new WholeHosts()
  })
  afterEach(() => world.stop())

  it('give no rows, are counted by member and kind, and are logged once', async () => {
    const [victim, liar] = [await world.add(), await world.add()]
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    for (const { plugin } of [victim, liar])
      await world.done(
        plugin.network.createNetwork({
          networkId: 'n1',
          options: { overlay: 'blue' },
          internal: false,
          pools,
        }),
      )
    await world.done(
      victim.plugin.network.createEndpoint({
        networkId: 'n1',
        endpointId: 'aaaa000000000000',
        addresses: [parseIpInCidr('10.10.0.2/16')!],
        mac: null,
      }),
    )
    await world.done(
      victim.plugin.network.join({ networkId: 'n1', endpointId: 'aaaa000000000000' }),
    )
    const { vni } = victim.plugin.network.networksWithEndpoints()[0]!.network
    const claim = (n: number, ip: Ip, mac = macOfIp(ip)): void =>
      liar.plugin.cluster.put(endpointRecord, {
        vni,
        endpointId: `bbbb00000000000${n}`,
        ips: [ip],
        mac,
        claimedAt: 1,
      })
    claim(1, parseIp('10.10.0.3')!)
    for (let round = 0; round < 3; round++) {
      claim(2, parseIp(`192.0.2.${round + 7}`)!)
      claim(3, parseIp('10.10.0.1')!, parseMac(`02:00:00:00:00:0${round}`)!)
      claim(4, parseIp('10.10.0.4')!, parseMac(`01:00:5e:00:00:0${round}`)!)
      await world.clock.advance(1000)
    }
    const { overlays, ignoredClaims } = victim.plugin.status()
    expect(overlays[0]!.peers).to.have.length(4)
    const rows = await world.done(victim.plugin.reconciler.audit())
    expect(rows[0]!.drift, 'what the kernel has is what it should').to.deep.equal(
      Object.fromEntries(Object.keys(rows[0]!.drift).map((kind) => [kind, 0])),
    )
    expect(victim.neighbours('blue')).to.deep.equal(['10.10.0.3'])
    const { total, list } = ignoredClaims
    expect(total).to.equal(9)
    expect(list.map(({ who, what, count }) => [who, what, count])).to.deep.equal([
      ['host-2', 'address', 6],
      ['host-2', 'mac', 3],
    ])
    expect(list[0]!.last.text).to.match(
      /^member host-2 claims .* for endpoint bbbb.*; ignored; look at /,
    )
    expect(victim.lines.filter((line) => line.includes('[CLAIM_IGNORED]'))).to.have.length(2)
    const open = victim.plugin.status().findings.list.map(({ code, subject }) => [code, subject])
    expect(open).to.deep.equal([
      ['CLAIM_IGNORED', 'member host-2'],
      ['CLAIM_IGNORED', 'member host-2'],
    ])
    await world.clock.advance(3_600_000)
    expect(victim.plugin.status().findings.list).to.deep.equal([])
  })

  it('are told of pools and blocks that address management makes nothing of', async () => {
    const [victim, liar] = [await world.add(), await world.add()]
    const { cluster } = liar.plugin
    const pool = { auto: false, since: 1, gateway: null, reserved: [] } as const
    cluster.put(poolRecord, { ...pool, poolKey: 'nonsense' })
    cluster.put(poolRecord, { ...pool, poolKey: '10.20.0.0/24', gateway: parseIp('10.21.0.1') })
    cluster.put(poolRecord, { ...pool, poolKey: '10.22.0.0/24', gateway: parseIp('10.22.0.1') })
    cluster.put(blockRecord, { poolKey: '10.20.0.0/24', index: 32, since: 1 })
    cluster.put(blockRecord, { poolKey: '10.20.0.0/24', index: 31, since: 1 })
    await world.clock.advance(3000)
    const { list } = victim.plugin.status().ignoredClaims
    expect(list.map(({ what, count }) => [what, count])).to.deep.equal([
      ['pool', 2],
      ['block', 1],
    ])
    expect(list[1]!.last.text).to.match(
      /has block 32 of pool 10\.20\.0\.0\/24, whose last one is 31/,
    )
  })

  it('are told of a member that advertises the address of this host', async () => {
    const first = await world.add()
    const clone = await world.add({ vtep: parseIp('192.0.2.1')! })
    clone.plugin.cluster.put(endpointRecord, {
      vni: 7000 as never,
      endpointId: 'bbbb000000000000',
      ips: [parseIp('10.10.0.2')!],
      mac: macOfIp(parseIp('10.10.0.2')!),
      claimedAt: 1,
    })
    await world.clock.advance(3000)
    expect(first.plugin.status().ignoredClaims.list[0]!.last.text).to.match(
      /member host-2 claims the VTEP 192\.0\.2\.1, which is this host.s; change its ADVERTISE_ADDR/,
    )
  })
})

describe('two hosts of one name', () => {
  it('are told of by the one that is kept out and by that which it asked: both addresses, and what to do', async () => {
    const world = new WholeHosts()
    const first = await world.add()
    await world.add({ name: 'twin' })
    const refused = await world.add({ name: 'twin' }).catch((error: Error) => error.message)
    expect(refused).to.match(/refuses this host: twin: the member at 192\.0\.2\.2 is called twin/)
    const [finding] = first.plugin.status().findings.list
    expect(finding).to.include({ code: 'HOST_REFUSED', subject: 'host 192.0.2.3' })
    expect(finding!.text).to.include('192.0.2.2').and.include('MEMBER_NAME')
    await world.clock.advance(10_000)
    expect(first.plugin.status().members).to.have.length(2)
    await world.stop()
  })
})
