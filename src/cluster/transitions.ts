/**
 * Tells listeners what changed in what counts, as `previous → next` for each origin and key. Changes
 * are marked as they happen, with what listeners believe until then, and looked up when they are told:
 * so a record that came and went in between is never told, and one that changed thrice is told once.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Ip } from '../net/ip.ts'
import type { Packed } from './wire/bytes.ts'
import { type ClusterRecord, type RecordKind, decodeRecord, kindOf } from './wire/records.ts'
import { type Origin, visibleRecords, visibleValue } from './log/origin.ts'

/** One record of another member, before and after. */
export interface Transition {
  readonly origin: string
  /** The origin's VTEP. */
  readonly address: Ip
  readonly previous: ClusterRecord | null
  readonly next: ClusterRecord | null
  /** Whether the origin is alive or suspect. `next: null` while it is not: its host is away. */
  readonly live: boolean
  /** The kind of what is there now, when it is a kind that is known and a value that cannot be read. */
  readonly unreadable: RecordKind | null
}

export type TransitionListener = (batch: readonly Transition[]) => void

interface Marked {
  readonly value: Packed | null
  readonly address: Ip | null
}

export class Transitions {
  readonly #clock: Clock
  readonly #options: { readonly transitionDelayMs: number; readonly maxTransitions: number }
  readonly #listeners = new Set<TransitionListener>()
  readonly #marks = new Map<Origin, Map<Packed, Marked>>()
  #timer: Timer | null = null

  constructor(clock: Clock, options: { transitionDelayMs: number; maxTransitions: number }) {
    this.#clock = clock
    this.#options = options
  }

  /** Adds a listener; the first is told all that is visible in `origins`. Returns how to stop. */
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
    this.#timer ??= this.#clock.setTimeout(() => this.#tell(), this.#options.transitionDelayMs)
  }

  /** Tells nothing any more. */
  close(): void {
    this.#listeners.clear()
    this.#marks.clear()
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** One batch a turn of the event loop, so that a burst leaves room for probes. */
  #tell(): void {
    const batch: Transition[] = []
    for (const [origin, marks] of this.#marks) {
      for (const [id, before] of marks) {
        if (batch.length >= this.#options.maxTransitions) break
        marks.delete(id)
        batch.push(...transitionsOf(origin, id, before))
      }
      if (marks.size > 0) break
      this.#marks.delete(origin)
    }
    const more = this.#marks.size > 0
    this.#timer = more ? this.#clock.setTimeout(() => this.#tell(), 0) : null
    if (batch.length > 0) for (const listener of this.#listeners) listener(batch)
  }
}

/** None when nothing changed or this release cannot read the kind; two when the address changed. */
function transitionsOf(origin: Origin, id: Packed, before: Marked): Transition[] {
  const value = visibleValue(origin, id)
  if (value === before.value && origin.address === before.address) return []
  const previous = before.value === null ? null : decodeRecord(id, before.value)
  const next = value === null ? null : decodeRecord(id, value)
  const unreadable = value !== null && next === null ? kindOf(id) : null
  const isOfNothing = previous === null && next === null && unreadable === null
  if (isOfNothing || origin.name === null) return []
  const address = origin.address!
  const bare = { origin: origin.name, address, live: origin.standing === 'visible', unreadable }
  if (previous === null || next === null || address === before.address) {
    return [
      { ...bare, address: next === null ? (before.address ?? address) : address, previous, next },
    ]
  }
  return [
    { ...bare, address: before.address ?? address, previous, next: null },
    { ...bare, previous: null, next },
  ]
}
