import { closeSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { messageOf } from '../../src/base/errors.ts'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { assignNetnsId, netnsIdOf, netnsPathOf } from '../../src/dataplane/linux/netns/netns-ids.ts'
import { closeNetns, openNetns } from '../../src/dataplane/linux/netns/overlay-netns.ts'
import type { Vni } from '../../src/net/vni.ts'
import { LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
/** Mounts are made where the tests' own process sees them. */
const here = '/proc/self/ns/net'

describe('a VNI that another device of the host has', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let links: OverlayLinks
  let others: OverlayLinks

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`VNIs in use skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await LabHost.alone(lab)
    links = await host.links('uber-net', 5001)
    others = { ...links, overlayId: 'other-net' }
  })

  afterEach(async () => {
    await host.close()
    lab.close()
  })

  const errorOf = async (work: Promise<unknown>): Promise<string> =>
    messageOf(
      await work.then(
        () => 'no error',
        (error: unknown) => error,
      ),
    )
  const devicesIn = async (netns: string): Promise<string[]> =>
    (await lab.json(netns, 'ip', 'link', 'show', 'type', 'vxlan')).map(({ ifname }) => ifname)

  /** Somebody holds the namespace of an overlay, but its pin is gone. */
  async function loseThePin(): Promise<string> {
    const held = await lab.namespace('held')
    await lab.run(here, 'umount', held)
    await lab.run(here, 'mount', '--bind', host.pin('uber-net'), held)
    await lab.run(here, 'umount', '--lazy', host.pin('uber-net'))
    return held
  }

  it('is reported with its place where the device is foreign, and stays', async () => {
    const { dataplane } = host
    const vxlan = ['type', 'vxlan', 'id', '5001', 'dstport', '4789']
    await lab.run(host.netns, 'ip', 'link', 'add', 'vx-here', ...vxlan)
    const here = await errorOf(dataplane.ensureOverlay(links))
    expect(here).to.include('vx-here').and.include('ip link delete vx-here')
    await lab.run(host.netns, 'ip', 'link', 'del', 'vx-here')

    const elsewhere = await lab.namespace('elsewhere')
    await lab.run(host.netns, 'ip', 'link', 'add', 'vx-moved', ...vxlan)
    await lab.run(host.netns, 'ip', 'link', 'set', 'vx-moved', 'netns', elsewhere)
    const moved = await errorOf(dataplane.ensureOverlay(links))
    expect(moved)
      .to.include('vx-moved')
      .and.include('NETNSID')
      .and.include('ip link delete vx-moved')
    expect(await host.leftovers()).to.deep.equal([])

    // The same VNI in another host's namespace is no obstacle.
    await lab.run(elsewhere, 'ip', 'link', 'del', 'vx-moved')
    await lab.run(elsewhere, 'ip', 'link', 'add', 'vx-other', ...vxlan)
    await dataplane.ensureOverlay(links)
  })

  it('has a place that is found among files that are none, or go while one looks', async () => {
    const netns = await lab.namespace('elsewhere')
    const folder = lab.folder('named')
    symlinkSync('/nowhere', join(folder, 'a-link'))
    writeFileSync(join(folder, 'b-file'), '')
    await lab.run(here, 'mkfifo', join(folder, 'c-pipe'))
    symlinkSync(netns, join(folder, 'd-namespace'))
    const { socket, fd } = openNetns(host.netns)
    const other = openSync(netns, 'r')
    try {
      assignNetnsId(socket, other)
      const places = [join(lab.directory, 'no-folder'), folder]
      const found = (netnsId: number): string | null => netnsPathOf(socket, netnsId, places)
      expect(found(netnsIdOf(socket, other)!)).to.equal(join(folder, 'd-namespace'))
      expect(found(1_000_000)).to.equal(null)
    } finally {
      closeNetns({ socket, fd })
      closeSync(other)
    }
  })

  for (const whose of ['the same overlay', 'another overlay of ours'] as const)
    it(`is free at once where the device is one of ${whose} that was lost before a restart`, async () => {
      const { dataplane } = host
      await dataplane.ensureOverlay(links)
      const held = await loseThePin()
      await dataplane.close()
      await dataplane.start()
      expect(await dataplane.overlays()).to.deep.equal([])
      const wanted = whose === 'the same overlay' ? links : others
      const changed = await dataplane.ensureOverlay(wanted)
      expect(changed).to.include('leftover VXLAN device of overlay uber-net removed')
      expect(await devicesIn(held)).to.deep.equal([])
      expect(await devicesIn(host.pin(wanted.overlayId))).to.deep.equal(['vxlan0'])
      expect(await dataplane.ensureOverlay(wanted)).to.deep.equal([])
    })

  it('is free where its overlay lives with another VNI, and the device is left from before', async () => {
    const { dataplane } = host
    await dataplane.ensureOverlay(links)
    const held = await loseThePin()
    await dataplane.close()
    await dataplane.start()
    await dataplane.ensureOverlay({ ...links, vni: 5002 as Vni })
    await dataplane.ensureOverlay(others)
    expect(await devicesIn(held)).to.deep.equal([])
    expect(await devicesIn(host.pin('uber-net'))).to.deep.equal(['vxlan0'])
    expect(await dataplane.ensureOverlay({ ...links, vni: 5002 as Vni })).to.deep.equal([])
  })

  it('stays with another overlay of ours that lives, whether pinned or held by this process', async () => {
    const { dataplane } = host
    await dataplane.ensureOverlay(links)
    const use = 'overlay uber-net has VNI 5001 on this host'
    expect(await errorOf(dataplane.ensureOverlay(others))).to.include(use)
    await dataplane.close()
    await dataplane.start()
    expect(await errorOf(dataplane.ensureOverlay(others))).to.include(use)
    expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
    const held = await loseThePin()
    expect(await errorOf(dataplane.ensureOverlay(others))).to.include(use)
    expect(await devicesIn(held)).to.deep.equal(['vxlan0'])
    expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
  })

  it('is waited for while the kernel still clears its namespace away', async () => {
    const { dataplane } = host
    await dataplane.ensureOverlay(links)
    await dataplane.close()
    lab.remove(host.pin('uber-net'))
    await dataplane.start()
    await dataplane.ensureOverlay(links)
    expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
  })
})
