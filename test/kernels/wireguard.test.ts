import { expect } from 'chai'
import { execaSync } from 'execa'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import type { WireGuardPeer } from '../../src/dataplane/wireguard.ts'
import type { Ip } from '../../src/net/ip.ts'
import { wireGuardContract } from '../contract/wireguard.contract.ts'
import { type LabContainer, type LabHost, LabUnderlay } from '../netns/lab-host.ts'
import { NetnsLab } from '../netns/netns-lab.ts'
import { newWireGuardKeys } from '../../src/dataplane/reconcile/key-rotation.ts'

/** Whether this kernel has WireGuard; asking for a device loads the module. */
function hasWireGuard(): boolean {
  const made = execaSync('unshare', ['--net', 'ip', 'link', 'add', 'w', 'type', 'wireguard'], {
    reject: false,
  })
  return !made.failed
}

/** What was sent on the underlay, in a host's namespace, by UDP port. */
const counters = `table inet sent {
  counter clear {}
  counter encrypted {}
  chain out {
    type filter hook postrouting priority 300;
    oif "eth0" udp dport 4789 counter name clear
    oif "eth0" udp dport 51820 counter name encrypted
  }
}`

interface EncryptedHost {
  readonly host: LabHost
  readonly keys: ReturnType<typeof newWireGuardKeys>
}

describe('WireGuard of a Linux kernel', function () {
  this.timeout(0)

  before(function () {
    if (hasWireGuard()) return
    process.stdout.write('WireGuard skipped: this kernel has none\n')
    this.skip()
  })

  describe('as the port has it', () => {
    wireGuardContract(async () => {
      const lab = await NetnsLab.create()
      const hostNetns = await lab.namespace('host')
      const options = { directory: lab.folder('pins'), logger: silentLogger, hostNetns }
      const opened: LinuxDataplane[] = []
      const start = async (): Promise<LinuxDataplane['wireGuard']> => {
        const dataplane = new LinuxDataplane(options)
        opened.push(dataplane)
        await dataplane.start()
        return dataplane.wireGuard
      }
      const close = async (): Promise<void> => {
        for (const dataplane of opened) await dataplane.close()
        lab.close()
      }
      return { wireGuard: await start(), restart: start, close }
    })
  })

  describe('under the tunnels of an encrypted overlay', () => {
    let lab: NetnsLab
    let hosts: EncryptedHost[]
    let containers: LabContainer[]
    const [psk, otherPsk] = [1, 2].map((n) => Buffer.alloc(32, n).toString('base64'))

    const peerOf = (other: EncryptedHost, presharedKey = psk!): WireGuardPeer => ({
      publicKey: other.keys.publicKey,
      presharedKey,
      endpoint: { ip: other.host.vtep, port: 51_820 },
      vtep: other.host.vtep,
      keepaliveSeconds: 0,
    })

    async function sent(host: LabHost): Promise<{ clear: number; encrypted: number }> {
      const text = await lab.run(host.netns, 'nft', '-j', 'reset', 'counters')
      const { nftables } = JSON.parse(text) as {
        nftables: { counter?: { name: string; packets: number } }[]
      }
      const count = (name: string): number =>
        nftables.find(({ counter }) => counter?.name === name)!.counter!.packets
      return { clear: count('clear'), encrypted: count('encrypted') }
    }

    before(async () => {
      lab = await NetnsLab.create()
      const underlay = await LabUnderlay.create(lab)
      hosts = []
      containers = []
      for (const n of [1, 2]) {
        const host = await underlay.addHost()
        await lab.run(host.netns, 'nft', counters)
        const keys = newWireGuardKeys()
        const { vtep } = host
        await host.dataplane.wireGuard.ensure({ ...keys, listenPort: 51_820, vtep, mtu: 1440 })
        const links = { ...(await host.links('secret', 5001)), mtu: 1390 }
        await host.dataplane.ensureOverlay({ ...links, encrypted: true })
        containers.push(await host.startContainer(links, `10.30.0.${10 + n}` as Ip))
        hosts.push({ host, keys })
      }
      const [a, b] = hosts
      await a!.host.learn(containers[1]!, b!.host.vtep)
      await b!.host.learn(containers[0]!, a!.host.vtep)
    })

    after(async () => {
      for (const { host } of hosts) await host.close()
      lab.close()
    })

    const ping = (size?: number): Promise<boolean> =>
      lab.ping(containers[0]!.netns, containers[1]!.ip, size)

    it('sends nothing at all while it has no peers', async () => {
      expect(await ping()).to.equal(false)
      expect(await sent(hosts[0]!.host)).to.deep.equal({ clear: 0, encrypted: 0 })
    })

    it('passes packets of 1390 bytes and none in the clear', async () => {
      const [a, b] = hosts
      await a!.host.dataplane.wireGuard.setPeers(() => [peerOf(b!)])
      await b!.host.dataplane.wireGuard.setPeers(() => [peerOf(a!)])
      expect(await ping(), 'the handshake').to.equal(true)
      expect(await ping(1390)).to.equal(true)
      const { clear, encrypted } = await sent(a!.host)
      expect(clear).to.equal(0)
      expect(encrypted).to.be.greaterThan(0)
    })

    it('keeps a plain overlay beside it as it was', async () => {
      const plain: LabContainer[] = []
      for (const [i, { host }] of hosts.entries()) {
        const links = await host.links('plain', 5002)
        await host.dataplane.ensureOverlay(links)
        plain.push(await host.startContainer(links, `10.30.0.${50 + i}` as Ip))
      }
      await hosts[0]!.host.learn(plain[1]!, hosts[1]!.host.vtep)
      await hosts[1]!.host.learn(plain[0]!, hosts[0]!.host.vtep)
      await sent(hosts[0]!.host)
      expect(await lab.ping(plain[0]!.netns, plain[1]!.ip)).to.equal(true)
      expect((await sent(hosts[0]!.host)).clear).to.be.greaterThan(0)
      expect(await ping()).to.equal(true)
      expect((await sent(hosts[0]!.host)).clear).to.equal(0)
    })

    it('takes a new preshared key on both sides', async () => {
      const [a, b] = hosts
      await a!.host.dataplane.wireGuard.setPeers(() => [peerOf(b!, otherPsk)])
      await b!.host.dataplane.wireGuard.setPeers(() => [peerOf(a!, otherPsk)])
      expect(await ping()).to.equal(true)
    })

    it('goes on without the process, and is as it was after a restart', async () => {
      const [a] = hosts
      await a!.host.dataplane.close()
      expect(await ping()).to.equal(true)
      await a!.host.dataplane.start()
      expect((await a!.host.dataplane.wireGuard.dump())?.peers).to.have.length(1)
      expect(await ping()).to.equal(true)
    })

    it('sends nothing in the clear whatever is taken away', async () => {
      const [a, b] = hosts
      const { wireGuard } = a!.host.dataplane
      await sent(a!.host)
      await wireGuard.setPeers(() => [])
      expect(await ping(), 'no peer').to.equal(false)
      expect(await sent(a!.host), 'no peer').to.deep.equal({ clear: 0, encrypted: 0 })
      await wireGuard.setPeers(() => [{ ...peerOf(b!), publicKey: newWireGuardKeys().publicKey }])
      expect(await ping(), 'a wrong key').to.equal(false)
      expect((await sent(a!.host)).clear, 'a wrong key').to.equal(0)
      await wireGuard.remove()
      expect(await ping(), 'no device').to.equal(false)
      expect(await sent(a!.host), 'no device').to.deep.equal({ clear: 0, encrypted: 0 })
    })
  })
})
