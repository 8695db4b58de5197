import type { Clock } from '../../base/clock.ts'
import { attempt, refusal } from '../../base/errors.ts'
import type { RoomFindings } from '../../base/findings.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import { Debounce, Every, Timeout } from '../../base/timers.ts'
import type { Ip } from '../../net/ip.ts'
import type {
  ActualWireGuardPeer,
  WireGuard,
  WireGuardDevice,
  WireGuardPeer,
  WireGuardSlot,
} from '../wireguard.ts'
import { DriftLog, EncryptionHealth } from './encryption-health.ts'
import {
  type Rotation,
  type WireGuardKeys,
  announcedKey,
  keyPair,
  newWireGuardKeys,
  rotationPollMs,
  rotationStep,
  startRotation,
} from './key-rotation.ts'
import {
  type EncryptedHosts,
  type EncryptedMember,
  peersOf,
  routedBySpare,
  sparePort,
  waitingFor,
} from './wireguard-peers.ts'

/** Members and networks that change within that time are written together, ms. */
const coalesceMs = 20
const auditIntervalMs = 30_000
/** A member that was not heard of for that long after a start is not restarting, it is gone; ms. */
const stalePeersMs = 10 * 60_000

interface EncryptionParts {
  readonly wireGuard: WireGuard
  readonly clock: Clock
  readonly logger: Logger
  readonly findings: RoomFindings
  readonly vtep: Ip
  readonly listenPort: number
  /** The MTU of the device, in bytes. */
  readonly mtu: () => Promise<number>
  /** This host's keys, the same at every call until others are saved. */
  readonly keys: () => Promise<WireGuardKeys>
  readonly saveKeys: (keys: WireGuardKeys) => Promise<void>
  /** Whether this host has an encrypted overlay. */
  readonly isWanted: () => boolean
  readonly members: () => readonly EncryptedMember[]
  readonly presharedKey: EncryptedHosts['presharedKey']
  /** Whether all that the member with this VTEP publishes is known, or it is gone. */
  readonly isKnown: (vtep: Ip) => boolean
  /** Tells the other members this host's keys, or that it has none, in place of `before`. */
  readonly publish: (keys: PublicKeys | null, before: PublicKeys | null) => void
}

/** What other members know of this host's keys. */
type PublicKeys = Pick<EncryptedMember, 'publicKey' | 'spareKey'>

/** For `/status`: plain JSON, without keys that are secret. */
export interface EncryptionStatus {
  readonly publicKey: string
  readonly listenPort: number
  readonly peers: readonly Omit<ActualWireGuardPeer, 'presharedKey'>[]
  /** How far the replacement of the key is, and the hosts it waits for; null without one. */
  readonly rotation:
    (Pick<Rotation, 'phase' | 'publicKey'> & { readonly waiting: readonly Ip[] }) | null
}

/**
 * Keeps the WireGuard devices as the cluster wants them: there while this host has an encrypted
 * overlay, with a peer for each live member that shares one. Who is no peer gets nothing and is not
 * heard.
 */
export class Encryption {
  readonly #parts: EncryptionParts
  readonly #queue = new KeyedQueue()
  readonly #soon: Debounce
  readonly #poll: Timeout
  readonly #audit: Every
  readonly #staleDeadlineMs: number
  #published: PublicKeys | null = null
  /** Whether the devices, or those of an earlier process, may be in the kernel. */
  readonly #mayBeThere = { main: true, spare: true }
  readonly #health: EncryptionHealth
  readonly #drift: DriftLog
  #spareFailure: string | null = null
  #status: EncryptionStatus | null = null
  /** Since when the rotation waits for nobody, wall-clock ms; null while it does. */
  #movedSinceMs: number | null = null

  constructor(parts: EncryptionParts) {
    this.#parts = parts
    const { clock, findings } = parts
    this.#health = new EncryptionHealth(findings)
    this.#drift = new DriftLog(parts.logger)
    this.#staleDeadlineMs = clock.now() + stalePeersMs
    const run = (): void => void this.#reconcile()
    this.#soon = new Debounce({ clock, delayMs: coalesceMs, run })
    this.#poll = new Timeout(clock, run)
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
    this.#poll.stop()
  }

  /** Members, their keys, or the networks of this host changed. */
  changed(): void {
    this.#soon.trigger()
  }

  /** Makes the device, before an encrypted overlay is attached. Refuses with UNSUPPORTED. */
  ensure(): Promise<void> {
    return this.#queue.run('wireguard', () => this.#ensure())
  }

