/**
 * Tells members that are new, or back from the dead, how far our own log is; they ask for what they
 * have missed, and we ask those who were away for what we have missed of theirs. So a member that
 * was cut off is right again as soon as it is a member again. The first ones come in a crowd, when
 * we join: then everybody is told everything.
 */
import type { Timer } from '../../base/clock.ts'
import { oidOfName } from '../log/digest.ts'
import type { Frame } from '../wire/frames.ts'
import { summaryOf } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** Members greeted in one turn, so that joining a large cluster blocks nothing. */
const maxPerTurn = 64

interface JoinSyncPorts extends SyncContext {
  /** Whether others may know how far our own log is. */
  readonly isOpen: () => boolean
  /** Tells everybody, unless that was done. */
  readonly announce: () => void
}

export class JoinSync {
  readonly #ports: JoinSyncPorts
  /** Whom to greet, and whether it was away. */
  readonly #waiting = new Map<string, boolean>()
  #timer: Timer | null = null

  constructor(ports: JoinSyncPorts) {
    this.#ports = ports
  }

  /** Greets a member soon. One that `wasAway` may have written what did not reach us. */
  add(member: string, wasAway = false): void {
    if (!this.#ports.isOpen()) return
    this.#waiting.set(member, wasAway || this.#waiting.get(member) === true)
    this.#arm()
  }

  /** Greets a member now. */
  tell(member: string, wasAway = false): void {
    const { replica, sender, isOpen } = this.#ports
    if (!isOpen()) return
    const summaries = [summaryOf(replica.self.log)]
    const frames: Frame[] = [{ kind: 'summaries', answer: false, buckets: [], summaries }]
    const log = wasAway ? replica.origin(oidOfName(member))?.log : undefined
    if (log !== undefined) frames.push({ kind: 'deltaRequest', requests: [log] })
    sender.send(member, frames)
  }

  close(): void {
    if (this.#timer !== null) this.#ports.clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#waiting.clear()
  }

  #arm(): void {
    const { clock, options } = this.#ports
    this.#timer ??= clock.setTimeout(() => this.#send(), options.eagerDelayMs)
  }

  #send(): void {
    this.#timer = null
    this.#ports.announce()
    let sent = 0
    for (const [member, wasAway] of this.#waiting) {
      if (sent++ === maxPerTurn) break
      this.#waiting.delete(member)
      this.tell(member, wasAway)
    }
    if (this.#waiting.size > 0) this.#arm()
  }
}
