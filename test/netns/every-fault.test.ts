import { setTimeout as sleep } from 'node:timers/promises'
import { execaSync } from 'execa'
import { expect } from 'chai'
import { AssertionError } from '../../src/base/errors.ts'
import { portNameOf, sourceNameOf } from '../../src/dataplane/linux/names.ts'
import { NetlinkError, NetlinkSocket } from '../../src/dataplane/linux/netlink-socket.ts'
import type { Peer } from '../../src/dataplane/peer-table.ts'
import { Reconciler } from '../../src/dataplane/reconciler.ts'
import { driverWires } from '../../src/driver-adapters.ts'
import { Driver } from '../../src/driver/driver.ts'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import { type DriverWorld, createDriverWorld, driverPartsOf } from '../support/fake-driver-parts.ts'
import { LabUnderlay, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

/*
 * Every call to the kernel of every operation fails once, in each of the ways that kernels fail, and each of the links
 * vanishes before each call. The driver, the reconciler and the Linux data plane are the real ones. After an error
 * nothing is left of what was begun, the next try succeeds, and then all of it is there. Time stands still but where a
 * test moves it, so nothing is tried again while a test looks.
 */

const obstacle = NetnsLab.obstacle()
const errors = { EPERM: 1, EBUSY: 16, ENODEV: 19, ENOBUFS: 105 } as const
const verbs = ['send', 'get', 'dump', 'scan'] as const
const overlayId = '10.30.0.0/16'
const gateway = parseIpInCidr('10.30.0.1/16')!

describe('every fault of a Linux kernel', function () {
  this.timeout(120_000)
  let lab: NetnsLab
  let host: LabHost
  let world: DriverWorld
  let reconciler: Reconciler
  let driver: Driver
  let peer: Peer
  /** Called before each call to the kernel; may throw. */
  let beforeCall: (() => void) | null = null
  const originals = new Map<string, (...args: unknown[]) => unknown>()
  const prototype = NetlinkSocket.prototype as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`every fault of a Linux kernel skipped: ${obstacle}\n`)
      this.skip()
    }
    for (const verb of verbs) {
      const original = prototype[verb]!
      originals.set(verb, original)
      prototype[verb] = function (this: unknown, ...args: unknown[]) {
        beforeCall?.()
        return original.apply(this, args)
      }
    }
  })
  after(() => {
    for (const [verb, original] of originals) prototype[verb] = original
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await (await LabUnderlay.create(lab)).addHost()
    world = createDriverWorld()
    newLife()
    const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
    await driver.createNetwork({ networkId: 'n', options: {}, internal: false, pools })
    const { vni } = driver.networks()[0]!.network
    const address = { ips: ['10.30.0.9' as Ip], mac: '02:42:0a:1e:00:09' as Mac }
    const claim = { vni, origin: 'b', endpointId: 'p', live: true, claimedAt: 1 }
    peer = { ...claim, ...address, vtep: '192.168.200.9' as Ip }
    reconciler.applyPeers([{ previous: null, next: peer }])
  })
  afterEach(async () => {
    beforeCall = null
    await driver.stop()
    await reconciler.stop()
    await host.close()
    lab.close()
  })

  /** What a start of the process builds: the kernel and the disk stay. */
  function newLife(): void {
    const { dataplane, vtep } = host
    const { clock, logger } = world
    reconciler = new Reconciler({ dataplane, clock, logger })
    const wires = driverWires(reconciler, dataplane)
    driver = new Driver({ ...driverPartsOf(world), wires, vtep })
  }

  const join = async (id: string, ip: string, sandboxKey?: string): Promise<string> => {
    const addresses = [parseIpInCidr(`${ip}/16`)!]
    const endpoint = { networkId: 'n', endpointId: id }
    await driver.createEndpoint({ ...endpoint, addresses, mac: null })
    return (await driver.join({ ...endpoint, sandboxKey: sandboxKey ?? null })).sourceName
  }
  const remove = async (id: string): Promise<void> => {
    await driver.leave('n', id)
    await driver.deleteEndpoint('n', id)
  }
  const linksOf = (id: string): string[] => [sourceNameOf(overlayId, id), portNameOf(overlayId, id)]

  /** Everything of an overlay with these endpoints, and nothing else; the audit has nothing to repair. */
  async function expectWhole(note: string, ...ids: string[]): Promise<void> {
    const actual = await host.dataplane.dump(overlayId)
    expect(actual?.endpoints.map(({ endpointId }) => endpointId).toSorted(), note).to.deep.equal(
      ids,
    )
    expect(
      actual!.endpoints.every(({ sound }) => sound),
      note,
    ).to.equal(true)
    expect([actual!.fdb.length, actual!.neighbours.length], note).to.deep.equal([1, 1])
    const [report] = await reconciler.audit()
    const nothing = { links: 0, endpoints: 0, fdb: 0, neighbours: 0 }
    expect(report, note).to.deep.include({ drift: nothing, missing: [], unknown: [] })
  }

  const isRestored = (): boolean => {
    const [overlay] = reconciler.status().overlays
    return overlay !== undefined && overlay.endpoints === 1 && overlay.settled
  }

  /** Runs `work` with something happening before its `nth` call to the kernel. */
  async function disturbed(
    nth: number,
    happens: () => void,
    work: () => Promise<unknown>,
  ): Promise<{ reached: boolean; failed: boolean }> {
    let calls = 0
    beforeCall = () => {
      if (++calls === nth) happens()
    }
    let failed = false
    try {
      await work()
    } catch (error) {
      if (error instanceof AssertionError) throw error
      failed = true
    }
    beforeCall = null
    return { reached: calls >= nth, failed }
  }

  for (const [code, errno] of Object.entries(errors)) {
    const fail = (): void => {
      throw new NetlinkError(errno, 'made up')
    }

    it(`${code}: a container is there or not, first of its network or not, and is on the next try`, async () => {
      for (const company of [false, true]) {
        if (company) await join('other', '10.30.0.3')
        const others = company ? ['other'] : []
        for (let nth = 1, reached = true; reached; nth++) {
          const note = `${code} at call ${nth}${company ? ', in company' : ''}`
          const outcome = await disturbed(nth, fail, () => join('e', '10.30.0.2'))
          ;({ reached } = outcome)
          if (outcome.failed) {
            const left = await host.leftovers()
            for (const link of linksOf('e')) expect(left, note).to.not.include(link)
            await join('e', '10.30.0.2')
          }
          await expectWhole(note, ...['e', ...others].toSorted())
          await remove('e')
          if (!company) await world.clock.advance(1500)
        }
      }
    })

    it(`${code}: a container is gone in the end, and its network with the last one`, async () => {
      for (let nth = 1, reached = true; reached; nth++) {
        const note = `${code} at call ${nth}`
        await join('e', '10.30.0.2')
        const outcome = await disturbed(nth, fail, async () => {
          await remove('e')
          await world.clock.advance(1500)
        })
        ;({ reached } = outcome)
        await remove('e')
        for (let wait = 0; wait < 50 && (await host.leftovers()).length > 0; wait++) {
          await world.clock.advance(1500)
          await sleep(20)
        }
        expect(await host.leftovers(), note).to.deep.equal([])
      }
    })

    it(`${code}: a veth pair that somebody removed is made anew or not, and is on the next audit`, async () => {
      const container = await lab.namespace('c')
      const name = await join('e', '10.30.0.2', '/var/run/docker/netns/c')
      await lab.run(host.netns, 'ip', 'link', 'set', name, 'netns', container, 'name', 'eth0')
      const inside = async (): Promise<unknown[]> =>
        (await lab.json(container, 'ip', 'addr'))
          .filter(({ ifname }) => ifname !== 'lo')
          .map(({ ifname, addr_info }) => [ifname, addr_info!.map(({ local }) => local)])
      for (let nth = 1, reached = true; reached; nth++) {
        const note = `${code} at call ${nth}`
        await lab.run(host.pin(overlayId), 'ip', 'link', 'del', portNameOf(overlayId, 'e'))
        ;({ reached } = await disturbed(nth, fail, () => reconciler.audit()))
        const seen = await inside()
        if (seen.length > 0) expect(seen, note).to.deep.equal([['eth0', ['10.30.0.2']]])
        await reconciler.audit()
        await expectWhole(note, 'e')
        expect(await inside(), note).to.deep.equal([['eth0', ['10.30.0.2']]])
      }
    })

    it(`${code}: rows follow a peer that moves`, async () => {
      await join('e', '10.30.0.2')
      const settled = async (): Promise<void> => {
        do await world.clock.advance(100)
        while (!reconciler.status().overlays[0]!.settled)
      }
      for (let nth = 1, reached = true; reached; nth++) {
        const next = { ...peer, vtep: `192.168.200.${nth % 2 === 0 ? 9 : 8}` as Ip }
        ;({ reached } = await disturbed(nth, fail, () => {
          reconciler.applyPeers([{ previous: peer, next }])
          return settled()
        }))
        peer = next
        await expectWhole(`${code} at call ${nth}`, 'e')
        const { fdb } = (await host.dataplane.dump(overlayId))!
        expect(fdb).to.deep.equal([{ mac: peer.mac, vtep: peer.vtep }])
      }
    })

    it(`${code}: a start takes over what is there, or fails and the next one does`, async () => {
      await join('e', '10.30.0.2')
      for (let nth = 1, reached = true; reached; nth++) {
        const start = async (): Promise<void> => {
          await reconciler.stop()
          await host.dataplane.close()
          await host.dataplane.start()
          newLife()
          reconciler.applyPeers([{ previous: null, next: peer }])
          await driver.start()
        }
        await driver.stop()
        const outcome = await disturbed(nth, fail, start)
        ;({ reached } = outcome)
        if (outcome.failed) await start()
        // What could not be restored is tried again after a second.
        for (let wait = 0; wait < 50 && !isRestored(); wait++) {
          await world.clock.advance(1500)
          await sleep(20)
        }
        await expectWhole(`${code} at call ${nth}`, 'e')
      }
    })
  }

  const names = { bridge: 'br0', 'VXLAN device': 'vxlan0', link: portNameOf(overlayId, 'e') }
  const vanish = (victim: keyof typeof names): void => {
    const args = [`--net=${host.pin(overlayId)}`, 'ip', 'link', 'del', names[victim]]
    execaSync('nsenter', args, { reject: false })
  }

  for (const victim of ['bridge', 'VXLAN device', 'link'] as const) {
    it(`a ${victim} that vanishes between two calls is there again after the next try or audit`, async () => {
      for (let nth = 1, reached = true; reached; nth++) {
        const note = `${victim} gone before call ${nth}`
        const outcome = await disturbed(
          nth,
          () => vanish(victim),
          () => join('e', '10.30.0.2'),
        )
        ;({ reached } = outcome)
        const [report] = outcome.failed ? [] : await reconciler.audit()
        if (outcome.failed || report!.missing.length > 0) {
          await remove('e')
          await join('e', '10.30.0.2')
        }
        await expectWhole(note, 'e')
        await remove('e')
        await world.clock.advance(1500)
      }
    })

    it(`a ${victim} that vanishes while a container goes, or in an audit, is nobody's loss`, async () => {
      for (const work of [() => remove('e'), () => reconciler.audit()])
        for (let nth = 1, reached = true; reached; nth++) {
          await join('e', '10.30.0.2')
          const outcome = await disturbed(nth, () => vanish(victim), work)
          ;({ reached } = outcome)
          await remove('e')
          for (let wait = 0; wait < 50 && (await host.leftovers()).length > 0; wait++) {
            await world.clock.advance(1500)
            await sleep(20)
          }
          expect(await host.leftovers(), `${victim} gone before call ${nth}`).to.deep.equal([])
        }
    })
  }
})
