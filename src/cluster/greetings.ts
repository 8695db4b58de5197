/**
 * Tells members that are new, or back from the dead, how far our own log is; they ask for what they have
 * missed. So a member that was cut off is right again as soon as it is a member again. The first ones
 * come in a crowd, when we join: then everybody is told everything.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { ClusterOptions } from './cluster-options.ts'
import type { Frame } from './frames.ts'
import { headOf } from './origin.ts'
import type { Replica } from './replica.ts'

/** Members greeted in one turn, so that joining a large cluster blocks nothing. */
const greetingsMost = 64

export interface GreetingsPorts {
  readonly clock: Clock
  readonly options: Pick<ClusterOptions, 'eagerDelayMs'>
  readonly replica: Replica
  readonly send: (member: string, frames: readonly Frame[]) => void
  /** Tells everybody, unless that was done. */
  readonly announce: () => void
}

export class Greetings {
  readonly #ports: GreetingsPorts
  readonly #waiting = new Set<string>()
  #timer: Timer | null = null

  constructor(ports: GreetingsPorts) {
    this.#ports = ports
  }

  add(member: string): void {
    this.#waiting.add(member)
    this.#arm()
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
    const { replica, send, announce } = this.#ports
    announce()
    const heads = [headOf(replica.self.log)]
    let sent = 0
    for (const member of this.#waiting) {
      if (sent++ === greetingsMost) break
      this.#waiting.delete(member)
      send(member, [{ kind: 'heads', answer: false, buckets: [], heads }])
    }
    if (this.#waiting.size > 0) this.#arm()
  }
}
