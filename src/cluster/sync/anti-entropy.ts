/**
 * Anti-entropy: finds what gossip missed, and requests it. Three things reveal a miss: a hole among
 * an origin's versions; another member's root, which comes with every ack of a probe; and, when no
 * member was compared with for a while, a digest sent to a random member. A digest is answered with
 * version summaries, those with a delta request and with the summaries that are further here.
 *
 * Invariant: what was requested is not requested again before it had time to come.
 */
import { below, pick } from '../../base/random.ts'
import { Timeout } from '../../base/timers.ts'
import type { Packed } from '../../base/bytes.ts'
import type { Hash } from '../log/digest.ts'
import { type DeltaRequest, type Frame, leaveFrame } from '../wire/frames.ts'
import { type VersionSummary, summariesOf } from '../log/origin.ts'
import type { SyncContext } from './context.ts'

/** Waits double up to this power of two: what no member has any more is requested every 13 s. */
const maxDoublings = 5
/** Origins with holes that are requested in one turn, at most. */
const maxHoles = 64

interface AntiEntropyPorts extends SyncContext {
  /** A member knows more of our own log than we do: it is an earlier run's. */
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
  readonly #nextRound: Timeout
  readonly #nextFill: Timeout
  #comparedMs = -Infinity
  #digestMs = -Infinity
  #appliedMs = -Infinity
  #rounds = 0

  constructor(ports: AntiEntropyPorts) {
    this.#ports = ports
    this.#nextRound = new Timeout(ports.clock, () => this.#round())
    this.#nextFill = new Timeout(ports.clock, () => this.#fillHoles())
  }

  /** Digests sent so far. */
  get rounds(): number {
    return this.#rounds
  }

  start(): void {
    this.#armRound()
  }

  close(): void {
    this.#nextRound.stop()
    this.#nextFill.stop()
    this.#asked.clear()
  }

