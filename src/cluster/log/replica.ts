/**
 * All origins as this member knows them: whose records they are, whether they are visible, and the
 * digest of it all. Pure bookkeeping: it reads no clock, sends nothing, and every method returns
 * what it changed.
 *
 * Invariant: the digest holds exactly the origins that were heard of, each at its epoch and prefix;
 * an origin's visible records are its log's, except while a restarted owner's new log is
 * incomplete: then they are the old one's (`shown`), so that a restart is no outage.
 */
import { assert } from '../../base/errors.ts'
import type { Packed } from '../../base/bytes.ts'
import { EpochTombstones, isLiftedBy } from './epoch-tombstones.ts'
import { Digest, bucketOf, hashOf, oidOfName } from './digest.ts'
import {
  type ApplyResult,
  type Mark,
  type MemberStatus,
  type MutableOrigin,
  type Origin,
  type ReplicaLimits,
  type VersionSummary,
  blankOrigin,
  maxUnknownOrigins,
  summariesOf,
  visibleRecords,
} from './origin.ts'
import { type Delta, type Entry, OriginLog, type SignHead } from './origin-log.ts'

/** Hidden origins are kept up to twice the members, and in a small cluster up to this many. */
const minHidden = 64

export class Replica {
  readonly digest = new Digest()
  /** Origins of which something is missing, with the time since when. */
  readonly incomplete = new Map<Packed, number>()
  /** Origins that write or send but are no live members here, with the time since when. */
  readonly unknownOrigins = new Map<Packed, number>()
  readonly #origins = new Map<Packed, MutableOrigin>()
  readonly epochTombstones = new EpochTombstones()
  readonly #self: MutableOrigin
  readonly #limits: ReplicaLimits
  readonly #mark: Mark
  /** How our own log is signed; null where logs are not. */
  readonly #sign: SignHead | null

