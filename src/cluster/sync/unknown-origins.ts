/**
 * Origins that write or send, but are no live members here. Gossip of membership misses a member
 * now and then, which learns of a join or a return only with the next exchange of whole states,
 * half a minute later, and may not show the records until then. So when an origin stays unknown,
 * membership is refreshed out of turn.
 */
import { Timeout } from '../../base/timers.ts'
import type { Packed } from '../../base/bytes.ts'
import { isLive } from '../members/member-table.ts'
import { maxUnknownOrigins } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** An origin that is unknown for longer is dead, and was when its records came. */
const giveUpMs = 30_000

interface UnknownOriginsPorts extends SyncContext {
  /** Exchanges membership with some member. */
  readonly refresh: () => void
}

export class UnknownOrigins {
  readonly #ports: UnknownOriginsPorts
  readonly #timeout: Timeout

  constructor(ports: UnknownOriginsPorts) {
    this.#ports = ports
    this.#timeout = new Timeout(ports.clock, () => this.#resolve())
  }

  /** A message came from this member. */
  heardFrom(sender: Packed): void {
    const { clock, replica, members } = this.#ports
    const name = members.nameOf(sender)
    if (name !== undefined && isLive(members.get(name))) return
    if (replica.unknownOrigins.has(sender) || members.stateOf(sender) === 'left') return
    if (replica.unknownOrigins.size >= maxUnknownOrigins) return
    replica.unknownOrigins.set(sender, clock.now())
    this.check()
  }

  /** Looks at the unknown origins soon, if there are any. */
  check(): void {
    const { options, replica } = this.#ports
    if (replica.unknownOrigins.size > 0) this.#timeout.setIfIdle(options.resolveUnknownMs)
  }

  close(): void {
    this.#timeout.stop()
  }

  #resolve(): void {
    const { clock, options, replica, refresh } = this.#ports
    const now = clock.now()
    let isOverdue = false
    for (const [oid, since] of replica.unknownOrigins) {
      if (now - since > giveUpMs) replica.unknownOrigins.delete(oid)
      else if (now - since >= options.resolveUnknownMs) isOverdue = true
    }
    if (isOverdue) refresh()
    this.check()
  }
}
