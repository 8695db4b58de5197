import type { Clock } from '../../base/clock.ts'
import { isBug } from '../../base/errors.ts'
import type { RoomFindings } from '../../base/findings.ts'
import { Every } from '../../base/timers.ts'

const lookMs = 2000
const tooSmall = { code: 'UNDERLAY_MTU', subject: 'host' } as const

interface MtuWatchParts {
  readonly clock: Clock
  readonly findings: RoomFindings
  readonly networks: () => readonly {
    readonly overlayId: string
    readonly mtu: number
    readonly encrypted: boolean
  }[]
  /** Bytes that the underlay leaves for containers now; rejects while it has no address. */
  readonly mtuHere: (encrypted: boolean) => Promise<number>
}

/**
 * Whether the underlay's link still carries what the networks of this host were made for. Their
 * containers keep the MTU that they have, so a link that carries less loses their large packets.
 */
export class MtuWatch {
  readonly #parts: MtuWatchParts
  readonly #looks: Every

  constructor(parts: MtuWatchParts) {
    this.#parts = parts
    this.#looks = new Every({ clock: parts.clock, intervalMs: lookMs, run: () => this.#look() })
  }

  start(): void {
    this.#looks.start()
  }

  stop(): void {
    this.#looks.stop()
  }

  async #look(): Promise<void> {
    const { networks, mtuHere, findings } = this.#parts
    for (const { overlayId, mtu, encrypted } of networks()) {
      const room = await mtuHere(encrypted).catch(orNull)
      // Without the address there is another finding.
      if (room === null) return
      if (mtu <= room) continue
      const text = `the link between the hosts leaves ${room} bytes for containers, and ${overlayId} has ${mtu}`
      const remedy = `raise the MTU of the link by ${mtu - room}, or remove the network and create it again`
      return findings.raise({ ...tooSmall, text, remedy })
    }
    findings.clear(tooSmall)
  }
}

function orNull(error: unknown): null {
  if (isBug(error)) throw error
  return null
}