  /** Sends a digest to a member, which answers with what differs. */
  compareWith(member: string): void {
    this.#digestMs = this.#ports.clock.now()
    this.#rounds++
    this.#ports.sender.send(member, [
      { kind: 'digest', buckets: this.#ports.replica.digest.bytes() },
    ])
  }

  /** A member's root came with its ack. */
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
    const summaries = buckets.length === 0 ? [] : replica.summaries((bucket) => asked.has(bucket))
    sender.send(member, [{ kind: 'summaries', answer: true, buckets, summaries }])
  }

  /** A member says how far it is; returns the summaries that are ahead of ours. */
  onSummaries(member: string, frame: Extract<Frame, { kind: 'summaries' }>): VersionSummary[] {
    const { clock, sender } = this.#ports
    const frames: Frame[] = []
    const ours: VersionSummary[] = []
    const theirs: VersionSummary[] = []
    for (const head of frame.summaries) this.#weigh(member, head, { frames, ours, theirs })
    if (frame.answer) {
      this.#comparedMs = clock.now()
      ours.push(...this.#unnamed(frame))
    }
    const requests = this.#requestsFor(
      member,
      theirs.map((head) => head.oid),
    )
    if (requests.length > 0) frames.push({ kind: 'deltaRequest', requests })
    if (frame.answer && ours.length > 0) {
      frames.push({ kind: 'summaries', answer: false, buckets: [], summaries: ours })
    }
    if (frames.length > 0) sender.send(member, frames)
    return theirs
  }

  /** Something of an origin was applied; `answer` when we had requested it. */
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

  /** The state of a member's transfer to us. */
  onTransfer(member: string, state: 'more' | 'done' | 'busy'): void {
    const { clock, options } = this.#ports
    for (const [oid, asked] of this.#asked) {
      if (asked.member !== member) continue
      if (state === 'more') asked.until = clock.now() + 2 * options.requestRetryMs
      else this.#asked.delete(oid)
    }
    this.#armHoles()
  }

  /** Sorts a member's summary: it is further, we are further, or the epoch is over. */
  #weigh(
    member: string,
    head: VersionSummary,
    to: { frames: Frame[]; ours: VersionSummary[]; theirs: VersionSummary[] },
  ): void {
    const { replica, clock, members, onOwnAhead } = this.#ports
    const isOwner = members.get(member)?.oid === head.oid
    const result = replica.hearOf(head, clock.now(), isOwner)
    if (result.kind === 'self') {
      const own = replica.self.log
      if (head.epoch > own.epoch || (head.epoch === own.epoch && head.head > own.head))
        onOwnAhead(head)
      else if (head.epoch < own.epoch || head.prefix < own.head) to.ours.push(...summariesOf(own))
    } else if (result.kind === 'over') {
      if (result.tombstone.left) to.frames.push(leaveFrame(head.oid, result.tombstone))
    } else if (result.kind !== 'refused') {
      const { log } = result.origin
      const isOlder = log.epoch < head.epoch
      const isAhead = result.kind === 'stale' || log.coverage.prefix > head.prefix
      if (isAhead && !isOlder) to.ours.push(...summariesOf(log))
      else if (isOlder || log.coverage.prefix < head.prefix) to.theirs.push(head)
    }
  }

  /** Our summaries in the buckets of an answer that the answer does not have. */
  #unnamed(frame: Extract<Frame, { kind: 'summaries' }>): VersionSummary[] {
    if (frame.buckets.length === 0) return []
    const named = new Set(frame.summaries.map((head) => head.oid))
    const buckets = new Set(frame.buckets)
    const { replica } = this.#ports
    return replica.summaries((bucket) => buckets.has(bucket)).filter((head) => !named.has(head.oid))
  }

  /** The delta requests for these origins, without those that are still under way. */
  #requestsFor(member: string, oids: readonly Packed[]): DeltaRequest[] {
    const { replica, clock, options } = this.#ports
    const now = clock.now()
    const requests: DeltaRequest[] = []
    for (const oid of oids) {
      const origin = replica.origin(oid)
      const before = this.#asked.get(oid)
      if (origin === undefined || (before !== undefined && before.until > now)) continue
      if (origin.log.disputed && member !== origin.name) continue
      const attempts = (before?.attempts ?? -1) + 1
      const wait = options.requestRetryMs * 2 ** Math.min(attempts, maxDoublings)
      this.#asked.set(oid, { member, until: now + wait, attempts })
      requests.push({ oid, epoch: origin.log.epoch, coverage: origin.log.coverage })
    }
    if (requests.length > 0) this.#armHoles()
    return requests
  }

  #armRound(): void {
    const { random, options } = this.#ports
    this.#nextRound.set(options.antiEntropyMs * (0.75 + below(random, 512) / 1024))
  }

  #round(): void {
    const { clock, random, options, replica, members } = this.#ports
    this.#armRound()
    this.#remindOfEpochs()
    for (const oid of this.#asked.keys()) if (!replica.incomplete.has(oid)) this.#asked.delete(oid)
    if (clock.now() - this.#comparedMs < options.antiEntropyMs) return
    const member = pick(random, members.live())
    if (member !== undefined) this.compareWith(member)
  }

  /**
   * A member whose epoch is lower than an epoch of its that we know has lost its disk and its
   * clock: it learns that, and begins a higher one.
   */
  #remindOfEpochs(): void {
    const { replica, members, sender } = this.#ports
    for (const name of members.live()) {
      const { oid, epoch } = members.get(name)!
      const known = replica.knownEpoch(oid)
      if (known <= epoch) continue
      const summaries = [{ oid, epoch: known, prefix: 0, head: 0 }]
      sender.send(name, [{ kind: 'summaries', answer: false, buckets: [], summaries }])
    }
  }

  #armHoles(): void {
    const { options, replica } = this.#ports
    if (replica.incomplete.size > 0) this.#nextFill.setIfIdle(options.holeMs / 2)
  }

  /**
   * Requests what is missing: half of the time from its owner, who has it, else from any member.
   */
  #fillHoles(): void {
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
      const isOwners = owner !== null && (origin?.log.disputed === true || below(random, 2) === 0)
      const member = isOwners ? owner : pick(random, live)
      if (member === undefined) break
      byMember.set(member, [...(byMember.get(member) ?? []), oid])
    }
    for (const [member, oids] of byMember) {
      const requests = this.#requestsFor(member, oids)
      if (requests.length > 0) sender.send(member, [{ kind: 'deltaRequest', requests }])
    }
    this.#armHoles()
  }
}
