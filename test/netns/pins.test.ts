import { existsSync, mkdirSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { pinName } from '../../src/dataplane/linux/netlink/names.ts'
import { isPinned } from '../../src/dataplane/linux/netns/pin.ts'
import { bindMount, detachMount } from '../../src/dataplane/linux/netlink/syscall.ts'
import type { Ip } from '../../src/net/ip.ts'
import { LabUnderlay, type LabContainer, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()

/** What an engine does with a plugin's folder when it disables the plugin: the mounts go, the files stay. */
function clearAway(directory: string): void {
  for (const file of readdirSync(directory))
    while (isPinned(join(directory, file))) detachMount(join(directory, file))
}

describe('a namespace that is pinned at two places', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let first: string
  let spare: string
  let dataplane: LinuxDataplane
  let links: OverlayLinks
  let containers: LabContainer[]
  let warnings: string[]

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`pins skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await (await LabUnderlay.create(lab)).addHost()
    first = lab.folder('first')
    spare = lab.folder('spare')
    dataplane = await started()
    links = await host.links('uber-net', 5001)
    await dataplane.ensureOverlay(links)
    containers = []
    for (const ip of ['10.30.0.10', '10.30.0.11'] as Ip[])
      containers.push(await host.startContainer(links, ip, dataplane, first))
  })
  afterEach(async () => {
    await dataplane.close()
    await host.close()
    lab.close()
  })

  async function started(): Promise<LinuxDataplane> {
    const places = { directory: first, spareDirectory: spare, hostNetns: host.netns }
    warnings = []
    const warn = (message: string): unknown => warnings.push(message)
    const next = new LinuxDataplane({ ...places, logger: { ...silentLogger, warn } })
    await next.start()
    return next
  }
  const pins = (): boolean[] =>
    [first, spare].map((directory) => isPinned(join(directory, pinName('uber-net'))))
  const talk = (): Promise<boolean> => lab.ping(containers[0]!.netns, containers[1]!.ip)

  for (const which of ['first', 'spare'] as const)
    it(`outlives the process and the loss of its ${which} pin, which is put back`, async () => {
      await dataplane.close()
      clearAway(which === 'first' ? first : spare)
      expect(await talk()).to.equal(true)
      dataplane = await started()
      expect(await dataplane.overlays()).to.deep.equal(['uber-net'])
      expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
      expect(pins()).to.deep.equal([true, true])
      expect((await dataplane.dump('uber-net'))!.endpoints).to.have.length(2)
      expect(await talk()).to.equal(true)
    })

  it('has both pins put back while it is in use', async () => {
    for (const directories of [[first], [spare], [first, spare]]) {
      directories.forEach(clearAway)
      expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
      expect(pins()).to.deep.equal([true, true])
      expect(await talk()).to.equal(true)
    }
  })

  it('is pinned again where the folder itself was removed', async () => {
    clearAway(spare)
    rmSync(spare, { recursive: true })
    expect((await dataplane.dump('uber-net'))!.endpoints).to.have.length(2)
    expect(pins()).to.deep.equal([true, true])
  })

  for (const lost of ['first', 'spare'] as const)
    it(`works with one pin when there can be none in the ${lost} folder, and tells it once`, async () => {
      const folder = lost === 'first' ? first : spare
      clearAway(folder)
      rmSync(folder, { recursive: true })
      writeFileSync(folder, '')
      try {
        const other = await host.links('other', 5002)
        for (const wanted of [links, other, links, other]) await dataplane.ensureOverlay(wanted)
        expect(pins()).to.deep.equal([lost !== 'first', lost !== 'spare'])
        expect((await dataplane.dump('uber-net'))!.endpoints).to.have.length(2)
        expect(warnings.filter((warning) => warning.startsWith(folder))).to.have.length(2)
        expect(await dataplane.overlays()).to.have.members(['uber-net', 'other'])
        expect(await talk()).to.equal(true)
        await dataplane.close()
        dataplane = await started()
        expect(await dataplane.overlays()).to.have.members(['uber-net', 'other'])
      } finally {
        rmSync(folder)
        mkdirSync(folder)
      }
      await dataplane.ensureOverlay(links)
      expect(pins()).to.deep.equal([true, true])
    })

  it('loses both when the overlay goes', async () => {
    await dataplane.removeOverlay('uber-net')
    expect([...readdirSync(first), ...readdirSync(spare)]).to.deep.equal([])
  })

  it('is found beside things in its folder that are not to be removed, which are logged', async () => {
    await dataplane.close()
    mkdirSync(join(spare, 'lost+found'))
    const [mounted, bad] = [join(spare, 'mounted'), join(spare, pinName('bad'))]
    for (const path of [mounted, bad]) {
      writeFileSync(path, '')
      bindMount('/proc/uptime', path)
    }
    try {
      dataplane = await started()
      expect(await dataplane.overlays()).to.deep.equal(['uber-net'])
      expect(warnings.join()).to.include('EISDIR').and.include('EBUSY')
      const failed: unknown = await dataplane.removeOverlay('bad').catch((error: unknown) => error)
      expect(failed).to.include({ code: 'KERNEL' })
      expect(await talk()).to.equal(true)
    } finally {
      for (const path of [mounted, bad]) detachMount(path)
      rmdirSync(join(spare, 'lost+found'))
    }
  })

  it('is gone with the last pin when no process holds it, and nothing is left of the files', async () => {
    await dataplane.close()
    ;[first, spare].forEach(clearAway)
    dataplane = await started()
    expect(await dataplane.overlays()).to.deep.equal([])
    expect(existsSync(join(first, pinName('uber-net')))).to.equal(false)
  })
})
