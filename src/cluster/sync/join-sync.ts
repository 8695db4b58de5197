/**
 * Sync on join: sends members that are new, or back from the dead, a summary of our own log. They
 * request what they missed, and we request from those that were away what we missed of theirs. So a
 * member that was cut off is up to date as soon as it is a member again. When we join ourselves,
 * and many members are new at once, all get everything.
 */
import { Timeout } from '../../base/timers.ts'
import { oidOfName } from '../log/digest.ts'
import type { Frame } from '../wire/frames.ts'
import { summariesOf } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** Members synced with in one turn, so that joining a large cluster does not block. */
const maxPerTurn = 64

interface JoinSyncPorts extends SyncContext {
  /** Whether others may know how far our own log is. */
  readonly isOpen: () => boolean
  /** Sends all members our summary and records, unless that was done. */
  readonly announce: () => void
}

export class JoinSync {
  readonly #ports: JoinSyncPorts
  /** The members to sync with, and whether they were away. */
  readonly #waiting = new Map<string, boolean>()
  readonly #timeout: Timeout

  constructor(ports: JoinSyncPorts) {
    this.#ports = ports
    this.#timeout = new Timeout(ports.clock, () => this.#send())
  }

  /** Syncs with a member soon. One that `wasAway` may have written what did not reach us. */
  add(member: string, wasAway = false): void {
    if (!this.#ports.isOpen()) return
    this.#waiting.set(member, wasAway || this.#waiting.get(member) === true)
    this.#arm()
  }

  #sync(member: string, wasAway: boolean): void {
    const { replica, sender, isOpen } = this.#ports
    if (!isOpen()) return
    const summaries = summariesOf(replica.self.log)
    const frames: Frame[] = [{ kind: 'summaries', answer: false, buckets: [], summaries }]
    const log = wasAway ? replica.origin(oidOfName(member))?.log : undefined
    if (log !== undefined) frames.push({ kind: 'deltaRequest', requests: [log] })
    sender.send(member, frames)
  }

  close(): void {
    this.#timeout.stop()
    this.#waiting.clear()
  }

  #arm(): void {
    this.#timeout.setIfIdle(this.#ports.options.eagerDelayMs)
  }

  #send(): void {
    this.#ports.announce()
    let sent = 0
    for (const [member, wasAway] of this.#waiting) {
      if (sent++ === maxPerTurn) break
      this.#waiting.delete(member)
      this.#sync(member, wasAway)
    }
    if (this.#waiting.size > 0) this.#arm()
  }
}
