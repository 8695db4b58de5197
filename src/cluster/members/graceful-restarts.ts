/**
 * Graceful restarts: members whose plugin stops while their containers run on, as in an upgrade.
 * They announced it before they stopped answering, and their records stay visible although gossip
 * reports them dead, for a limited time. A member that dies without a word is hidden at once.
 */
import type { Clock } from '../../base/clock.ts'
import { Timeout } from '../../base/timers.ts'
import type { MemberState } from '../gossip/gossip-transport.ts'
import type { Member } from './member-table.ts'

/**
 * How long a restart may take, in milliseconds. An upgrade takes seconds, one with a slow download
 * some minutes. If the host breaks down meanwhile, its containers are unreachable for that long.
 */
const maxRestartMs = 10 * 60_000

/** What the room has to do with it. */
interface GracefulRestartsParts {
  readonly clock: Clock
  readonly onTimeout: (member: Member) => void
}

export class GracefulRestarts {
  readonly #parts: GracefulRestartsParts
  /** The restarting members by name, each with its epoch and its timeout. */
  readonly #running = new Map<string, { readonly epoch: number; readonly end: Timeout }>()
  /** The epoch whose restart took too long, by name. */
  readonly #over = new Map<string, number>()

  constructor(parts: GracefulRestartsParts) {
    this.#parts = parts
  }

  /** The state by which a member's records are visible or not. */
  effectiveState(member: Member): MemberState {
    const { name, epoch, state } = member
    const isRestarting = state === 'dead' && member.restarting === true
    if (!isRestarting) {
      this.#forget(name)
      if (state !== 'dead') this.#over.delete(name)
      return state
    }
    if (this.#over.get(name) === epoch) return 'dead'
    if (this.#running.get(name)?.epoch !== epoch) this.#begin(member)
    return 'suspect'
  }

  close(): void {
    for (const name of this.#running.keys()) this.#forget(name)
  }

  #begin(member: Member): void {
    const { name, epoch } = member
    const { clock, onTimeout } = this.#parts
    this.#forget(name)
    const end = new Timeout(clock, () => {
      this.#running.delete(name)
      this.#over.set(name, epoch)
      onTimeout(member)
    })
    end.set(maxRestartMs)
    this.#running.set(name, { epoch, end })
  }

  #forget(name: string): void {
    this.#running.get(name)?.end.stop()
    this.#running.delete(name)
  }
}
