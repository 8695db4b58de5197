import { expect } from 'chai'
import { createLogger } from '../../../src/base/logger.ts'
import { Driver } from '../../../src/driver/driver.ts'
import type { KnownOverlay } from '../../../src/driver/network-store.ts'
import { parseCidr, parseIpInCidr } from '../../../src/net/cidr.ts'
import type { Peer } from '../../../src/net/endpoint.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import { type Mac, macOfIp, parseMac } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const pool = parseIpInCidr('10.10.0.1/16')!
const mac = parseMac('02:aa:00:00:00:01')!

/** A driver whose log lines are kept. */
function host() {
  const world = createDriverWorld()
  const lines: string[] = []
  world.logger = createLogger((line) => lines.push(line)).logger
  const driver = new Driver(driverPartsOf(world))
  return { world, lines, driver }
}

type Side = ReturnType<typeof host>

function create({ driver }: Side, options: Record<string, string> = {}, space = 'ours') {
  const pools = [{ addressSpace: space, pool: pool.cidr, gateway: pool }]
  return driver.createNetwork({ networkId: 'n1', options, internal: false, pools })
}

/** Hands the overlays that `from` has published to `to`. */
function tell(from: Side, member: string, to: Side): void {
  const known = [...from.world.published.overlays.values()].map((told) => ({ ...told, member }))
  to.world.knownOverlays.splice(0, Infinity, ...known)
  to.driver.overlaysChanged(known.map((now) => ({ member, overlayId: now.overlayId, now })))
}

async function endpoint(
  { driver }: Side,
  endpointId: string,
  address: string,
  wanted: Mac | null,
): Promise<{ mac: Mac | null }> {
  const addresses = [parseIpInCidr(address)!]
  return driver.createEndpoint({ networkId: 'n1', endpointId, addresses, mac: wanted })
}

const peer = (fields: Partial<Peer> = {}): Peer => ({
  vni: 7000 as Vni,
  ips: [],
  mac,
  origin: 'host-b',
  endpointId: 'feed',
  vtep: parseIp('192.0.2.2')!,
  claimedAt: 1,
  live: true,
  ...fields,
})

