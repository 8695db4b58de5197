import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { execa } from 'execa'
import type { OverlayLinks } from '../../src/dataplane/dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import { LabUnderlay, type LabContainer, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'
import { endpointLink } from '../support/endpoint-link.ts'

const obstacle = NetnsLab.obstacle()

for (const fastPath of [true, false])
  describe(`traffic between hosts, ${fastPath ? 'past' : 'by'} the bridge`, function () {
    this.timeout(30_000)
    let lab: NetnsLab
    let underlay: LabUnderlay
    let hosts: LabHost[] = []

    before(function () {
      if (obstacle === null) return
      process.stdout.write(`traffic between hosts skipped: ${obstacle}\n`)
      this.skip()
    })

    beforeEach(async () => {
      lab = await NetnsLab.create()
      underlay = await LabUnderlay.create(lab, fastPath)
      hosts = []
    })

    afterEach(async () => {
      for (const host of hosts) await host.close()
      lab.close()
    })

    async function plug(count: number, mtu?: number): Promise<void> {
      for (let i = 0; i < count; i++) hosts.push(await underlay.addHost(mtu))
    }

    async function attach(
      host: LabHost,
      overlayId: string,
      vni: number,
      vtep?: Ip,
    ): Promise<OverlayLinks> {
      const links = await host.links(overlayId, vni, vtep)
      await host.dataplane.ensureOverlay(links)
      return links
    }

    const ipOf = (n: number): Ip => `10.30.0.${n}` as Ip

    /** One container on each host, all told of all. */
    async function meshed(overlayId: string, vni: number, offset = 10): Promise<LabContainer[]> {
      const containers: LabContainer[] = []
      for (const [i, host] of hosts.entries()) {
        const links = await attach(host, overlayId, vni)
        containers.push(await host.startContainer(links, ipOf(offset + i)))
      }
      for (const [i, host] of hosts.entries())
        for (const [j, container] of containers.entries())
          if (i !== j) await host.learn(container, hosts[j]!.vtep)
      return containers
    }

    async function packets(netns: string, device: string, way: 'rx' | 'tx'): Promise<number> {
      const [link] = await lab.json(netns, 'ip', '-statistics', 'link', 'show', device)
      return link!.stats64[way].packets
    }

    it('passes between all containers of three hosts, the first packet too', async () => {
      await plug(3)
      const containers = await meshed('uber-net', 5001)
      for (const from of containers)
        for (const to of containers)
          if (from !== to)
            expect(await lab.ping(from.netns, to.ip), `${from.ip} to ${to.ip}`).to.equal(true)
      for (const host of hosts) {
        const { traffic } = (await host.dataplane.dump('uber-net'))!
        for (const { frames, bytes } of [traffic!.sent, traffic!.received]) {
          // A request to and an answer for each of the others, 84 bytes without the frame.
          expect(frames).to.be.at.least(4)
          expect(bytes).to.be.at.least(4 * 84)
        }
      }
    })

    it('passes between containers of one host, and to the gateway', async () => {
      await plug(1)
      const [host] = hosts
      const links = await attach(host!, 'uber-net', 5001)
      const a = await host!.startContainer(links, ipOf(10))
      const b = await host!.startContainer(links, ipOf(11))
      expect(await lab.ping(a.netns, b.ip)).to.equal(true)
      expect(await lab.ping(b.netns, a.ip)).to.equal(true)
      expect(await lab.ping(a.netns, '10.30.0.1')).to.equal(true)
    })

    it('passes IPv6 in the overlay, over an IPv6 underlay too', async () => {
      await plug(2)
      for (const underlayFamily of [4, 6]) {
        const containers: LabContainer[] = []
        for (const [i, host] of hosts.entries()) {
          const vtep = underlayFamily === 4 ? host.vtep : host.vtep6
          const links = await host.links(`net${underlayFamily}`, 5000 + underlayFamily, vtep)
          await host.dataplane.ensureOverlay({ ...links, gateways: ['fd00:30::1/64'] })
          containers.push(await host.startContainer(links, `fd00:30::1${i}` as Ip))
        }
        const [a, b] = containers
        const vteps = hosts.map((host) => (underlayFamily === 4 ? host.vtep : host.vtep6))
        await hosts[0]!.learn(b!, vteps[1]!)
        await hosts[1]!.learn(a!, vteps[0]!)
        expect(await lab.ping(a!.netns, b!.ip), `over IPv${underlayFamily}`).to.equal(true)
        expect(await lab.ping(b!.netns, a!.ip), `over IPv${underlayFamily}`).to.equal(true)
        expect(await lab.ping(b!.netns, 'fd00:30::1'), 'the gateway').to.equal(true)
      }
    })

    it('does not pass from one overlay to another, on the same addresses or others', async () => {
      await plug(2)
      const red = await meshed('red', 5001)
      const blue = await meshed('blue', 5002)
      const other = await meshed('green', 5003, 50)
      for (const [from, to] of [
        [red[0]!, blue[1]!],
        [blue[1]!, red[0]!],
      ] as const) {
        const before = await packets(to.netns, 'eth0', 'rx')
        expect(await lab.ping(from.netns, to.ip)).to.equal(true)
        expect(await packets(to.netns, 'eth0', 'rx'), 'answered by its own overlay').to.equal(
          before,
        )
      }
      expect(await lab.ping(red[0]!.netns, other[0]!.ip)).to.equal(false)
      expect(await lab.ping(red[0]!.netns, other[1]!.ip)).to.equal(false)
    })

    it('takes packets of the full MTU whole and none that is larger', async () => {
      for (const mtu of [1500, 1420, 9000]) {
        const first = hosts.length
        await plug(2, mtu)
        const [near, far] = hosts.slice(first)
        const links = await attach(near!, `net${mtu}`, mtu)
        await attach(far!, `net${mtu}`, mtu)
        const a = await near!.startContainer(links, ipOf(10))
        const b = await far!.startContainer(links, ipOf(11))
        await near!.learn(b, far!.vtep)
        await far!.learn(a, near!.vtep)
        expect(links.mtu).to.equal(mtu - 50)
        expect(await lab.ping(a.netns, b.ip, mtu - 50)).to.equal(true)
        expect(await lab.ping(a.netns, b.ip, mtu - 49)).to.equal(false)
      }
    })

    it('follows an address that moves to another host', async () => {
      await plug(3)
      const [a, b, c] = await meshed('uber-net', 5001)
      expect(await lab.ping(a!.netns, c!.ip)).to.equal(true)
      await hosts[2]!.stopContainer(c!)
      const moved = await hosts[1]!.startContainer(await hosts[1]!.links('uber-net', 5001), c!.ip)
      await hosts[1]!.learn(c!, hosts[2]!.vtep, 'remove')
      await hosts[0]!.learn(moved, hosts[1]!.vtep)
      expect(await lab.ping(a!.netns, moved.ip)).to.equal(true)
      expect(await lab.ping(b!.netns, moved.ip)).to.equal(true)
    })

    it('shows a container only what is for it', async () => {
      await plug(2)
      const [a, b] = await meshed('uber-net', 5001)
      const links = await hosts[0]!.links('uber-net', 5001)
      const witness = await hosts[0]!.startContainer(links, ipOf(99))
      await hosts[1]!.learn(witness, hosts[0]!.vtep)
      expect(await lab.ping(a!.netns, b!.ip)).to.equal(true)
      const before = await packets(witness.netns, 'eth0', 'rx')
      for (let i = 0; i < 3; i++) expect(await lab.ping(a!.netns, b!.ip)).to.equal(true)
      // A station that exists nowhere: it leaves by the tunnel device and ends there.
      await lab.run(
        a!.netns,
        'ip',
        'neigh',
        'add',
        '10.30.9.9',
        'lladdr',
        '02:99:99:99:99:99',
        'dev',
        'eth0',
      )
      expect(await lab.ping(a!.netns, '10.30.9.9')).to.equal(false)
      expect(await packets(witness.netns, 'eth0', 'rx')).to.equal(before)
    })

    it('sends no broadcast and no unknown station over the underlay', async () => {
      await plug(2)
      const [a, b] = await meshed('uber-net', 5001)
      const [here, there] = hosts.map((host) => host.pin('uber-net'))
      const sent = await packets(here!, 'vxlan0', 'tx')
      const arrived = await packets(there!, 'vxlan0', 'rx')
      const nobody = ['10.30.9.9', 'lladdr', '02:99:99:99:99:99', 'dev', 'eth0']
      await lab.run(a!.netns, 'ip', 'neigh', 'add', ...nobody)
      for (const address of ['10.30.9.8', '10.30.9.9'])
        expect(await lab.ping(a!.netns, address)).to.equal(false)
      expect(await packets(here!, 'vxlan0', 'tx')).to.equal(sent)
      expect(await packets(there!, 'vxlan0', 'rx')).to.equal(arrived)
      expect(await lab.ping(a!.netns, b!.ip)).to.equal(true)
      expect(await packets(here!, 'vxlan0', 'tx')).to.equal(sent + 1)
      expect(await packets(there!, 'vxlan0', 'rx')).to.equal(arrived + 1)
    })

    it('goes on while no data plane runs, and through a new one', async () => {
      await plug(2)
      const [a, b] = await meshed('uber-net', 5001)
      for (const host of hosts) await host.dataplane.close()
      expect(await lab.ping(a!.netns, b!.ip)).to.equal(true)
      for (const host of hosts) {
        await host.dataplane.start()
        expect(
          await host.dataplane.ensureOverlay(await host.links('uber-net', 5001)),
        ).to.deep.equal([])
      }
      expect(await lab.ping(a!.netns, b!.ip)).to.equal(true)
    })

    it('loses nothing while rows are written again and again', async () => {
      await plug(2)
      const [a, b] = await meshed('uber-net', 5001)
      const args = [`--net=${a!.netns}`, 'ping', '-q', '-i', '0.01', '-c', '100', b!.ip]
      const pinging = execa('nsenter', args)
      for (let writes = 0; writes < 400; writes++) {
        await hosts[0]!.learn(b!, hosts[1]!.vtep)
        await hosts[1]!.learn(a!, hosts[0]!.vtep)
        await sleep(2)
      }
      expect((await pinging).stdout).to.include('100 received, 0% packet loss')
    })

    it('gives other work its turn between the removals of many links at once', async () => {
      await plug(1)
      const [host] = hosts
      const overlays = Array.from({ length: 4 }, (_, n) => `net${n}`)
      for (const [n, overlayId] of overlays.entries()) {
        await attach(host!, overlayId, 5001 + n)
        const link = endpointLink('e', macOfIp(ipOf(10)), { mtu: 1400 })
        await host!.dataplane.ensureEndpoint(overlayId, link)
      }
      let turns = 0
      const turn = (): void => {
        turns++
        pending = setImmediate(turn)
      }
      let pending = setImmediate(turn)
      await Promise.all([
        ...overlays.map((overlayId) => host!.dataplane.removeEndpoint(overlayId, 'e')),
        ...overlays.map((overlayId) => host!.dataplane.removeOverlay(overlayId)),
      ])
      clearImmediate(pending)
      expect(turns).to.be.at.least(2 * overlays.length - 1)
      expect(await host!.leftovers()).to.deep.equal([])
    })

    it('leaves nothing behind', async () => {
      await plug(2)
      const containers = await meshed('uber-net', 5001)
      for (const [i, host] of hosts.entries()) {
        expect(await host.leftovers()).to.have.length(1)
        await host.stopContainer(containers[i]!)
        await host.dataplane.removeOverlay('uber-net')
        expect(await host.leftovers()).to.deep.equal([])
        expect(await lab.json(host.netns, 'ip', 'link', 'show', 'type', 'vxlan')).to.deep.equal([])
      }
    })
  })
