import { expect } from 'chai'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { portNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type Disturbance, type FaultyHost, overlayId } from './faulty-host.ts'

/** Tests of every operation on the kernel, each with a disturbance before each of its calls, one at a time. */
export function describeOperations(
  name: string,
  disturbance: Disturbance,
  hostNow: () => FaultyHost,
): void {
  /** Has `trial` done with the disturbance before the first call, the second, and so on to the last. */
  const each = (title: string, trial: Trial): void => {
    it(`${name}: ${title}`, async () => {
      const faulty = hostNow()
      const last = { isReached: false }
      for (let nth = 1; !last.isReached; nth++) {
        const disturbed = async (work: () => Promise<unknown>): Promise<Trouble> => {
          const { reached, failed, call } = await faulty.disturbed(disturbance, nth, work)
          last.isReached = !reached
          return { failed, note: `${name} at call ${nth}, ${call}` }
        }
        await trial(faulty, disturbed, nth)
      }
    })
  }

  each(
    'the first container of a network is there or not, and is on the next try',
    async (...on) => {
      await joining(...on)
      await on[0].waitForTeardown()
    },
  )
  each('another container of a network is there or not, and is on the next try', async (...on) => {
    const [faulty, , nth] = on
    if (nth === 1) await faulty.join('other', '10.30.0.3')
    await joining(...on, 'other')
  })
  each('a container is gone in the end, and its network with the last one', leaving)
  each('a veth pair that somebody removed is recreated, or is by the next audit', recreating)
  each('an overlay with another VTEP and MTU has them or not, and does on the next try', changing)
  each('rows follow a peer that moves', following)
  each('a start takes over what is there, or fails and the next one does', starting)
}

interface Trouble {
  readonly failed: boolean
  readonly note: string
}

type Disturbed = (work: () => Promise<unknown>) => Promise<Trouble>
type Trial = (faulty: FaultyHost, disturbed: Disturbed, nth: number) => Promise<void>

async function joining(
  faulty: FaultyHost,
  disturbed: Disturbed,
  _nth: number,
  ...others: string[]
): Promise<void> {
  const { failed, note } = await disturbed(() => faulty.join('e', '10.30.0.2'))
  if (failed) {
    await faulty.expectNoLinkOf('e', note)
    await faulty.join('e', '10.30.0.2')
  }
  await faulty.expectWhole(note, 'e', ...others)
  await faulty.remove('e')
}

const leaving: Trial = async (faulty, disturbed) => {
  await faulty.join('e', '10.30.0.2')
  const { note } = await disturbed(async () => {
    await faulty.remove('e')
    await faulty.waitForTeardown()
  })
  await faulty.remove('e')
  await faulty.expectNothing(note)
}

const recreating: Trial = async (faulty, disturbed, nth) => {
  const { lab, host, reconciler } = faulty
  if (nth === 1) {
    const container = await lab.namespace('c')
    const name = await faulty.join('e', '10.30.0.2', '/var/run/docker/netns/c')
    await lab.run(host.netns, 'ip', 'link', 'set', name, 'netns', container, 'name', 'eth0')
  }
  const inside = async (): Promise<unknown[]> =>
    (await lab.json(`${lab.directory}/c`, 'ip', 'addr'))
      .filter(({ ifname }) => ifname !== 'lo')
      .map(({ ifname, addr_info }) => [ifname, addr_info!.map(({ local }) => local)])
  await lab.run(host.pin(overlayId), 'ip', 'link', 'del', portNameOf(overlayId, 'e'))
  const { note } = await disturbed(() => reconciler.audit())
  const seen = await inside()
  if (seen.length > 0) expect(seen, note).to.deep.equal([['eth0', ['10.30.0.2']]])
  await reconciler.audit()
  await faulty.expectWhole(note, 'e')
  expect(await inside(), note).to.deep.equal([['eth0', ['10.30.0.2']]])
}

const changing: Trial = async (faulty, disturbed, nth) => {
  const { lab, host, reconciler, driver } = faulty
  if (nth === 1) await faulty.join('e', '10.30.0.2')
  const { vni } = driver.networksWithEndpoints()[0]!.network
  const isOdd = nth % 2 === 1
  const wanted: OverlayLinks = {
    overlayId,
    vni,
    vtep: (isOdd ? '192.168.200.101' : '192.168.200.1') as Ip,
    mtu: isOdd ? 1400 : 1450,
    port: 4789,
    gateways: ['10.30.0.1/16'],
  }
  const { failed, note } = await disturbed(() => reconciler.attachOverlay(wanted))
  if (failed) await reconciler.attachOverlay(wanted)
  // Rows that could not be written do not fail it, and are tried again.
  await faulty.until(() => faulty.isSettled)
  await faulty.expectWhole(note, 'e')
  const device = await lab.run(host.pin(overlayId), 'ip', '-details', 'link', 'show', 'vxlan0')
  expect(device, note).to.include(` local ${wanted.vtep} `).and.include(` mtu ${wanted.mtu} `)
}

const following: Trial = async (faulty, disturbed, nth) => {
  if (nth === 1) await faulty.join('e', '10.30.0.2')
  const { reconciler, world, host, peer } = faulty
  const next = { ...peer, vtep: `192.168.200.${nth % 2 === 0 ? 9 : 8}` as Ip }
  const { note } = await disturbed(async () => {
    reconciler.applyPeers([{ previous: peer, next }])
    do await world.clock.advance(100)
    while (!reconciler.status().overlays[0]!.settled)
  })
  faulty.peer = next
  await faulty.expectWhole(note, 'e')
  const { fdb } = (await host.dataplane.dump(overlayId))!
  expect(fdb, note).to.deep.equal([{ mac: next.mac, vtep: next.vtep }])
}

const starting: Trial = async (faulty, disturbed, nth) => {
  if (nth === 1) await faulty.join('e', '10.30.0.2')
  const start = async (): Promise<void> => {
    await faulty.reconciler.stop()
    await faulty.host.dataplane.close()
    await faulty.host.dataplane.start()
    faulty.restart()
    faulty.reconciler.applyPeers([{ previous: null, next: faulty.peer }])
    await faulty.driver.start()
  }
  await faulty.driver.stop()
  const { failed, note } = await disturbed(start)
  if (failed) await start()
  // What could not be restored is tried again after a second.
  await faulty.until(() => faulty.isSettled)
  await faulty.expectWhole(note, 'e')
}
