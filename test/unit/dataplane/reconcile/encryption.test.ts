import { expect } from 'chai'
import { failure } from '../../../../src/base/errors.ts'
import { Findings } from '../../../../src/base/findings.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { MemoryWireGuard } from '../../../../src/dataplane/memory/memory-wireguard.ts'
import { Encryption } from '../../../../src/dataplane/reconcile/encryption.ts'
import type { EncryptedMember } from '../../../../src/dataplane/reconcile/wireguard-peers.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'
import {
  type WireGuardKeys,
  newWireGuardKeys,
} from '../../../../src/dataplane/reconcile/key-rotation.ts'

const keys = newWireGuardKeys()
const member = (n: number): EncryptedMember => {
  const vtep = `192.0.2.${n}` as Ip
  const publicKey = Buffer.alloc(32, n).toString('base64')
  return { publicKey, port: 51_820, vtep, spareKey: null }
}

/** A host's encryption, and the cluster and kernel around it. */
class Host {
  readonly clock = new VirtualClock()
  wireGuard = new MemoryWireGuard()
  keys: WireGuardKeys = keys
  presharedKey: string | null = null
  isWanted = false
  members: EncryptedMember[] = []
  readonly known = new Set<Ip>()
  readonly published: (string | null)[] = []
  readonly findings = new Findings(this.clock, silentLogger)
  readonly events: string[] = []
  encryption = this.newProcess()

  newProcess(): Encryption {
    return (this.encryption = new Encryption({
      wireGuard: this.wireGuard,
      clock: this.clock,
      logger: {
        ...silentLogger,
        warn: (text, fields) => void this.events.push(`${String(fields?.['event'])}: ${text}`),
      },
      findings: this.findings.room('encryption'),
      vtep: '192.0.2.1' as Ip,
      listenPort: 51_820,
      mtu: async () => 1440,
      keys: async () => this.keys,
      saveKeys: async (saved) => void (this.keys = saved),
      presharedKey: () => this.presharedKey,
      isWanted: () => this.isWanted,
      members: () => this.members,
      isKnown: (vtep) => this.known.has(vtep),
      publish: (now) => void this.published.push(now?.publicKey ?? null),
    }))
  }

  async peers(): Promise<string[] | null> {
    const found = await this.wireGuard.dump()
    return found === null ? null : found.peers.map(({ allowed }) => allowed.join()).sort()
  }

  found(): string[] {
    return this.findings.status().list.map(({ code, text }) => `${code}: ${text}`)
  }

  /** Until what changed is written. */
  async settled(): Promise<void> {
    await this.clock.advance(100)
  }
}

