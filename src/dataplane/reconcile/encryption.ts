import { generateKeyPairSync } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { attempt } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { RoomFindings } from '../../base/findings.ts'
import type { Logger } from '../../base/logger.ts'
import { Debounce, Every } from '../../base/timers.ts'
import { parseIpInCidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { ActualWireGuardPeer, WireGuard, WireGuardPeer } from '../wireguard.ts'
import { EncryptionHealth } from './encryption-health.ts'

/** Members and networks that change within that time are written together, ms. */
const coalesceMs = 20
const auditIntervalMs = 30_000
/** A member that was not heard of for that long after a start is not restarting, it is gone; ms. */
const stalePeersMs = 10 * 60_000

/** This host's key pair, base64. */
export interface WireGuardKeys {
  readonly privateKey: string
  readonly publicKey: string
}

/** X25519; JSON Web Keys have base64url. */
export function newWireGuardKeys(): WireGuardKeys {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64')
  return { privateKey: base64(d!), publicKey: base64(x!) }
}

/** A member that shares an encrypted overlay with this host. */
export type EncryptedMember = Omit<WireGuardPeer, 'keepaliveSeconds'>

interface EncryptionParts {
  readonly wireGuard: WireGuard
  readonly clock: Clock
  readonly logger: Logger
  readonly findings: RoomFindings
  readonly vtep: Ip
  readonly listenPort: number
  /** The MTU of the device, in bytes. */
  readonly mtu: () => Promise<number>
  /** This host's keys, the same at every call. */
  readonly keys: () => Promise<WireGuardKeys>
  /** Whether this host has an encrypted overlay. */
  readonly isWanted: () => boolean
  /** `own` is this host's public key. */
  readonly members: (own: string) => readonly EncryptedMember[]
  /** Whether all that the member with this VTEP publishes is known, or it is gone. */
  readonly isKnown: (vtep: Ip) => boolean
  /** Tells the other members this host's key, or that it has none, in place of `before`. */
  readonly publish: (publicKey: string | null, before: string | null) => void
}

/** For `/status`: plain JSON, without keys that are secret. */
export interface EncryptionStatus {
  readonly publicKey: string
  readonly listenPort: number
  readonly peers: readonly Omit<ActualWireGuardPeer, 'presharedKey'>[]
}

/**
 * Keeps the WireGuard device as the cluster wants it: there while this host has an encrypted
 * overlay, with a peer for each live member that shares one. Who is no peer gets nothing and is not
 * heard.
 */
export class Encryption {
  readonly #parts: EncryptionParts
  readonly #queue = new KeyedQueue()
  readonly #soon: Debounce
  readonly #audit: Every
  readonly #staleDeadlineMs: number
  #published: string | null = null
  /** Whether the device, or one of an earlier process, may be in the kernel. */
  #mayBeThere = true
  readonly #health: EncryptionHealth
  /** The peers that were written last; null before the first. */
  #written: string | null = null
  #status: EncryptionStatus | null = null

  constructor(parts: EncryptionParts) {
    this.#parts = parts
    const { clock, findings } = parts
    this.#health = new EncryptionHealth(findings)
    this.#staleDeadlineMs = clock.now() + stalePeersMs
    const run = (): void => void this.#reconcile()
    this.#soon = new Debounce({ clock, delayMs: coalesceMs, run })
    this.#audit = new Every({ clock, intervalMs: auditIntervalMs, run: () => this.#inspect() })
  }

  /** Makes the device where one is wanted, so that overlays can be restored. */
  async start(): Promise<void> {
    await this.#reconcile()
    this.#audit.start()
  }

  async stop(): Promise<void> {
    this.#soon.stop()
    this.#audit.stop()
    await this.#queue.idle()
  }

  /** Members, their keys, or the networks of this host changed. */
  changed(): void {
    this.#soon.trigger()
  }

  /** Makes the device, before an encrypted overlay is attached. Refuses with UNSUPPORTED. */
  ensure(): Promise<void> {
    return this.#queue.run('wireguard', () => this.#ensure())
  }

  /** As of the last audit; null without a device. */
  status(): EncryptionStatus | null {
    return this.#status
  }

  #reconcile(): Promise<void> {
    return this.#queue.run('wireguard', () =>
      attempt(
        async () => {
          await (this.#parts.isWanted() ? this.#ensure() : this.#remove())
          this.#health.works()
        },
        (message) => this.#health.failed(message),
      ),
    )
  }

  async #inspect(): Promise<void> {
    await this.#reconcile()
    this.#health.looked(this.#status?.peers ?? [])
  }

  async #ensure(): Promise<void> {
    const { wireGuard, vtep, listenPort, mtu, keys } = this.#parts
    const own = await keys()
    this.#mayBeThere = true
    const changed = await wireGuard.ensure({ ...own, listenPort, vtep, mtu: await mtu() })
    this.#publish(own.publicKey)
    const found = (await wireGuard.dump())?.peers ?? []
    const wanted = this.#wantedPeers(own.publicKey, found)
    const written = await wireGuard.setPeers(wanted)
    this.#tell(changed, wanted, written)
    const peers = found.map((peer) => ({ ...peer, presharedKey: undefined }))
    this.#status = { publicKey: own.publicKey, listenPort, peers }
  }

  /** Something is drift when neither the device is new to this process nor its peers are others. */
  #tell(changed: readonly string[], wanted: readonly WireGuardPeer[], written: number): void {
    const { logger } = this.#parts
    const before = this.#written
    this.#written = JSON.stringify(wanted)
    if (written > 0 && before === this.#written) changed = [...changed, `${written} peers repaired`]
    if (changed.length === 0) return
    const text = changed.join(', ')
    if (before === null) logger.info(`WireGuard: ${text}`)
    else logger.warn(`WireGuard had drifted: ${text}`, { event: 'drift-repaired' })
  }

  /** After a start, peers stay until what their members publish is known. */
  #wantedPeers(own: string, found: readonly ActualWireGuardPeer[]): WireGuardPeer[] {
    const { clock, isKnown, members } = this.#parts
    const wanted = members(own).map((member) => ({ ...member, keepaliveSeconds: 0 }))
    if (clock.now() >= this.#staleDeadlineMs) return wanted
    const vteps = new Set(wanted.map(({ vtep }) => vtep))
    const stale = found.flatMap(({ allowed, endpoint, ...peer }) => {
      const vtep = parseIpInCidr(allowed[0] ?? '')?.ip
      if (vtep === undefined || endpoint === null || vteps.has(vtep) || isKnown(vtep)) return []
      const { publicKey, presharedKey, keepaliveSeconds } = peer
      return [{ publicKey, presharedKey, keepaliveSeconds, endpoint, vtep }]
    })
    return [...wanted, ...stale]
  }

  async #remove(): Promise<void> {
    this.#publish(null)
    if (!this.#mayBeThere) return
    await this.#parts.wireGuard.remove()
    this.#mayBeThere = false
    this.#status = this.#written = null
  }

  #publish(publicKey: string | null): void {
    if (this.#published === publicKey) return
    this.#parts.publish(publicKey, this.#published)
    this.#published = publicKey
  }
}
