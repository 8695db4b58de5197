/**
 * Findings: what is wrong on this host or between hosts, since when, and what to do about it. Each
 * is logged once when it starts and once when it is over, and `/status` lists those that are open.
 * A room has a part of the registry of its own, and raises and clears its findings by key.
 */
import type { Clock } from './clock.ts'
import type { FindingCode } from './codes.ts'
import type { LogFields, Logger } from './logger.ts'
import { durationText } from './printable.ts'
import { Timeout } from './timers.ts'

/** Open findings kept for each room. Others cause them, so their number has to have a bound. */
const maxOpen = 200

/** Something that an operator should know and can do something about. */
export interface Finding {
  /** The kind, listed in docs/errors.md. */
  readonly code: FindingCode
  /** What is concerned: `host`, `member NAME`, `overlay ID`, `pool KEY`. */
  readonly subject: string
  /** Tells findings of one code and subject apart. */
  readonly key?: string
  /** What is wrong, for people. */
  readonly text: string
  /** What to do about it, in the imperative. */
  readonly remedy: string
  /** The same for programs. */
  readonly details?: LogFields
}

/** An open finding, as `/status` lists it. Times are ISO 8601 in UTC. */
interface ListedFinding extends Omit<Finding, 'key'> {
  readonly since: string
  readonly lastAt: string
  /** How often it was raised since it started. */
  readonly times: number
}

/** What tells one finding from all others. */
type FindingKey = Pick<Finding, 'code' | 'subject' | 'key'>

interface OpenFinding {
  finding: Finding
  readonly group: string | null
  readonly sinceMs: number
  lastMs: number
  times: number
  /** On the monotonic clock, ms. */
  endMs: number
}

interface Moment {
  /** Monotonic, ms. */
  readonly nowMs: number
  /** Since the Unix epoch, ms. */
  readonly wallMs: number
  /** How long a finding stays open that is not raised again, ms. */
  readonly lastsMs?: number
}

/** Open findings by code, subject and key. Reads no clock and logs nothing: callers do. */
class FindingTable {
  readonly #open = new Map<string, OpenFinding>()
  /**
   * By group, how many of its findings are not kept; without a group, how many were not since the
   * start.
   */
  readonly #unlisted = new Map<string | null, number>()

