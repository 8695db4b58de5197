/**
 * Members whose plugin pauses while their containers run on, as it does for an upgrade. They said
 * so before they stopped answering, and their records count although gossip takes them for dead,
 * for a bounded time: who does not come back by then is gone. A member that dies without a word
 * gets none of this.
 */
import type { Clock } from '../../base/clock.ts'
import { Timeout } from '../../base/timers.ts'
import type { MemberState } from '../gossip/gossip-transport.ts'
import type { Member } from './member-table.ts'

/**
 * How long a pause may last, in milliseconds. An upgrade takes seconds, one with a slow download
 * some minutes; and the containers of a host that broke down meanwhile are looked for in vain for
 * that long.
 */
const maxRestartMs = 10 * 60_000

/** What the room has to do with it. */
interface GracefulRestartsParts {
  readonly clock: Clock
  readonly onTimeout: (member: Member) => void
}

export class GracefulRestarts {
  readonly #parts: GracefulRestartsParts
  /** By name, the members that pause, each with the epoch and with the end of its time. */
  readonly #running = new Map<string, { readonly epoch: number; readonly end: Timeout }>()
  /** The epoch whose time is up. */
  readonly #over = new Map<string, number>()

  constructor(parts: GracefulRestartsParts) {
    this.#parts = parts
  }

  /** The state by which a member's records count now. */
  effectiveState(member: Member): MemberState {
    const { name, epoch, state } = member
    const pausing = state === 'dead' && member.restarting === true
    if (!pausing) {
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
