/**
 * Tells listeners what changed in the visible records, as `previous → next` for each origin and
 * key. A change is marked as it happens, with the value that listeners know, and read when the
 * batch is delivered. So a record that came and went in between is not reported, and one that
 * changed three times is reported once.
 */
import type { Clock } from '../base/clock.ts'
import { Timeout } from '../base/timers.ts'
import type { Ip } from '../net/ip.ts'
import type { Packed } from '../base/bytes.ts'
import { type AnyRecord, RecordFault, type RecordTypes } from './wire/record-type.ts'
import { type Origin, visibleRecords, visibleValue } from './log/origin.ts'

/** One record of another member, before and after. */
export interface Transition {
  readonly origin: string
  /** The origin's VTEP. */
  readonly address: Ip
  readonly previous: AnyRecord | null
  readonly next: AnyRecord | null
  /** Whether the origin is alive or suspect. `next: null` while it is not: its host is away. */
  readonly live: boolean
  /** Set when there is a value now that is no record of its kind; `next` is null then. */
  readonly invalid: InvalidRecord | null
}

/** A value of a kind that this release knows, and what is wrong with it. */
interface InvalidRecord {
  readonly kind: string
  readonly reason: string
}

export type TransitionListener = (batch: readonly Transition[]) => void

interface Marked {
  readonly value: Packed | null
  readonly address: Ip | null
}

export class Transitions {
  readonly #types: RecordTypes
  readonly #options: { readonly transitionDelayMs: number; readonly maxTransitions: number }
  readonly #listeners = new Set<TransitionListener>()
  readonly #marks = new Map<Origin, Map<Packed, Marked>>()
  readonly #timeout: Timeout

  constructor(
    clock: Clock,
    types: RecordTypes,
    options: { transitionDelayMs: number; maxTransitions: number },
  ) {
    this.#types = types
    this.#options = options
    this.#timeout = new Timeout(clock, () => this.#deliver())
  }

  /** Adds a listener; the first gets all visible records of `origins`. Returns how to stop. */
  listen(listener: TransitionListener, origins: Iterable<Origin>): () => void {
    if (this.#listeners.size === 0) {
      for (const origin of origins) {
        for (const [id] of visibleRecords(origin)) this.mark(origin, id, null, true)
      }
    }
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#marks.clear()
    }
  }

  /** Notes that a visible record of another member is about to change from `previous`. */
  mark(origin: Origin, id: Packed, previous: Packed | null, first = false): void {
    if ((this.#listeners.size === 0 && !first) || origin.self) return
    let marks = this.#marks.get(origin)
    if (marks === undefined) this.#marks.set(origin, (marks = new Map()))
    if (!marks.has(id)) marks.set(id, { value: previous, address: origin.address })
    this.#timeout.setIfIdle(this.#options.transitionDelayMs)
  }

  /** Stops. */
  close(): void {
    this.#listeners.clear()
    this.#marks.clear()
    this.#timeout.stop()
  }

  /** One batch a turn of the event loop, so that a burst leaves room for probes. */
  #deliver(): void {
    const batch: Transition[] = []
    for (const [origin, marks] of this.#marks) {
      for (const [id, before] of marks) {
        if (batch.length >= this.#options.maxTransitions) break
        marks.delete(id)
        batch.push(...transitionsOf(this.#types, { origin, id, before }))
      }
      if (marks.size > 0) break
      this.#marks.delete(origin)
    }
    if (this.#marks.size > 0) this.#timeout.set(0)
    if (batch.length > 0) for (const listener of this.#listeners) listener(batch)
  }
}

/** None when nothing changed or the kind is unknown; two when the member's address changed. */
function transitionsOf(
  types: RecordTypes,
  { origin, id, before }: { origin: Origin; id: Packed; before: Marked },
): Transition[] {
  const value = visibleValue(origin, id)
  const address = origin.address
  if (value === before.value && address === before.address) return []
  const type = types.of(id)
  if (type === undefined || origin.name === null || address === null) return []
  const previous = before.value === null ? null : types.decode(id, before.value)
  const now = value === null ? null : type.decode(id.slice(1), value)
  const next = now instanceof RecordFault ? null : now
  const invalid = now instanceof RecordFault ? { kind: type.kind, reason: now.reason } : null
  if (previous === null && next === null && invalid === null) return []
  const bare = { origin: origin.name, live: origin.standing === 'visible', invalid }
  const old = before.address ?? address
  if (previous === null || next === null || address === before.address) {
    return [{ ...bare, address: next === null ? old : address, previous, next }]
  }
  return [
    { ...bare, address: old, previous, next: null },
    { ...bare, address, previous: null, next },
  ]
}
