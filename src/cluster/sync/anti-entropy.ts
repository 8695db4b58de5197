/**
 * Finds out what gossip missed, and asks for it. Three things give a miss away: a hole among an
 * origin's versions; another member's root, which comes with every ack of a probe; and, when nobody was
 * compared with for a while, a digest sent to a member at random. A digest is answered with heads, heads
 * with what to send (want) and with heads of our own that are further.
 *
 * Invariant: what was asked for is not asked for again until it had time to come.
 */
import type { Timer } from '../../base/clock.ts'
import { below, pick } from '../../base/random.ts'
import type { Packed } from '../../base/bytes.ts'
import type { Hash } from '../log/digest.ts'
import type { Frame, VersionSummary, DeltaRequest } from '../wire/frames.ts'
import { summaryOf } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** Waits double up to this power of two: what nobody has any more is asked for every 13 s. */
const maxDoublings = 5
/** Holes asked for in one turn. */
const maxHoles = 64

interface AntiEntropyPorts extends SyncContext {
  /** Somebody knows more of our own log than we do: it is a former run's. */
  readonly onOwnAhead: (head: VersionSummary) => void
}

interface Asked {
  readonly member: string
  until: number
  attempts: number
}

export class AntiEntropy {
  readonly #ports: AntiEntropyPorts
  readonly #asked = new Map<Packed, Asked>()
  #roundTimer: Timer | null = null
  #holeTimer: Timer | null = null
  #comparedMs = -Infinity
  #digestMs = -Infinity
  #appliedMs = -Infinity
  #rounds = 0

  constructor(ports: AntiEntropyPorts) {
    this.#ports = ports
  }

  /** Digests sent so far. */
  get rounds(): number {
    return this.#rounds
  }

  start(): void {
    this.#armRound()
  }

  close(): void {
    const { clock } = this.#ports
    for (const timer of [this.#roundTimer, this.#holeTimer]) if (timer) clock.clearTimeout(timer)
    this.#roundTimer = this.#holeTimer = null
    this.#asked.clear()
  }

  /** Asks a member what it has that differs. */
  compareWith(member: string): void {
    this.#digestMs = this.#ports.clock.now()
    this.#rounds++
    this.#ports.sender.send(member, [
      { kind: 'digest', buckets: this.#ports.replica.digest.bytes() },
    ])
  }

  /** A member's root came with an ack of its. */
  onRoot(member: string, { high, low }: Hash): void {
    const now = this.#ports.clock.now()
    const root = this.#ports.replica.digest.root()
    if (root.high === high && root.low === low) this.#comparedMs = now
    else {
      const { settleMs } = this.#ports.options
      if (now - Math.max(this.#appliedMs, this.#digestMs) >= settleMs) this.compareWith(member)
    }
  }

  onDigest(member: string, bytes: Uint8Array): void {
    const { replica, sender } = this.#ports
    const buckets = replica.digest.differing(bytes)
    const asked = new Set(buckets)
    const heads = buckets.length === 0 ? [] : replica.summaries((bucket) => asked.has(bucket))
    sender.send(member, [{ kind: 'heads', answer: true, buckets, heads }])
  }

  /** Learns how far a member is; returns the heads that we have still to reach. */
  onSummaries(member: string, frame: Extract<Frame, { kind: 'heads' }>): VersionSummary[] {
    const { clock, sender } = this.#ports
    const ahead: Frame[] = []
    const ours: VersionSummary[] = []
    const theirs: VersionSummary[] = []
    for (const head of frame.heads) this.#weigh(head, { ahead, ours, theirs })
    if (frame.answer) {
      this.#comparedMs = clock.now()
      ours.push(...this.#unnamed(frame))
    }
    const wants = this.#wantsOf(
      member,
      theirs.map((head) => head.oid),
    )
    if (wants.length > 0) ahead.push({ kind: 'want', wants })
    if (frame.answer && ours.length > 0) {
      ahead.push({ kind: 'heads', answer: false, buckets: [], heads: ours })
    }
    if (ahead.length > 0) sender.send(member, ahead)
    return theirs
  }

  /** Something of an origin was applied; `answer` when it was asked for. */
  onApplied(oid: Packed, answer: boolean): void {
    const { replica, clock, options } = this.#ports
    const now = clock.now()
    this.#appliedMs = now
    const asked = this.#asked.get(oid)
    if (asked !== undefined) {
      if (!replica.incomplete.has(oid)) this.#asked.delete(oid)
      else if (answer) Object.assign(asked, { until: now + options.requestRetryMs, attempts: 0 })
    }
    this.#armHoles()
  }

  /** What a member says of its transfer to us. */
  onTransfer(member: string, state: 'more' | 'done' | 'busy'): void {
    const { clock, options } = this.#ports
    for (const [oid, asked] of this.#asked) {
      if (asked.member !== member) continue
      if (state === 'more') asked.until = clock.now() + 2 * options.requestRetryMs
      else this.#asked.delete(oid)
    }
    this.#armHoles()
  }

  /** Sorts one head of another member's: what it has more of, what we have more of, what is over. */
  #weigh(
    head: VersionSummary,
    to: { ahead: Frame[]; ours: VersionSummary[]; theirs: VersionSummary[] },
  ): void {
    const { replica, clock, onOwnAhead } = this.#ports
    const reception = replica.hearOf(head, clock.now())
    if (reception.kind === 'self') {
      const own = replica.self.log
      if (head.epoch > own.epoch || (head.epoch === own.epoch && head.head > own.head))
        onOwnAhead(head)
      else if (head.epoch < own.epoch || head.prefix < own.head) to.ours.push(summaryOf(own))
    } else if (reception.kind === 'over') {
      if (reception.left) to.ahead.push({ kind: 'bye', oid: head.oid, epoch: reception.epoch })
    } else {
      const { log } = reception.origin
      if (reception.kind === 'stale' || log.coverage.prefix > head.prefix)
        to.ours.push(summaryOf(log))
      else if (log.coverage.prefix < head.prefix) to.theirs.push(head)
    }
  }

  /** Our heads in the buckets of an answer that the answer does not name. */
  #unnamed(frame: Extract<Frame, { kind: 'heads' }>): VersionSummary[] {
    if (frame.buckets.length === 0) return []
    const named = new Set(frame.heads.map((head) => head.oid))
    const buckets = new Set(frame.buckets)
    const { replica } = this.#ports
    return replica.summaries((bucket) => buckets.has(bucket)).filter((head) => !named.has(head.oid))
  }

  /** What to ask of a member about these origins, but for what was asked for already. */
  #wantsOf(member: string, oids: readonly Packed[]): DeltaRequest[] {
    const { replica, clock, options } = this.#ports
    const now = clock.now()
    const wants: DeltaRequest[] = []
    for (const oid of oids) {
      const origin = replica.origin(oid)
      const before = this.#asked.get(oid)
      if (origin === undefined || (before !== undefined && before.until > now)) continue
      const attempts = (before?.attempts ?? -1) + 1
      const wait = options.requestRetryMs * 2 ** Math.min(attempts, maxDoublings)
      this.#asked.set(oid, { member, until: now + wait, attempts })
      wants.push({ oid, epoch: origin.log.epoch, coverage: origin.log.coverage })
    }
    if (wants.length > 0) this.#armHoles()
    return wants
  }