  /** Findings that are not listed, because there were too many. */
  get unlisted(): number {
    let sum = 0
    for (const count of this.#unlisted.values()) sum += count
    return sum
  }

  /** @returns whether it starts now. */
  raise(finding: Finding, moment: Moment, group: string | null = null): boolean {
    const id = idOf(finding)
    const known = this.#open.get(id)
    const { nowMs, wallMs, lastsMs = Infinity } = moment
    if (known !== undefined) {
      known.times++
      Object.assign(known, { finding, lastMs: wallMs, endMs: nowMs + lastsMs })
      return false
    }
    if (this.#open.size >= maxOpen) {
      this.#unlisted.set(group, (this.#unlisted.get(group) ?? 0) + 1)
      return false
    }
    const since = { sinceMs: wallMs, lastMs: wallMs, times: 1, endMs: nowMs + lastsMs }
    this.#open.set(id, { finding, group, ...since })
    return true
  }

  /** @returns the finding that is over; null when it was not open. */
  clear(finding: FindingKey): OpenFinding | null {
    const id = idOf(finding)
    const known = this.#open.get(id)
    this.#open.delete(id)
    return known ?? null
  }

  /** Makes `findings` the open ones of `group`. */
  replace(
    group: string,
    findings: readonly Finding[],
    moment: Moment,
  ): { readonly started: readonly Finding[]; readonly over: readonly OpenFinding[] } {
    const ids = new Set(findings.map(idOf))
    const over = this.#remove(({ group: other }, id) => other === group && !ids.has(id))
    this.#unlisted.delete(group)
    const started = findings.filter((finding) => this.raise(finding, moment, group))
    return { started, over }
  }

  /**
   * Removes what has not been raised for long enough. `nextMs` is the wait until more may be due.
   */
  expire(nowMs: number): { readonly over: readonly OpenFinding[]; readonly nextMs: number | null } {
    const over = this.#remove(({ endMs }) => endMs <= nowMs)
    const end = Math.min(...Array.from(this.#open.values(), ({ endMs }) => endMs))
    return { over, nextMs: end === Infinity ? null : end - nowMs }
  }

  /** In the order in which they started. */
  list(): ListedFinding[] {
    return Array.from(this.#open.values(), ({ finding, sinceMs, lastMs, times }) => {
      const { key: _key, ...rest } = finding
      return { ...rest, since: isoTime(sinceMs), lastAt: isoTime(lastMs), times }
    })
  }

  #remove(isOver: (open: OpenFinding, id: string) => boolean): OpenFinding[] {
    const over = [...this.#open].filter(([id, open]) => isOver(open, id))
    for (const [id] of over) this.#open.delete(id)
    return over.map(([, open]) => open)
  }
}

function idOf({ code, subject, key = '' }: FindingKey): string {
  return JSON.stringify([code, subject, key])
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** Lines that one report of a group may log; `/status` has the others. */
const maxLinesPerReport = 5

/** For `/status`. */
export interface FindingsStatus {
  /** The open findings of all rooms, the oldest first. */
  readonly list: readonly (ListedFinding & { readonly room: string })[]
  /** Those that are not listed, because there were too many. */
  readonly unlisted: number
}

/** The findings of all rooms. */
export class Findings {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #rooms = new Map<string, RoomFindings>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** The part of a room, named as its logger. */
  room(name: string): RoomFindings {
    const known = this.#rooms.get(name)
    if (known !== undefined) return known
    const room = new RoomFindings(this.#clock, this.#logger.child(name))
    this.#rooms.set(name, room)
    return room
  }

  /** For `/status`. */
  status(): FindingsStatus {
    const rooms = [...this.#rooms]
    const list = rooms.flatMap(([room, part]) => part.list().map((found) => ({ room, ...found })))
    return {
      list: list.toSorted((a, b) => a.since.localeCompare(b.since)),
      unlisted: rooms.reduce((sum, [, part]) => sum + part.unlisted, 0),
    }
  }

  stop(): void {
    for (const room of this.#rooms.values()) room.stop()
  }
}

/** What one room has found. */
export class RoomFindings {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #table = new FindingTable()
  readonly #expiry: Timeout

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
    this.#expiry = new Timeout(clock, () => this.#expire())
  }

  /** Findings that are not listed, because there were too many. */
  get unlisted(): number {
    return this.#table.unlisted
  }

  /**
   * The finding is so now. One that is open already has its text and details replaced and is not
   * logged again. With `lastsMs` it is over when it has not been raised again for that long, in
   * milliseconds.
   */
  raise(finding: Finding, lastsMs = Infinity): void {
    const [nowMs, wallMs] = [this.#clock.now(), this.#clock.wall()]
    if (this.#table.raise(finding, { nowMs, wallMs, lastsMs })) this.#logStart(finding)
    if (lastsMs !== Infinity) this.#expiry.setIfIdle(lastsMs)
  }

  /** The finding of this code, subject and key is over, if it was open. */
  clear(finding: FindingKey): void {
    const over = this.#table.clear(finding)
    if (over !== null) this.#logEnd(over)
  }

  /**
   * These are all findings of a group as of now: new ones start, and those that are not among them
   * are over.
   */
  replace(group: string, findings: readonly Finding[]): void {
    const [nowMs, wallMs] = [this.#clock.now(), this.#clock.wall()]
    const { started, over } = this.#table.replace(group, findings, { nowMs, wallMs })
    for (const finding of started.slice(0, maxLinesPerReport)) this.#logStart(finding)
    for (const finding of over.slice(0, maxLinesPerReport)) this.#logEnd(finding)
    const more = started.length - maxLinesPerReport
    if (more > 0) this.#logger.warn(`${more} more findings of this kind; /status lists them`)
  }

  list(): ListedFinding[] {
    return this.#table.list()
  }

  stop(): void {
    this.#expiry.stop()
  }

  #expire(): void {
    const { over, nextMs } = this.#table.expire(this.#clock.now())
    for (const finding of over) this.#logEnd(finding)
    if (nextMs !== null) this.#expiry.set(nextMs)
  }

  #logStart({ text, remedy, code }: Finding): void {
    this.#logger.warn(`${text}; ${remedy} [${code}]`, { event: 'finding-started' })
  }

  #logEnd({ finding: { text, code }, sinceMs }: OpenFinding): void {
    const lasted = durationText(this.#clock.wall() - sinceMs)
    this.#logger.info(`over after ${lasted}: ${text} [${code}]`, { event: 'finding-over' })
  }
}