  /**
   * Begins to replace this host's private key, which takes half a minute and loses no packet.
   * Refuses with BAD_REQUEST while this host or another one does.
   * @returns the new public key.
   */
  rotate(): Promise<string> {
    return this.#queue.run('wireguard', async () => {
      const { clock, keys, saveKeys, isWanted, members, vtep } = this.#parts
      const own = await keys()
      const rotates = own.rotation ? vtep : members().find(({ spareKey }) => spareKey)?.vtep
      if (rotates !== undefined)
        throw refusal('BAD_REQUEST', `host ${rotates} is replacing its WireGuard key: try later`)
      const next = newWireGuardKeys()
      await saveKeys(isWanted() ? startRotation(own, next, clock.wall()) : next)
      this.#soon.trigger()
      return next.publicKey
    })
  }

  /** As of the last change or audit; null without a device. */
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
    const { wireGuard, listenPort, vtep, mtu, keys, members, presharedKey } = this.#parts
    const own = await keys()
    const hosts = { own, members: members(), presharedKey }
    const device = { vtep, mtu: await mtu(), ...keyPair(own), listenPort }
    const changed = await this.#ensureDevice('main', device)
    const spare = await this.#attemptSpare(hosts, device)
    this.#publish({ publicKey: own.publicKey, spareKey: announcedKey(own) })
    const main = await this.#setPeers('main', hosts, device, changed)
    const route = (now: readonly Ip[]) => routedBySpare(hosts, { main, spare: spare! }, now)
    const routed = spare === null ? [] : await wireGuard.routeBySpare(route)
    const peers = main.map((peer) => ({ ...peer, presharedKey: undefined }))
    const rotation = await this.#advance(hosts, routed)
    this.#status = { publicKey: own.publicKey, listenPort, peers, rotation }
    if (spare !== null || rotation !== null) this.#poll.set(rotationPollMs)
  }

  #ensureDevice(slot: WireGuardSlot, device: WireGuardDevice): Promise<string[]> {
    this.#mayBeThere[slot] = true
    return this.#parts.wireGuard.ensure(device, slot)
  }

  /** @returns the peers that the device has. */
  async #setPeers(
    slot: WireGuardSlot,
    hosts: EncryptedHosts,
    device: WireGuardDevice,
    changed: readonly string[],
  ): Promise<readonly ActualWireGuardPeer[]> {
    let wanted: readonly WireGuardPeer[] = []
    const set = await this.#parts.wireGuard.setPeers((found) => {
      return (wanted = peersOf(slot, hosts, found, (vtep) => this.#isStale(vtep)))
    }, slot)
    this.#drift.note(slot, JSON.stringify([device, wanted]), changed, set.changed)
    return set.peers
  }

  /** After a start, peers stay until what their members publish is known. */
  #isStale(vtep: Ip): boolean {
    const { clock, isKnown } = this.#parts
    return clock.now() < this.#staleDeadlineMs && !isKnown(vtep)
  }

  /** Its failure, as when another program has its port, leaves the main device alone. */
  #attemptSpare(
    hosts: EncryptedHosts,
    device: WireGuardDevice,
  ): Promise<readonly ActualWireGuardPeer[] | null> {
    return attempt(
      () => this.#ensureSpare(hosts, device),
      (message) => {
        if (this.#spareFailure !== message) this.#parts.logger.warn(message)
        this.#spareFailure = message
        return null
      },
    )
  }

  /** The spare device is there while it has peers. @returns them; null without it. */
  async #ensureSpare(
    hosts: EncryptedHosts,
    device: WireGuardDevice,
  ): Promise<readonly ActualWireGuardPeer[] | null> {
    const { wireGuard } = this.#parts
    const before = this.#mayBeThere.spare ? await wireGuard.dump('spare') : null
    if (peersOf('spare', hosts, before?.peers ?? [], (vtep) => this.#isStale(vtep)).length > 0) {
      const keys = keyPair(hosts.own.rotation ?? hosts.own)
      const spare = { ...device, ...keys, listenPort: sparePort(device.listenPort) }
      const changed = await this.#ensureDevice('spare', spare)
      return this.#setPeers('spare', hosts, spare, changed)
    }
    if (before !== null) await wireGuard.remove('spare')
    this.#mayBeThere.spare = false
    this.#drift.forget('spare')
    this.#spareFailure = null
    return null
  }

  /** Goes on with the rotation, if there is one, when its next step is due. */
  async #advance(
    { own, members }: EncryptedHosts,
    routed: readonly Ip[],
  ): Promise<EncryptionStatus['rotation']> {
    const { clock, logger, saveKeys, listenPort } = this.#parts
    if (own.rotation === undefined) return null
    const { phase, publicKey } = own.rotation
    const waiting = waitingFor(phase, members, routed)
    if (waiting.length > 0) this.#movedSinceMs = null
    else this.#movedSinceMs ??= clock.wall()
    const next = rotationStep(own, this.#movedSinceMs, clock.wall())
    if (next === null) return { phase, publicKey, waiting }
    await saveKeys(next)
    this.#movedSinceMs = null
    this.#soon.trigger()
    if (phase === 'moving' && next.rotation?.phase === 'ending')
      logger.warn(
        `the WireGuard key is not replaced: no answer on UDP port ${sparePort(listenPort)} of ` +
          `${waiting.join(', ')}; open it between all hosts and rotate again`,
      )
    else if (next.rotation === undefined) logger.info(`the WireGuard key is ${next.publicKey}`)
    return { phase, publicKey, waiting }
  }

  async #remove(): Promise<void> {
    this.#publish(null)
    if (!this.#mayBeThere.main) return
    await this.#parts.wireGuard.remove()
    this.#mayBeThere.main = this.#mayBeThere.spare = false
    this.#status = null
    this.#drift.forget('main')
    this.#drift.forget('spare')
  }

  #publish(keys: PublicKeys | null): void {
    const before = this.#published
    if (before?.publicKey === keys?.publicKey && before?.spareKey === keys?.spareKey) return
    this.#parts.publish(keys, before)
    this.#published = keys
  }
}
