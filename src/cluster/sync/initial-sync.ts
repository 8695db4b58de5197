/**
 * A joiner's first sync: it asks one member for its version summaries, and is done when it is as
 * far. When that member is busy or silent it asks another.
 */
import { below, pick } from '../../base/random.ts'
import { Timeout } from '../../base/timers.ts'
import type { Packed } from '../../base/bytes.ts'
import type { VersionSummary } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** With no answer or no progress for this long, another member is asked. */
const answerTimeoutMs = 500
/** Joiners whom a busy member sent away ask again within this time, at random. */
const busyWaitMs = 100

interface InitialSyncPorts extends SyncContext {
  /** Sends a digest to that member. */
  readonly compareWith: (member: string) => void
  readonly onDone: () => void
}

export class InitialSync {
  readonly #ports: InitialSyncPorts
  #goals: Map<Packed, VersionSummary> | null = null
  #asked: string | null = null
  readonly #timeout: Timeout
  #done = false

  constructor(ports: InitialSyncPorts) {
    this.#ports = ports
    this.#timeout = new Timeout(ports.clock, () => this.ask())
  }

  get done(): boolean {
    return this.#done
  }

  /** Begins, unless it has begun. */
  begin(): void {
    if (this.#asked === null) this.ask()
  }

  /** Asks a member at random, instead of the one before. */
  ask(): void {
    if (this.#done) return
    this.#goals = null
    this.#asked = pick(this.#ports.random, this.#ports.members.live()) ?? null
    this.#timeout.set(answerTimeoutMs)
    if (this.#asked !== null) this.#ports.compareWith(this.#asked)
  }

  /** No member to sync with: we are the first. */
  skip(): void {
    this.#finish()
  }

  /** A member answered; `goals` are its summaries that are ahead of ours. */
  onSummaries(member: string, goals: readonly VersionSummary[]): void {
    if (this.#done || member !== this.#asked) return
    this.#goals = new Map(goals.map((head) => [head.oid, head]))
    for (const head of goals) this.#check(head.oid)
    if (this.#goals.size === 0) this.#finish()
  }

  /** Something of that origin was applied. Only goals are progress: there is always some rumour. */
  onApplied(oid: Packed): void {
    if (this.#done || this.#goals?.has(oid) !== true) return
    this.#timeout.set(answerTimeoutMs)
    this.#check(oid)
    if (this.#goals.size === 0) this.#finish()
  }

  onTransfer(member: string, state: 'more' | 'done' | 'busy'): void {
    if (this.#done || member !== this.#asked) return
    if (state === 'more') this.#timeout.set(answerTimeoutMs)
    else if (state === 'busy') this.#timeout.set(below(this.#ports.random, busyWaitMs))
    else this.ask()
  }

  close(): void {
    this.#done = true
    this.#timeout.stop()
  }

  /** A goal is reached when we are as far, or the origin is over or in a newer epoch. */
  #check(oid: Packed): void {
    const goal = this.#goals?.get(oid)
    if (goal === undefined) return
    const log = this.#ports.replica.origin(oid)?.log
    const isAsFar = log?.epoch === goal.epoch && log.coverage.prefix >= goal.prefix
    const reached = log === undefined || log.epoch > goal.epoch || isAsFar
    if (reached) this.#goals?.delete(oid)
  }

  #finish(): void {
    if (this.#done) return
    this.close()
    this.#ports.onDone()
  }
}
