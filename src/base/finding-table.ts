import type { LogFields } from './logger.ts'

/** Open findings kept for each room. Others cause them, so their number has to have a bound. */
const maxOpen = 200

/** Something that an operator should know and can do something about. */
export interface Finding {
  /** The kind, listed in docs/errors.md. */
  readonly code: string
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
export interface ListedFinding extends Omit<Finding, 'key'> {
  readonly since: string
  readonly lastAt: string
  /** How often it was raised since it started. */
  readonly times: number
}

/** What tells one finding from all others. */
export type FindingKey = Pick<Finding, 'code' | 'subject' | 'key'>

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
export class FindingTable {
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
  clear(finding: FindingKey): Finding | null {
    const id = idOf(finding)
    const known = this.#open.get(id)
    this.#open.delete(id)
    return known?.finding ?? null
  }

  /** Makes `findings` the open ones of `group`. */
  replace(
    group: string,
    findings: readonly Finding[],
    moment: Moment,
  ): { readonly started: readonly Finding[]; readonly over: readonly Finding[] } {
    const ids = new Set(findings.map(idOf))
    const over = this.#remove(({ group: other }, id) => other === group && !ids.has(id))
    this.#unlisted.delete(group)
    const started = findings.filter((finding) => this.raise(finding, moment, group))
    return { started, over }
  }

  /**
   * Removes what has not been raised for long enough. `nextMs` is the wait until more may be due.
   */
  expire(nowMs: number): { readonly over: readonly Finding[]; readonly nextMs: number | null } {
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

  #remove(isOver: (open: OpenFinding, id: string) => boolean): Finding[] {
    const over = [...this.#open].filter(([id, open]) => isOver(open, id))
    for (const [id] of over) this.#open.delete(id)
    return over.map(([, { finding }]) => finding)
  }
}

function idOf({ code, subject, key = '' }: FindingKey): string {
  return JSON.stringify([code, subject, key])
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