  #armRound(): void {
    const { clock, random, options } = this.#ports
    const wait = options.antiEntropyMs * (0.75 + below(random, 512) / 1024)
    this.#roundTimer = clock.setTimeout(() => this.#round(), wait)
  }

  #round(): void {
    const { clock, random, options, replica, members } = this.#ports
    this.#armRound()
    for (const oid of this.#asked.keys()) if (!replica.incomplete.has(oid)) this.#asked.delete(oid)
    if (clock.now() - this.#comparedMs < options.antiEntropyMs) return
    const member = pick(random, members.live())
    if (member !== undefined) this.compareWith(member)
  }

  #armHoles(): void {
    const { clock, options, replica } = this.#ports
    if (this.#holeTimer !== null || replica.incomplete.size === 0) return
    this.#holeTimer = clock.setTimeout(() => this.#fillHoles(), options.holeMs / 2)
  }

  /** Asks for what is missing: half of the time its owner, who has it for sure, else anybody. */
  #fillHoles(): void {
    this.#holeTimer = null
    const { clock, random, options, replica, members, sender } = this.#ports
    const now = clock.now()
    const live = members.live()
    const byMember = new Map<string, Packed[]>()
    let asked = 0
    for (const [oid, since] of replica.incomplete) {
      if (now - since < options.holeMs || (this.#asked.get(oid)?.until ?? 0) > now) continue
      if (asked++ === maxHoles) break
      const origin = replica.origin(oid)
      const owner = origin?.standing === 'visible' ? origin.name : null
      const member = owner !== null && below(random, 2) === 0 ? owner : pick(random, live)
      if (member === undefined) break
      byMember.set(member, [...(byMember.get(member) ?? []), oid])
    }
    for (const [member, oids] of byMember) {
      const wants = this.#wantsOf(member, oids)
      if (wants.length > 0) sender.send(member, [{ kind: 'want', wants }])
    }
    this.#armHoles()
  }
}
