import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import type { RowChange } from '../../src/dataplane/dataplane.ts'
import { libc } from '../../src/dataplane/linux/netlink/syscall.ts'
import type { Peer } from '../../src/net/endpoint.ts'
import { PeeredReconciler } from '../support/peered-reconciler.ts'
import type { Ip } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
/** From <asm/socket.h>. */
const SO_RCVBUFFORCE = 33
/** The least that the kernel grants is about that. */
const smallBufferBytes = 2304

describe('a netlink socket that overflows while rows are written', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  const setsockopt = libc.setsockopt

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`overflows of netlink skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await LabHost.alone(lab)
  })
  afterEach(async () => {
    libc.setsockopt = setsockopt
    await host.close()
    lab.close()
  })

  /** All sockets that are opened from now on have room for a few answers. */
  function shrinkBuffers(): void {
    libc.setsockopt = ((fd: number, level: number, name: number, value: Buffer, length: number) => {
      if (name === SO_RCVBUFFORCE) value.writeInt32LE(smallBufferBytes)
      return setsockopt(fd, level, name, value, length) as number
    }) as typeof setsockopt
  }

  it('leads to an audit, which repairs what was not known', async () => {
    shrinkBuffers()
    const { dataplane } = host
    const links = await host.links('uber-net', 5001)
    const [clock, warnings] = [new VirtualClock(), [] as string[]]
    const warn = (message: string): unknown => warnings.push(message)
    const reconciler = new PeeredReconciler({ dataplane, clock, logger: { ...silentLogger, warn } })
    const peers = Array.from({ length: 300 }, (_, n): Peer => {
      const ip = `10.30.${100 + (n >> 8)}.${n & 255}` as Ip
      const claim = { vni: links.vni, origin: 'm', endpointId: `p${n}`, claimedAt: 1, live: true }
      return { ...claim, ips: [ip], mac: macOfIp(ip), vtep: '192.168.200.9' as Ip }
    })
    const [staying, going] = [peers.slice(0, 5), peers.slice(5)]
    reconciler.applyPeers(peers.map((next) => ({ previous: null, next })))
    await reconciler.attachOverlay(links)
    expect((await dataplane.dump('uber-net'))!.fdb).to.have.length(300)

    // Somebody empties the tables, and each row that is to go from now on is refused with an answer of its own.
    const removed = peers.flatMap(({ ips, mac, vtep }): RowChange[] => [
      { op: 'remove', kind: 'fdb', mac, vtep },
      { op: 'remove', kind: 'neighbour', ip: ips[0]!, mac },
    ])
    expect(await dataplane.apply('uber-net', removed)).to.deep.equal([])
    await lab.run(host.pin('uber-net'), 'ip', 'link', 'set', 'br0', 'down')
    expect((await dataplane.dump('uber-net'))!.fdb).to.deep.equal([])
    reconciler.applyPeers(going.map((previous) => ({ previous, next: null })))
    await clock.advance(10)
    expect(reconciler.status().overlays[0]!.lastError).to.include('were lost (ENOBUFS)')

    await clock.advance(200)
    const { fdb, neighbours } = (await dataplane.dump('uber-net'))!
    const rows = staying.map(({ mac, vtep }) => ({ mac, vtep }))
    expect(fdb).to.have.deep.members(rows)
    expect(neighbours).to.have.deep.members(staying.map(({ ips, mac }) => ({ ip: ips[0]!, mac })))
    const { overlays, drift } = reconciler.status()
    expect(overlays[0]).to.deep.include({ settled: true, lastError: null, fdb: 5, neighbours: 5 })
    expect(drift).to.deep.equal({ links: 1, endpoints: 0, fdb: 5, neighbours: 5, sources: 0 })
    expect(warnings.join()).to.include('ENOBUFS').and.include('had drifted and was repaired')
    await reconciler.stop()
  })
})
