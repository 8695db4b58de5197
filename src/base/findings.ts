/**
 * Findings: what is wrong on this host or between hosts, since when, and what to do about it. Each
 * is logged once when it starts and once when it is over, and `/status` lists those that are open.
 * A room has a part of the registry of its own, and raises and clears its findings by key.
 */
import type { Clock } from './clock.ts'
import { type Finding, type FindingKey, FindingTable, type ListedFinding } from './finding-table.ts'
import type { Logger } from './logger.ts'
import { Timeout } from './timers.ts'

export type { Finding, ListedFinding } from './finding-table.ts'

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
    this.#logger.warn(`${text}; ${remedy} [${code}]`)
  }

  #logEnd({ text, code }: Finding): void {
    this.#logger.info(`over: ${text} [${code}]`)
  }
}
