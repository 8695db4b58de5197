import { basename, resolve } from 'node:path'
import { expect } from 'chai'
import { execa, execaSync } from 'execa'
import { systemClock } from '../../src/base/clock.ts'
import { failure, messageOf } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { EndpointLink, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { PeeredReconciler } from '../support/peered-reconciler.ts'
import type { Ip } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import { LabUnderlay, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'
import { endpointLink } from '../support/endpoint-link.ts'

type ScanArgs = Parameters<NetlinkSocket['scan']>

const obstacle = NetnsLab.obstacle()
const sysctl = resolve(import.meta.dirname, '../../src/dataplane/linux/netns/netns.ts')

describe('a veth pair that is recreated in its sandbox', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let links: OverlayLinks
  let dataplane: LinuxDataplane
  let container: string
  let warnings: string[]
  const ips = ['10.30.0.10', 'fd00:30::10'] as Ip[]

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`recreation of veth pairs skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await (await LabUnderlay.create(lab)).addHost()
    links = await host.links('uber-net', 5001)
    warnings = []
    const warn = (message: string): unknown => warnings.push(message)
    dataplane = new LinuxDataplane({
      directory: host.directory,
      hostNetns: host.netns,
      sandboxDirectory: lab.directory,
      logger: { ...silentLogger, warn },
    })
    await dataplane.start()
    await dataplane.ensureOverlay(links)
    container = await lab.namespace('c')
    // As the engine does with every container.
    const off = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
    await lab.run(container, 'sh', '-c', off)
  })
  afterEach(async () => {
    await dataplane.close()
    await host.close()
    lab.close()
  })

  const endpoint = (mtu: number): EndpointLink => ({
    ...endpointLink('e1', macOfIp(ips[0]!), { ips, mtu }),
    sandboxKey: '/var/run/docker/netns/c',
  })
  const addresses = async (): Promise<string[]> => {
    const [link] = await lab.json(container, 'ip', 'addr', 'show', 'eth0')
    return link!.addr_info!.map(({ local, prefixlen }) => `${local}/${prefixlen}`)
  }

  it('has its IPv6 address again, although IPv6 is off in the container', async () => {
    expect(await dataplane.restoreEndpoint('uber-net', endpoint(links.mtu))).to.equal('repaired')
    expect(await addresses()).to.include.members(['10.30.0.10/16', 'fd00:30::10/64'])
    expect(warnings).to.deep.equal([])
    expect(await lab.ping(container, '10.30.0.1')).to.equal(true)
  })

  it('has its IPv4 address where there can be no IPv6, and that is logged', async () => {
    expect(await dataplane.restoreEndpoint('uber-net', endpoint(1000))).to.equal('repaired')
    expect(await addresses()).to.deep.equal(['10.30.0.10/16'])
    expect(warnings).to.have.length(1)
    expect(warnings[0]).to.include('endpoint e1').and.include('IPv6 only after a restart')
  })

  it('is there again when the first try was broken off half way, cleaned up after or not', async () => {
    const prototype = NetlinkSocket.prototype as { send: NetlinkSocket['send'] }
    const original = prototype.send
    for (const isCleanedUp of [true, false]) {
      let isLost = false
      prototype.send = function (requests) {
        const { what } = requests[0]!
        if (isLost && !isCleanedUp && what?.startsWith('removing')) return new Map()
        const errors = original.call(this, requests)
        if (isLost || !what?.startsWith('creating veth pair')) return errors
        isLost = true
        throw failure('KERNEL', 'netlink: answers were lost')
      }
      try {
        const lost = dataplane.restoreEndpoint('uber-net', endpoint(links.mtu))
        expect(messageOf(await lost.catch((error: unknown) => error))).to.include('lost')
      } finally {
        prototype.send = original
      }
      const left = (await lab.json(container, 'ip', 'link', 'show')).map(({ ifname }) => ifname)
      expect(left).to.deep.equal(isCleanedUp ? ['lo'] : ['lo', 'eth0'])
      expect(await dataplane.restoreEndpoint('uber-net', endpoint(links.mtu))).to.equal('repaired')
      expect(await addresses()).to.include.members(['10.30.0.10/16', 'fd00:30::10/64'])
      expect(await lab.ping(container, '10.30.0.1')).to.equal(true)
      await dataplane.removeEndpoint('uber-net', 'e1')
    }
  })

  it('is the only one when the old one goes while the overlay is read, and no row of it is lost', async () => {
    const { mac } = endpoint(links.mtu)
    const reconciler = new PeeredReconciler({ dataplane, clock: systemClock, logger: silentLogger })
    const wanted = endpoint(links.mtu)
    await reconciler.attachOverlay(links)
    const { sourceName } = await reconciler.attachEndpoint('uber-net', wanted)
    const move = ['ip', 'link', 'set', sourceName, 'netns', container, 'name', 'eth0']
    await lab.run(host.netns, ...move)
    const peers = Array.from({ length: 3000 }, (_, n) => {
      const ip = `10.30.${100 + (n >> 8)}.${n & 255}` as Ip
      const claim = { vni: links.vni, origin: 'm', endpointId: `p${n}`, claimedAt: 1, live: true }
      return { ...claim, ips: [ip], mac: macOfIp(ip), vtep: '192.168.200.9' as Ip }
    })
    reconciler.applyPeers(peers.map((next) => ({ previous: null, next })))
    await reconciler.audit()
    const prototype = NetlinkSocket.prototype as { scan: (...args: ScanArgs) => Promise<void> }
    const original = prototype.scan
    let messages = 0
    prototype.scan = function (request, take) {
      return original.call(this, request, (message) => {
        if (++messages === 1000)
          execaSync('nsenter', [`--net=${container}`, 'ip', 'link', 'del', 'eth0'])
        take(message)
      })
    }
    try {
      const [report] = await reconciler.audit()
      expect(report!.drift).to.deep.equal({
        links: 0,
        endpoints: 1,
        fdb: 0,
        neighbours: 0,
        sources: 0,
      })
    } finally {
      prototype.scan = original
      await reconciler.stop()
    }
    const [link] = await lab.json(container, 'ip', 'link', 'show', 'eth0')
    expect(link!.address).to.equal(mac)
    expect(await host.leftovers()).to.deep.equal([basename(host.pin('uber-net'))])
  })

  it('gets that setting where /proc/sys is read-only, as in a container, and stays so', async () => {
    const script = [
      'mount --bind /proc/sys /proc/sys',
      'mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys',
      `"$0" --conditions=source -e 'import("${sysctl}").then((s) => s.writeNetSysctl("ipv6/conf/lo/disable_ipv6", "0"))'`,
      'cat /proc/sys/net/ipv6/conf/lo/disable_ipv6',
      'findmnt -n -o OPTIONS /proc/sys | cut -d, -f1',
    ].join(' && ')
    const args = ['--mount', `nsenter`, `--net=${container}`, 'sh', '-c', script, process.execPath]
    const { stdout } = await execa('unshare', args)
    expect(stdout).to.equal('0\nro')
  })
})
