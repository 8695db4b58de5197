import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { OverlayError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Dataplane, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { linkGroup, portNameOf, sourceNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import { NetlinkError, NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import { LabUnderlay, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'
import { endpointLink } from '../support/endpoint-link.ts'

const obstacle = NetnsLab.obstacle()
const EBUSY = 16

/** Calls of the netlink socket, which faults are put into. */
const verbs = ['send', 'get', 'dump'] as const

/**
 * Runs `work` with the `nth` call to the kernel failing, and, as after a crash, all later ones too when
 * `forGood` is set. @returns whether it came that far.
 */
async function withFault(
  nth: number,
  forGood: boolean,
  work: () => Promise<unknown>,
): Promise<boolean> {
  let calls = 0
  const prototype = NetlinkSocket.prototype as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >
  const originals = verbs.map((verb) => prototype[verb]!)
  const fail = (): boolean => ++calls === nth || (forGood && calls > nth)
  verbs.forEach((verb, i) => {
    prototype[verb] = function (this: unknown, ...args: unknown[]) {
      if (fail()) throw new NetlinkError(EBUSY, 'made up')
      return originals[i]!.apply(this, args)
    }
  })
  try {
    await work()
  } catch (error) {
    if (!(error instanceof OverlayError) || !error.message.includes('EBUSY')) throw error
  } finally {
    verbs.forEach((verb, i) => (prototype[verb] = originals[i]!))
  }
  return calls >= nth
}

describe('a Linux kernel that does not play along', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let links: OverlayLinks
  const endpoint = endpointLink('e1', '02:42:0a:1e:00:0a' as Mac, { ips: ['10.30.0.10' as Ip] })

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`faults of a Linux kernel skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    // The fast path fails no verb: see fast-path.test.ts.
    host = await (await LabUnderlay.create(lab, false)).addHost()
    links = await host.links('uber-net', 5001)
  })

  afterEach(async () => {
    await host.close()
    lab.close()
  })

  async function messageOf(work: Promise<unknown>): Promise<string> {
    try {
      await work
      return 'no error'
    } catch (error) {
      return (error as Error).message
    }
  }

  const whole = async (dataplane: Dataplane): Promise<void> => {
    await dataplane.ensureOverlay(links)
    await dataplane.ensureEndpoint('uber-net', endpoint)
    const { endpointId, mac, mtu } = endpoint
    const ips = endpoint.addresses.map(({ ip }) => ip)
    const actual = await dataplane.dump('uber-net')
    expect(actual).to.deep.include({
      endpoints: [{ endpointId, mac, mtu, ips, portConfigured: true, inHostNetns: true }],
    })
    expect(await dataplane.ensureOverlay(links)).to.deep.equal([])
    expect((await dataplane.ensureEndpoint('uber-net', endpoint)).changed).to.deep.equal([])
  }

  it('takes a bug of ours for none of its own', async () => {
    const prototype = NetlinkSocket.prototype as unknown as Record<string, unknown>
    const original = prototype['send']
    const bug = new TypeError('made up')
    prototype['send'] = () => {
      throw bug
    }
    try {
      const caught = host.dataplane.ensureOverlay(links).catch((error: unknown) => error)
      expect(await caught).to.equal(bug)
    } finally {
      prototype['send'] = original
    }
  })

  it('has made all of an overlay or nothing, whichever call fails', async () => {
    const { dataplane } = host
    let reached = true
    for (let nth = 1; reached; nth++) {
      reached = await withFault(nth, false, () => dataplane.ensureOverlay(links))
      const isThere = (await dataplane.overlays()).length > 0
      expect(isThere, `call ${nth}`).to.equal(!reached)
      if (!isThere) expect(await host.leftovers(), `call ${nth}`).to.deep.equal([])
    }
    await whole(dataplane)
  })

  it('has made all of an endpoint or nothing, whichever call fails', async () => {
    const { dataplane } = host
    await dataplane.ensureOverlay(links)
    let reached = true
    for (let nth = 1; reached; nth++) {
      reached = await withFault(nth, false, () => dataplane.ensureEndpoint('uber-net', endpoint))
      const { endpoints } = (await dataplane.dump('uber-net'))!
      expect(endpoints, `call ${nth}`).to.have.length(reached ? 0 : 1)
      expect(await host.leftovers(), `call ${nth}`).to.have.length(reached ? 1 : 2)
    }
    await whole(dataplane)
  })

  it('ends up with all of it after a crash at any call', async () => {
    const options = { directory: host.directory, logger: silentLogger, hostNetns: host.netns }
    let reached = true
    for (let nth = 1; reached; nth++) {
      const before = new LinuxDataplane(options)
      await before.start()
      reached = await withFault(nth, true, async () => {
        await before.ensureOverlay(links)
        await before.ensureEndpoint('uber-net', endpoint)
      })
      await before.close()
      const after = new LinuxDataplane(options)
      await after.start()
      await whole(after)
      await after.removeOverlay('uber-net')
      expect(await host.leftovers(), `call ${nth}`).to.deep.equal([])
      await after.close()
    }
  })

  it('ends up with nothing after a removal that failed at any call', async () => {
    const { dataplane } = host
    for (const verb of ['endpoint', 'overlay']) {
      let reached = true
      for (let nth = 1; reached; nth++) {
        await whole(dataplane)
        const remove = () =>
          verb === 'endpoint'
            ? dataplane.removeEndpoint('uber-net', 'e1')
            : dataplane.removeOverlay('uber-net')
        reached = await withFault(nth, false, remove)
        await remove()
        expect(await host.leftovers(), `call ${nth}`).to.have.length(verb === 'endpoint' ? 1 : 0)
      }
    }
  })

  it('does not touch foreign links of our names, and says how to remove them', async () => {
    const { dataplane } = host
    await dataplane.ensureOverlay(links)
    const name = sourceNameOf('uber-net', 'e1')
    await lab.run(host.netns, 'ip', 'link', 'add', name, 'type', 'bridge')
    const first = await messageOf(dataplane.ensureEndpoint('uber-net', endpoint))
    expect(first).to.include('not ours').and.include(`ip link delete ${name}`)
    await dataplane.removeEndpoint('uber-net', 'e1')
    await lab.run(host.netns, 'ip', 'link', 'del', name)

    const pin = host.pin('uber-net')
    const port = portNameOf('uber-net', 'e1')
    await lab.run(pin, 'ip', 'link', 'add', port, 'type', 'bridge')
    const second = await messageOf(dataplane.ensureEndpoint('uber-net', endpoint))
    expect(second).to.include('not ours').and.include(`nsenter --net=${pin} ip link delete ${port}`)
    await lab.run(pin, 'ip', 'link', 'del', port)
    await lab.run(pin, 'ip', 'link', 'set', 'vxlan0', 'alias', 'mine')
    const third = await messageOf(dataplane.ensureOverlay(links))
    expect(third).to.include('not ours').and.include(`nsenter --net=${pin} ip link delete vxlan0`)
  })

  it('sweeps away what a crash or a reboot left half made', async () => {
    const { dataplane, directory, netns } = host
    await whole(dataplane)
    await dataplane.close()
    writeFileSync(join(directory, 'empty'), '')
    NetnsLab.pinNew(join(directory, 'bare'))
    const odd = join(directory, 'odd')
    writeFileSync(odd, '')
    await lab.run('/proc/self/ns/net', 'mount', '--bind', '/proc/self/ns/uts', odd)
    const pin = host.pin('uber-net')
    const veth = ['name', 'half', 'group', String(linkGroup), 'type', 'veth']
    await lab.run(pin, 'ip', 'link', 'add', ...veth, 'peer', 'name', 'half2', 'netns', netns)
    await dataplane.start()
    const source = sourceNameOf('uber-net', 'e1')
    expect(await host.leftovers()).to.have.members([source, 'odd', basename(pin)])
    expect(await dataplane.overlays()).to.deep.equal(['uber-net'])
    expect(await lab.json(pin, 'ip', 'link', 'show', 'type', 'veth')).to.have.length(1)
    await whole(dataplane)
  })

  it('tells a UDP port that somebody else has', async () => {
    const script = `const s = require('dgram').createSocket('udp4').bind(4789, () => console.log('bound')); setTimeout(() => s.close(), 3000)`
    const user = execa('nsenter', [`--net=${host.netns}`, process.execPath, '-e', script])
    try {
      await once(user.stdout, 'data')
      const message = await messageOf(host.dataplane.ensureOverlay(links))
      expect(message).to.include('EADDRINUSE').and.include('4789')
      expect(await host.leftovers()).to.deep.equal([])
    } finally {
      user.kill()
      await user.catch(() => {})
    }
  })
})