describe('an overlay that two hosts see differently', () => {
  it('is reported on both when the later one has a smaller MTU: who, both figures and what to do', async () => {
    const [a, b] = [host(), host()]
    await create(a, { 'com.docker.network.driver.mtu': '1450' })
    tell(a, 'host-a', b)
    b.world.mtuHere = 1400
    await create(b)
    tell(b, 'host-b', a)
    for (const side of [a, b]) await side.world.clock.advance(1000)
    expect(a.lines.at(-1)).to.match(
      /^warn .*"10\.10\.0\.0\/16": MTU 1450 here, 1400 on member host-b, and larger packets from this host are lost; remove the network on this host and create it again/,
    )
    expect(b.lines.at(-1)).to.match(/^warn .*MTU 1400 here, 1450 on member host-a, .*member host-a/)
    expect(a.driver.inconsistencies().list).to.deep.include.members([
      {
        kind: 'mtu',
        overlayId: '10.10.0.0/16',
        member: 'host-b',
        here: '1450',
        there: '1400',
        message: a.driver.inconsistencies().list[0]!.message,
      },
    ])
    // The advice of the message helps, and the end is logged, too; each once.
    await a.driver.deleteNetwork('n1')
    await create(a)
    tell(a, 'host-a', b)
    for (const side of [a, b]) await side.world.clock.advance(60_000)
    for (const { lines, driver } of [a, b]) {
      expect(lines.filter((line) => line.includes('MTU 14'))).to.have.length(2)
      expect(lines.at(-1)).to.match(/^info .*over after /)
      expect(driver.inconsistencies().count).to.equal(0)
    }
    for (const { driver } of [a, b]) await driver.stop()
  })

  it('has the smaller MTU on both, also for containers that run, where none was asked for', async () => {
    const [a, b] = [host(), host()]
    await create(a)
    await endpoint(a, 'e1', '10.10.0.2/16', null)
    await a.driver.join({ networkId: 'n1', endpointId: 'e1' })
    b.world.mtuHere = 1400
    await create(b)
    tell(b, 'host-b', a)
    await a.world.clock.advance(60_000)
    expect(a.world.published.overlays.get('10.10.0.0/16')).to.include({ mtu: 1400 })
    expect(a.world.kernel.get('10.10.0.0/16')!.links.mtu).to.equal(1400)
    expect(a.driver.inconsistencies().count).to.equal(0)
    // Not one with which IPv6 would end.
    const [told] = b.world.published.overlays.values()
    a.world.knownOverlays.splice(0, 1, { ...told!, mtu: 576, member: 'host-b' })
    a.driver.overlaysChanged([])
    await a.world.clock.advance(60_000)
    expect(a.world.published.overlays.get('10.10.0.0/16')).to.include({ mtu: 1400 })
    for (const { driver } of [a, b]) await driver.stop()
  })

  it('is reported when two clusters meet: another VNI, other subnets, a VNI of two overlays', async () => {
    const a = host()
    await create(a, { overlay: 'blue', vni: '7000' })
    const theirs = (fields: Partial<KnownOverlay>): KnownOverlay => ({
      member: 'host-b',
      overlayId: 'blue',
      vni: 7000 as Vni,
      pools: [pool.cidr],
      mtu: 1450,
      encrypted: false,
      ...fields,
    })
    const claims = [
      theirs({ vni: 7001 as Vni }),
      theirs({ member: 'host-c', pools: [parseCidr('10.11.0.0/16')!] }),
      theirs({ overlayId: 'red' }),
      theirs({ overlayId: 'green', vni: 7002 as Vni }),
      theirs({ member: 'host-d', mtu: 1 }),
      theirs({ member: 'host-e', vtep: parseIp('2001:db8::5')! }),
    ]
    a.driver.overlaysChanged(claims.map((now) => ({ ...now, now })))
    // One that dies is in no disagreement any more.
    a.driver.overlaysChanged([{ member: 'host-d', overlayId: 'blue', now: null }])
    const { list } = a.driver.inconsistencies()
    expect(list.map(({ kind, here, there }) => [kind, here, there])).to.deep.equal([
      ['vni', '7000', '7001'],
      ['subnets', '10.10.0.0/16', '10.11.0.0/16'],
      ['vni-shared', 'blue', 'red'],
      ['underlay', '192.0.2.1', '2001:db8::5'],
    ])
    for (const { message } of list.slice(0, 3))
      expect(message).to.match(/member host-[bc].*create it again/)
    await a.driver.stop()
  })

  it('is reported on both sides when two overlays came to have one pool, of either family', async () => {
    const sides = [host(), host()] as const
    const v6 = parseIpInCidr('fd00:78::1/64')!
    for (const [i, { driver }] of sides.entries()) {
      const v4 = parseIpInCidr(`10.${20 + i}.0.1/24`)!
      const pools = [v4, v6].map((at) => ({ addressSpace: 'ours', pool: at.cidr, gateway: at }))
      await driver.createNetwork({
        networkId: 'n1',
        options: { vni: `${7000 + i}` },
        internal: false,
        pools,
      })
    }
    const [a, b] = sides
    tell(a, 'host-a', b)
    tell(b, 'host-b', a)
    for (const [{ driver }, here, there] of [
      [a, '10.20.0.0/24', '10.21.0.0/24'],
      [b, '10.21.0.0/24', '10.20.0.0/24'],
    ] as const) {
      const found = driver.inconsistencies().list.find(({ kind }) => kind === 'pool')!
      expect(found.message).to.contain('fd00:78::/64').and.contain(here).and.contain(there)
      await driver.stop()
    }
  })

  it('does not fill the log when all others see it so', async () => {
    const a = host()
    await create(a)
    const [told] = a.world.published.overlays.values()
    const claims = Array.from({ length: 1000 }, (_, i) => {
      return { ...told!, mtu: 1400, member: `host-${i}` }
    })
    for (let i = 0; i < 20; i++) {
      a.driver.overlaysChanged(claims.map((now) => ({ ...now, now })))
      await a.world.clock.advance(1000)
    }
    expect(a.lines.filter((line) => line.startsWith('warn'))).to.have.length(6)
    expect(a.lines.at(-1)).to.match(/195 more .*\/status/)
    expect(a.driver.inconsistencies()).to.have.property('count', 1000)
    expect(a.driver.inconsistencies().list).to.have.length(100)
    await a.driver.stop()
  })
})

describe('an MTU that is more than the network between the hosts leaves', () => {
  it('is warned of when somebody asks for it, and at a start after that network has changed', async () => {
    const a = host()
    await create(a)
    expect(a.lines.some((line) => line.startsWith('warn'))).to.equal(false)
    a.world.mtuHere = 1400
    const after = new Driver(driverPartsOf(a.world))
    await after.start()
    expect(a.lines.at(-1)).to.match(/^warn .*has MTU 1450, and .* leaves 1400 here; .*mtu=/)
    await after.stop()
    const b = host()
    await create(b, { 'com.docker.network.driver.mtu': '1500' })
    expect(b.lines.join('\n')).to.match(/warn .*has MTU 1500, and .* leaves 1450 here/)
  })
})

