import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { execa } from 'execa'
import { systemClock } from '../../src/base/clock.ts'
import { Findings } from '../../src/base/findings.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Encryption } from '../../src/dataplane/reconcile/encryption.ts'
import { type WireGuardKeys, newWireGuardKeys } from '../../src/dataplane/reconcile/key-rotation.ts'
import type { EncryptedMember } from '../../src/dataplane/reconcile/wireguard-peers.ts'
import { type Ip, ipBits } from '../../src/net/ip.ts'
import { wireGuardMtu } from '../../src/net/mtu.ts'
import { type LabContainer, type LabHost, LabUnderlay } from '../netns/lab-host.ts'
import { NetnsLab } from '../netns/netns-lab.ts'
import { withoutWireGuard } from './without-wireguard.ts'

const port = 51_820
/** A host whose keys the others hear of at once. */
class EncryptedHost {
  readonly host: LabHost
  readonly vtep: Ip
  readonly encryption: Encryption
  keys: WireGuardKeys = newWireGuardKeys()
  epoch = 1
  readonly members = new Map<Ip, EncryptedMember>()

  constructor(host: LabHost, vtep: Ip, others: () => readonly EncryptedHost[]) {
    this.host = host
    this.vtep = vtep
    this.encryption = new Encryption({
      wireGuard: host.dataplane.wireGuard,
      clock: systemClock,
      logger: silentLogger,
      findings: new Findings(systemClock, silentLogger).room('encryption'),
      vtep,
      listenPort: port,
      mtu: async () => wireGuardMtu(1500, vtep),
      keys: async () => this.keys,
      saveKeys: async (keys) => void (this.keys = keys),
      isWanted: () => true,
      members: () => [...this.members.values()],
      presharedKey: (a, b) =>
        createHash('sha256').update([a, b].sort().join()).update(`${this.epoch}`).digest('base64'),
      isKnown: () => true,
      publish: (keys) => {
        for (const other of others())
          if (other !== this && keys !== null) {
            other.members.set(vtep, { vtep, port, ...keys })
            other.encryption.changed()
          }
      },
    })
  }
}

for (const [underlay, vtepOf, size] of [
  ['IPv4', (host: LabHost) => host.vtep, 1390],
  ['IPv6', (host: LabHost) => host.vtep6, 1350],
] as const)
  describe(`keys of encrypted overlays over ${underlay}`, function () {
    this.timeout(0)
    let lab: NetnsLab
    const hosts: EncryptedHost[] = []
    const containers: LabContainer[] = []

    before(async function () {
      if (withoutWireGuard() !== null) this.skip()
      lab = await NetnsLab.create()
      const network = await LabUnderlay.create(lab)
      for (const n of [1, 2]) {
        const host = await network.addHost()
        // What some distributions set, and new namespaces have from it.
        await lab.run(host.netns, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
        const encrypted = new EncryptedHost(host, vtepOf(host), () => hosts)
        hosts.push(encrypted)
        await encrypted.encryption.start()
        const links = { ...(await host.links('secret', 5001)), vtep: encrypted.vtep, mtu: size }
        await host.dataplane.ensureOverlay({ ...links, encrypted: true })
        containers.push(await host.startContainer(links, `10.30.0.${10 + n}` as Ip))
      }
      const [a, b] = hosts
      await a!.host.learn(containers[1]!, b!.vtep)
      await b!.host.learn(containers[0]!, a!.vtep)
      for (const [from, to] of [
        [a!, b!],
        [b!, a!],
      ] as const) {
        const { publicKey } = to.keys
        from.members.set(to.vtep, { vtep: to.vtep, publicKey, port, spareKey: null })
        from.encryption.changed()
      }
      expect(await until(() => lab.ping(containers[0]!.netns, containers[1]!.ip))).to.equal(true)
    })

    after(async () => {
      for (const { host, encryption } of hosts) {
        await encryption.stop()
        await host.close()
      }
      lab?.close()
      hosts.length = containers.length = 0
    })

    /** Pings every 10 ms while `work` is done. @returns how many were answered, and how many lost. */
    async function pinged(work: () => Promise<void>): Promise<{ answered: number; lost: number }> {
      const [from, to] = containers
      const ping = ['ping', '-n', '-i', '0.01', to!.ip]
      const run = execa('nsenter', [`--net=${from!.netns}`, ...ping], { reject: false })
      await work()
      run.kill('SIGINT')
      const { stdout } = await run
      const sequence = [...stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, n]) => Number(n))
      // The last ones may be under way.
      const answered = new Set(sequence).size
      return { answered, lost: Math.max(...sequence) - answered }
    }

    it('passes packets of full size', async () => {
      const [a, b] = containers
      expect(await lab.ping(a!.netns, b!.ip, size)).to.equal(true)
      expect(ipBits(hosts[0]!.vtep)).to.equal(underlay === 'IPv4' ? 32 : 128)
    })

    it('replaces the private key of a host without losing a ping', async () => {
      const [a, b] = hosts
      const before = a!.keys.publicKey
      const { answered, lost } = await pinged(async () => {
        await a!.encryption.rotate()
        expect(await until(async () => a!.keys.rotation === undefined)).to.equal(true)
      })
      const next = a!.keys.publicKey
      expect(lost, `lost, besides ${answered}`).to.equal(0)
      expect(answered).to.be.greaterThan(100)
      expect(next).to.not.equal(before)
      const peers = (await b!.host.dataplane.wireGuard.dump())!.peers
      expect(peers.map(({ publicKey }) => publicKey)).to.deep.equal([next])
      expect(
        await until(async () => (await b!.host.dataplane.wireGuard.dump('spare')) === null),
      ).to.equal(true)
      expect(await lab.ping(containers[0]!.netns, containers[1]!.ip, size)).to.equal(true)
    })

    it('changes preshared keys, on one side seconds after the other, without losing a ping', async () => {
      const [a, b] = hosts
      const { answered, lost } = await pinged(async () => {
        for (const host of [a!, b!]) {
          await sleep(3000)
          host.epoch++
          host.encryption.changed()
        }
        await sleep(3000)
      })
      expect(lost, `lost, besides ${answered}`).to.equal(0)
      expect(answered).to.be.greaterThan(100)
    })
  })

async function until(check: () => Promise<boolean>): Promise<boolean> {
  for (let n = 0; n < 200; n++) {
    if (await check()) return true
    await sleep(500)
  }
  return false
}