describe('encryption', () => {
  let host: Host

  beforeEach(() => {
    host = new Host()
  })
  afterEach(() => host.encryption.stop())

  it('has no device and publishes nothing without an encrypted overlay', async () => {
    host.members = [member(2)]
    await host.encryption.start()
    await host.clock.advance(60_000)
    expect(await host.peers()).to.equal(null)
    expect(host.published).to.deep.equal([])
  })

  it('follows the members that share an encrypted overlay, and ends with the last network', async () => {
    host.isWanted = true
    await host.encryption.start()
    expect(await host.peers()).to.deep.equal([])
    host.members = [member(2), member(3)]
    host.encryption.changed()
    await host.settled()
    expect(await host.peers()).to.deep.equal(['192.0.2.2/32', '192.0.2.3/32'])
    host.known.add(member(2).vtep)
    host.members = [member(3)]
    host.encryption.changed()
    await host.settled()
    expect(await host.peers()).to.deep.equal(['192.0.2.3/32'])
    host.isWanted = false
    host.encryption.changed()
    await host.settled()
    expect(await host.peers()).to.equal(null)
    expect(host.published).to.deep.equal([keys.publicKey, null])
  })

  it('keeps peers after a restart until their members are known, at most ten minutes', async () => {
    host.isWanted = true
    host.members = [member(2), member(3)]
    await host.encryption.start()
    await host.settled()
    await host.encryption.stop()
    host.members = []
    await host.newProcess().start()
    expect(await host.peers()).to.deep.equal(['192.0.2.2/32', '192.0.2.3/32'])
    host.known.add(member(2).vtep)
    host.encryption.changed()
    await host.settled()
    expect(await host.peers()).to.deep.equal(['192.0.2.3/32'])
    await host.clock.advance(11 * 60_000)
    expect(await host.peers()).to.deep.equal([])
  })

  it('gives a new key of a known VTEP its address at once', async () => {
    host.isWanted = true
    host.members = [member(2)]
    await host.encryption.start()
    const renewed = { ...member(2), publicKey: newWireGuardKeys().publicKey }
    host.members = [renewed]
    host.encryption.changed()
    await host.settled()
    const found = (await host.wireGuard.dump())!.peers
    expect(found.map(({ publicKey }) => publicKey)).to.deep.equal([renewed.publicKey])
  })

  it('repairs in an audit what somebody else removed', async () => {
    host.isWanted = true
    host.members = [member(2)]
    await host.encryption.start()
    for (const damage of [() => host.wireGuard.remove(), () => host.wireGuard.setPeers(() => [])]) {
      await damage()
      await host.clock.advance(31_000)
      expect(await host.peers()).to.deep.equal(['192.0.2.2/32'])
    }
    expect(host.events).to.have.length(2)
    expect(host.events[1]).to.equal('drift-repaired: WireGuard had drifted: 1 peers repaired')
    host.members.push(member(3))
    host.encryption.changed()
    await host.settled()
    expect(host.events).to.have.length(2)
  })

  it('finds a peer that is sent packets and does not answer, until it does', async () => {
    host.isWanted = true
    host.members = [member(2), member(3)]
    await host.encryption.start()
    const traffic = new Map<string, { sentBytes: number; receivedBytes: number }>()
    const setPeers = host.wireGuard.setPeers.bind(host.wireGuard)
    host.wireGuard.setPeers = async (wanted, slot) => {
      const { changed, peers } = await setPeers(wanted, slot)
      return { changed, peers: peers.map((peer) => ({ ...peer, ...traffic.get(peer.publicKey) })) }
    }
    const { publicKey } = member(2)
    const audits: [sentBytes: number, receivedBytes: number][] = [
      [32, 92],
      [64, 92],
      [400, 92],
      [400, 92],
      [400, 500],
    ]
    const found: string[][] = []
    for (const [sentBytes, receivedBytes] of audits) {
      traffic.set(publicKey, { sentBytes, receivedBytes })
      await host.clock.advance(30_000)
      found.push(host.found())
    }
    const silent =
      'WIREGUARD_SILENT: WireGuard of the host 192.0.2.2 does not answer: encrypted networks carry nothing there'
    expect(found).to.deep.equal([[], [], [], [silent], []])
  })

  it('refuses where the kernel has no WireGuard, and tries again in audits', async () => {
    host.wireGuard.isSupported = false
    const refused = await host.encryption.ensure().catch((error: unknown) => error)
    expect(refused).to.have.property('code', 'UNSUPPORTED')
    expect(host.published).to.deep.equal([])
    host.isWanted = true
    await host.encryption.start()
    expect(await host.peers()).to.equal(null)
    expect(host.found().join()).to.match(/^WIREGUARD_OFF: encrypted networks .* carry nothing: /)
    host.wireGuard.isSupported = true
    await host.clock.advance(31_000)
    expect(host.found()).to.deep.equal([])
    expect(await host.peers()).to.deep.equal([])
    expect(host.encryption.status()?.publicKey).to.equal(keys.publicKey)
  })

  it('shows neither the private key nor a preshared one', async () => {
    host.isWanted = true
    const presharedKey = (host.presharedKey = Buffer.alloc(32, 9).toString('base64'))
    host.members = [member(2)]
    await host.encryption.start()
    await host.clock.advance(31_000)
    const text = JSON.stringify(host.encryption.status())
    expect(text).to.contain(member(2).publicKey)
    expect(text).to.not.contain(presharedKey)
    expect(text).to.not.contain(keys.privateKey)
  })

  it('goes on after a call to the kernel that failed', async () => {
    host.isWanted = true
    const { wireGuard } = host
    const ensure = wireGuard.ensure.bind(wireGuard)
    let failures = 1
    wireGuard.ensure = async (device) => {
      if (failures-- > 0) throw failure('KERNEL', 'EBUSY')
      return ensure(device)
    }
    await host.encryption.start()
    expect(await host.peers()).to.equal(null)
    await host.clock.advance(31_000)
    expect(await host.peers()).to.deep.equal([])
  })
})