describe('a MAC address', () => {
  async function refusal(work: Promise<unknown>): Promise<string> {
    return work.then(
      () => 'not refused',
      (error: Error) => error.message,
    )
  }

  it('that a live endpoint of the overlay has is refused, with who has it and what to do', async () => {
    const a = host()
    await create(a, { vni: '7000' })
    a.world.peers.set(`7000 ${mac}`, peer())
    expect(await refusal(endpoint(a, 'e1', '10.10.0.2/16', mac))).to.match(
      /MAC address 02:aa:00:00:00:01 on overlay .* member host-b \(192\.0\.2\.2\) by endpoint feed.*--mac-address/,
    )
    expect(a.world.published.endpoints.size).to.equal(0)
    a.world.peers.set(`7000 ${mac}`, peer({ live: false }))
    await endpoint(a, 'e1', '10.10.0.2/16', mac)
    expect(await refusal(endpoint(a, 'e2', '10.10.0.3/16', mac))).to.match(
      /MAC address .* in use on this host by endpoint e1.*--mac-address/,
    )
    await a.driver.stop()
  })

  it('that two hosts took at the same time is refused to the later one at Join', async () => {
    const a = host()
    await create(a, { vni: '7000' })
    await endpoint(a, 'e1', '10.10.0.2/16', mac)
    const now = Math.floor(a.world.clock.wall() / 1000)
    const join = () => a.driver.join({ networkId: 'n1', endpointId: 'e1' })
    a.world.peers.set(`7000 ${mac}`, peer({ claimedAt: now - 1 }))
    expect(await refusal(join())).to.match(/MAC address .* is in use on member host-b/)
    a.world.peers.set(`7000 ${mac}`, peer({ claimedAt: now + 1 }))
    await join()
    await a.driver.stop()
  })

  it('that two hosts have is reported: address, endpoint, member, remedy', async () => {
    const a = host()
    await create(a, { vni: '7000' })
    await endpoint(a, 'e1', '10.10.0.2/16', mac)
    await a.driver.join({ networkId: 'n1', endpointId: 'e1' })
    await a.world.clock.advance(1000)
    a.world.peers.set(`7000 ${mac}`, peer({ claimedAt: Number.MAX_SAFE_INTEGER }))
    a.driver.overlaysChanged([])
    await a.world.clock.advance(1000)
    expect(a.lines.at(-1)).to.match(
      /^warn .*MAC address 02:aa:00:00:00:01 .* endpoint feed on member host-b \(192\.0\.2\.2\).*--mac-address/,
    )
    expect(a.driver.inconsistencies().list[0]).to.include({ kind: 'mac', member: 'host-b' })
    await a.driver.leave('n1', 'e1')
    expect(a.driver.inconsistencies().count).to.equal(0)
    await a.driver.stop()
  })

  it('of our own choice avoids those that others asked for, and stays when the call is repeated', async () => {
    const a = host()
    await create(a, { vni: '7000' })
    const usual = macOfIp('10.10.0.2' as Ip)
    a.world.peers.set(`7000 ${usual}`, peer())
    const given = await endpoint(a, 'e1', '10.10.0.2/16', null)
    expect(given.mac).to.match(/^02:43:/)
    a.world.peers.set(`7000 ${usual}`, peer({ live: false }))
    expect(await endpoint(a, 'e1', '10.10.0.2/16', null)).to.deep.equal(given)
    await a.driver.stop()
  })
})

describe('an address under another IPAM driver', () => {
  it('that two hosts have is reported; one of our pools is left to IPAM', async () => {
    for (const [space, kinds] of [
      ['LocalDefault', ['address']],
      ['ours', []],
    ] as const) {
      const a = host()
      await create(a, { vni: '7000', overlay: 'blue' }, space)
      await endpoint(a, 'e1', '10.10.0.2/16', mac)
      await a.driver.join({ networkId: 'n1', endpointId: 'e1' })
      a.world.peers.set('7000 10.10.0.2', peer({ claimedAt: Number.MAX_SAFE_INTEGER }))
      expect(a.driver.inconsistencies().list.map(({ kind }) => kind)).to.deep.equal(kinds)
      await a.driver.stop()
    }
  })
})