  constructor(
    self: Omit<MemberStatus, 'state'>,
    limits: ReplicaLimits,
    mark: Mark,
    sign: SignHead | null = null,
  ) {
    this.#limits = limits
    this.#mark = mark
    this.#sign = sign
    this.#self = blankOrigin(oidOfName(self.name), self.epoch, 0)
    this.#self.log = new OriginLog(this.#self.oid, self.epoch, sign)
    const { name, address } = self
    Object.assign(this.#self, { self: true, standing: 'visible', name, address })
    this.#origins.set(this.#self.oid, this.#self)
  }

  get self(): Origin {
    return this.#self
  }

  get origins(): Iterable<Origin> {
    return this.#origins.values()
  }

  origin(oid: Packed): Origin | undefined {
    return this.#origins.get(oid)
  }

  /** The highest epoch heard of an origin, over or not; 0 when none. */
  knownEpoch(oid: Packed): number {
    const over = this.epochTombstones.get(oid)?.epoch ?? 0
    return Math.max(over, this.#origins.get(oid)?.log.epoch ?? 0)
  }

  /** Gives the next version of our own log to a value, or to its deletion. */
  write(id: Packed, value: Packed | null, now: number): Entry {
    const entry = this.#self.log.write(id, value, now)
    this.#rehash(this.#self)
    return entry
  }

  /**
   * From here on others may learn how far our own log is. Not before everything that an earlier run
   * left on the host is in it again: they take a log that they have completely as the truth.
   */
  open(): void {
    this.#self.log.hearOf(0)
    this.#rehash(this.#self)
  }

  /** Writes our own records again, in a new epoch. */
  startEpoch(epoch: number, now: number): void {
    const old = this.#self.log
    assert(epoch > old.epoch, 'epochs only grow')
    this.#self.log = new OriginLog(this.#self.oid, epoch, this.#sign)
    if (old.heard) this.#self.log.hearOf(0)
    for (const [id, value] of old.live()) this.#self.log.write(id, value, now)
    this.#rehash(this.#self)
  }

  /** Applies a delta. */
  apply(delta: Delta, now: number): ApplyResult {
    const origin = this.#admit(delta.oid, delta.epoch, now)
    if (origin.kind !== 'applied') return origin
    const target = origin.origin as MutableOrigin
    const { changes, entries } = target.log.apply(delta, now)
    if (target.standing === 'visible' && target.shown === null) {
      for (const change of changes) this.#mark(target, change.id, change.previous)
    }
    const isSpreading = entries.length > 0 && !delta.repair
    if (isSpreading && target.standing !== 'visible' && !this.unknownOrigins.has(target.oid)) {
      this.unknownOrigins.set(target.oid, now)
    }
    this.#settle(target, now)
    return { ...origin, entries }
  }

  /**
   * Learns how far an origin has got. Where logs are signed, what others than the owner say of it
   * is a hint: a log begins, and grows, with a signed head.
   */
  hearOf({ oid, epoch, head }: VersionSummary, now: number, byOwner = true): ApplyResult {
    const isHint = this.#sign !== null && !byOwner
    const result = this.#admit(oid, epoch, now, isHint)
    if (result.kind !== 'applied' || isHint) return result
    result.origin.log.hearOf(head)
    this.#settle(result.origin as MutableOrigin, now)
    return result
  }

  /** Follows a member's state. */
  member({ name, state, address, epoch }: MemberStatus, now: number): void {
    const oid = oidOfName(name)
    if (oid === this.#self.oid) return
    if (state === 'left') {
      this.endEpoch(oid, epoch, now)
      return this.#suspectLaterRun(oid, epoch, now)
    }
    const standing = state === 'dead' ? 'hidden' : 'visible'
    const tombstone = this.epochTombstones.get(oid)
    if (tombstone !== undefined) {
      if (standing === 'hidden' || !isLiftedBy(tombstone, epoch)) return
      this.epochTombstones.delete(oid)
    }
    const origin = this.#originOf(oid, epoch, now)
    if (tombstone?.epoch === epoch && tombstone.version > 0) origin.log.hearOf(tombstone.version)
    if (origin.address !== address) {
      this.#markAll(origin)
      Object.assign(origin, { name, address })
    }
    // Metadata is passed on by others, too: where logs are signed it ends no log that is visible.
    const isOver = this.#sign === null || origin.standing !== 'visible'
    if (epoch > origin.log.epoch && isOver) this.#beginEpoch(origin, epoch, now)
    this.#stand(origin, standing, now)
    if (standing === 'hidden') this.#suspectLaterRun(oid, epoch, now)
    this.#settle(origin, now)
  }

  /**
   * An epoch is over, and records of a later one are here. Its end may
   * never be reported, so they are hidden until its owner is known to be alive.
   */
  #suspectLaterRun(oid: Packed, epoch: number, now: number): void {
    const origin = this.#origins.get(oid)
    if (origin === undefined || origin.log.epoch <= epoch) return
    this.#stand(origin, 'hidden', now)
    this.unknownOrigins.set(oid, now)
  }

  /** The owner has left in this epoch. Returns whether that was new. */
  endEpoch(oid: Packed, epoch: number, now: number, signature: Packed = ''): boolean {
    const before = this.epochTombstones.get(oid)
    if (before !== undefined && before.left && before.epoch >= epoch) return false
    const origin = this.#origins.get(oid)
    if (oid === this.#self.oid || (origin !== undefined && origin.log.epoch > epoch)) return false
    if (origin !== undefined) this.#drop(origin)
    const untilMs = now + this.#limits.epochTombstoneMs
    this.epochTombstones.set(oid, { epoch, left: true, untilMs, signature, version: 0 })
    return true
  }

  /** Drops what is too old. `members` is their number, for the limit of hidden origins. */
  expire(now: number, members: number): void {
    const { pendingEpochMs, hiddenHoldMs, tombstoneMs, maxTombstones } = this.#limits
    const hidden: MutableOrigin[] = []
    for (const origin of this.#origins.values()) {
      if (origin.shown !== null && now - origin.sinceMs >= pendingEpochMs) this.#swap(origin)
      if (origin.standing !== 'visible') hidden.push(origin)
      origin.log.dropTombstones(now - tombstoneMs, maxTombstones)
    }
    hidden.sort((a, b) => a.sinceMs - b.sinceMs)
    const excess = hidden.length - Math.max(minHidden, 2 * members)
    for (const [i, origin] of hidden.entries()) {
      if (i < excess || now - origin.sinceMs >= hiddenHoldMs) this.#evict(origin, now)
    }
    this.epochTombstones.expire(now)
  }

  /** The version summaries of the origins that were heard of, in those buckets. */
  summaries(inBucket: (bucket: number) => boolean): VersionSummary[] {
    const wanted = [...this.#origins.values()].filter(({ oid }) => inBucket(bucketOf(oid)))
    return wanted.flatMap(({ log }) => summariesOf(log))
  }

  #admit(oid: Packed, epoch: number, now: number, isHint = false): ApplyResult {
    if (oid === this.#self.oid) return { kind: 'self' }
    const tombstone = this.epochTombstones.get(oid)
    if (tombstone !== undefined && epoch <= tombstone.epoch) return { kind: 'over', tombstone }
    if (this.unknownOrigins.size >= maxUnknownOrigins && !this.#origins.has(oid))
      return { kind: 'refused' }
    const origin = this.#originOf(oid, isHint ? 0 : epoch, now)
    if (epoch < origin.log.epoch) return { kind: 'stale', origin }
    if (epoch > origin.log.epoch && !isHint) this.#beginEpoch(origin, epoch, now)
    return { kind: 'applied', origin, entries: [] }
  }

  #originOf(oid: Packed, epoch: number, now: number): MutableOrigin {
    const known = this.#origins.get(oid)
    if (known !== undefined) return known
    const origin = blankOrigin(oid, epoch, now)
    this.#origins.set(oid, origin)
    this.unknownOrigins.set(oid, now)
    return origin
  }

  #beginEpoch(origin: MutableOrigin, epoch: number, now: number): void {
    const old = origin.log
    if (origin.standing === 'visible' && origin.shown === null && old.size > 0) {
      origin.shown = new Map(old.live())
      origin.sinceMs = now
    }
    origin.log = new OriginLog(origin.oid, epoch)
    this.#settle(origin, now)
  }

  #stand(origin: MutableOrigin, standing: 'visible' | 'hidden', now: number): void {
    if (origin.standing === standing) return
    this.unknownOrigins.delete(origin.oid)
    if (origin.standing === 'visible') {
      this.#markAll(origin)
      origin.shown = null
    }
    origin.standing = standing
    origin.sinceMs = now
    if (standing === 'visible') for (const [id] of origin.log.live()) this.#mark(origin, id, null)
  }

  /** After a change of a log: updates the digest and `incomplete`, ends a restart. */
  #settle(origin: MutableOrigin, now: number): void {
    this.#rehash(origin)
    const { log, oid } = origin
    if (log.complete || !log.heard) this.incomplete.delete(oid)
    else if (!this.incomplete.has(oid)) this.incomplete.set(oid, now)
    if (origin.shown !== null && log.complete) this.#swap(origin)
  }

  #swap(origin: MutableOrigin): void {
    const shown = origin.shown
    if (shown === null) return
    for (const [id, value] of shown) this.#mark(origin, id, value)
    for (const [id] of origin.log.live()) if (!shown.has(id)) this.#mark(origin, id, null)
    origin.shown = null
  }

  /** Drops a member that has been dead for too long, or one that never joined. */
  #evict(origin: MutableOrigin, now: number): void {
    const { epoch, coverage } = origin.log
    this.#drop(origin)
    const ended = { epoch, left: false, signature: '', version: coverage.prefix }
    const untilMs = now + this.#limits.epochTombstoneMs
    this.epochTombstones.set(origin.oid, { ...ended, untilMs })
  }

  #drop(origin: MutableOrigin): void {
    this.#markAll(origin)
    origin.standing = 'gone'
    this.#origins.delete(origin.oid)
    this.incomplete.delete(origin.oid)
    this.unknownOrigins.delete(origin.oid)
    if (origin.hash !== null) this.digest.toggle(origin.oid, origin.hash)
    origin.hash = null
  }

  #markAll(origin: MutableOrigin): void {
    for (const [id, value] of visibleRecords(origin)) this.#mark(origin, id, value)
  }

  #rehash(origin: MutableOrigin): void {
    const { oid, log } = origin
    const hash = log.heard ? hashOf(oid, log.epoch, log.coverage.prefix) : null
    if (origin.hash !== null) this.digest.toggle(oid, origin.hash)
    if (hash !== null) this.digest.toggle(oid, hash)
    origin.hash = hash
  }
}
