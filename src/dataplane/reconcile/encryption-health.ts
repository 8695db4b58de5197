import type { Finding, RoomFindings } from '../../base/findings.ts'
import type { Logger } from '../../base/logger.ts'
import type { ActualWireGuardPeer, WireGuardSlot } from '../wireguard.ts'

type Peer = Omit<ActualWireGuardPeer, 'presharedKey'>

const off = { code: 'WIREGUARD_OFF', subject: 'host' } as const
const silentGroup = 'silent peers'
/** What a peer sends that has received something and has nothing to send: no answer is due. */
const keepaliveBytes = 32

/** What was sent to a peer since something was received from it. */
interface Unanswered {
  readonly receivedBytes: number
  readonly sentBytes: number
  /** At the last look. */
  sentBefore: number
}

/**
 * Says what is wrong with the encrypted tunnels of this host. Nothing leaves in the clear then:
 * it does not leave at all.
 */
export class EncryptionHealth {
  readonly #findings: RoomFindings
  readonly #unanswered = new Map<string, Unanswered>()

  constructor(findings: RoomFindings) {
    this.#findings = findings
  }

  /** The device could not be made or written. */
  failed(message: string): void {
    const text = `encrypted networks of this host carry nothing: ${message}`
    const remedy = 'do what the text says; the plugin tries again every 30 seconds'
    this.#findings.raise({ ...off, text, remedy })
  }

  /** The device is as it should be, or there has to be none. */
  works(): void {
    this.#findings.clear(off)
  }

  /** What the kernel has, at every audit. */
  looked(peers: readonly Peer[]): void {
    const silent = peers.filter((peer) => this.#isSilent(peer))
    this.#findings.replace(silentGroup, silent.map(silence))
    const known = new Set(peers.map(({ publicKey }) => publicKey))
    for (const key of this.#unanswered.keys()) if (!known.has(key)) this.#unanswered.delete(key)
  }

  /**
   * Whether more than a keepalive was sent by the look before, and nothing has been received since:
   * a peer answers handshakes at once and data within 10 s (WireGuard's paper, section 6.5).
   */
  #isSilent({ publicKey, receivedBytes, sentBytes }: Peer): boolean {
    const known = this.#unanswered.get(publicKey)
    if (known?.receivedBytes !== receivedBytes) {
      this.#unanswered.set(publicKey, { receivedBytes, sentBytes, sentBefore: sentBytes })
      return false
    }
    const isSilent = known.sentBefore - known.sentBytes > keepaliveBytes
    known.sentBefore = sentBytes
    return isSilent
  }
}

/** Tells what is written to the devices, and of what somebody else changed. */
export class DriftLog {
  readonly #logger: Logger
  /** What was wanted last, as text. */
  readonly #wanted = new Map<WireGuardSlot, string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** A device was to be as `wanted` says. It is drift when the same was wanted before. */
  note(slot: WireGuardSlot, wanted: string, changed: readonly string[], peers: number): void {
    const isSame = this.#wanted.get(slot) === wanted
    this.#wanted.set(slot, wanted)
    const text = [...changed, ...(isSame && peers > 0 ? [`${peers} peers repaired`] : [])]
    const device = slot === 'main' ? 'WireGuard' : 'WireGuard of the rotation'
    if (text.length === 0) return
    if (!isSame) this.#logger.info(`${device}: ${text.join(', ')}`)
    else this.#logger.warn(`${device} had drifted: ${text.join(', ')}`, { event: 'drift-repaired' })
  }

  /** The device is removed on purpose. */
  forget(slot: WireGuardSlot): void {
    this.#wanted.delete(slot)
  }
}

function silence({ allowed, endpoint }: Peer): Finding {
  const vtep = allowed[0]?.split('/')[0] ?? 'unknown'
  const port = endpoint === null ? 'WIREGUARD_PORT' : `port ${endpoint.port} (WIREGUARD_PORT)`
  return {
    code: 'WIREGUARD_SILENT',
    subject: `VTEP ${vtep}`,
    text: `WireGuard of the host ${vtep} does not answer: encrypted networks carry nothing there`,
    remedy: `open UDP ${port} between the two hosts, both ways, and look at "status" on both`,
  }
}
