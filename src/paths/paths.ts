import type { Clock } from '../base/clock.ts'
import type { RoomFindings } from '../base/findings.ts'
import type { Random } from '../base/random.ts'
import { Every } from '../base/timers.ts'
import type { Ip } from '../net/ip.ts'
import type { Vni } from '../net/vni.ts'
import { type PathState, type PathView, findingsOf, stateOf } from './path-findings.ts'
import { PathRecord } from './path-record.ts'
import { decodeProbe, encodeProbe } from './probe-payload.ts'

/*
 * The paths that frames take to other hosts: probes go through the tunnels of overlays, small and
 * as large as containers send them, and come back as echoes. What is lost becomes a finding, with
 * the direction, because gossip goes another way and notices nothing.
 *
 * Invariant: at most `maxPacketsPerSecond` probes leave this host, and as many echoes, whatever the
 * number of hosts. It may not change anything.
 */

/** Probes of this host, whatever the number of paths. */
const maxPacketsPerSecond = 20
/** They leave together: a process that wakes up for each takes several times the processor time. */
const tickMs = 1000
/**
 * A path on which nothing was lost is probed again after four or five ticks, at random: members
 * that probe one host in the same second would find it without echoes left. One in doubt each tick.
 */
const calmTicks = [4, 5] as const
/** A path that one side asked about is in doubt on both for this time. */
const doubtMs = 5000
/** All endpoints of an overlay are read for its members. */
const targetsMs = 3000
/** A path gets a small and a full one at a time. */
const maxPathsPerTick = (maxPacketsPerSecond * tickMs) / 1000 / 2
/** With more paths than this, members are probed through one overlay each. */
const maxPaths = 50
/** A probe that arrived this long ago says nothing any more; longer where there are many paths. */
const heardMs = 2500
/** Between two questions to a member whether our probes arrive there. */
const askMs = 2000

/** A member that shares an overlay with this host. */
export interface Target {
  readonly member: string
  readonly overlayId: string
  readonly vni: Vni
  readonly vtep: Ip
  /** Bytes. */
  readonly mtu: number
  readonly port: number
}

/** Packets through the tunnels. */
export interface TunnelProbes {
  listen(
    overlayIds: readonly string[],
    onPacket: (overlayId: string, payload: Uint8Array) => void,
  ): void
  send(target: Target, payload: Uint8Array, packetBytes: number): void
  close(): void
}

interface PathsParts {
  readonly clock: Clock
  readonly random: Random
  readonly findings: RoomFindings
  readonly probes: TunnelProbes
  readonly self: { readonly member: string; readonly vtep: Ip; readonly port: number }
  /** The live members of each overlay that this host has containers on. */
  readonly targets: () => readonly Target[]
  /** By gossip: the overlays through which probes of ours have arrived there lately. */
  readonly ask: (member: string) => Promise<readonly string[]>
}

interface Path {
  target: Target
  readonly record: PathRecord
  probedMs: number
  dueMs: number
  askedMs: number
  doubtUntilMs: number
  arrivesThere: boolean | null
}

/** For `/status`. */
export interface PathStatus {
  readonly state: PathState
  /** Round trip through the tunnel, ms. */
  readonly rttMs: number | null
  /** The packets that pass have this size, in bytes; null when only small ones do. */
  readonly bytes: number | null
}

export class Paths {
  readonly #parts: PathsParts
  readonly #paths = new Map<string, Path>()
  /** When a probe of a member last arrived here, by path, ms. */
  readonly #heard = new Map<string, number>()
  readonly #nonce: number
  readonly #ticks: Every
  /** What waits for the echo of a probe that was asked for, by sequence number. */
  readonly #awaited = new Map<number, () => void>()
  #sequence = 0
  #lookedMs = -Infinity
  #echoes = { windowMs: 0, count: 0 }

  constructor(parts: PathsParts) {
    this.#parts = parts
    this.#nonce = parts.random.uint32()
    this.#ticks = new Every({ clock: parts.clock, intervalMs: tickMs, run: () => this.#tick() })
  }

  start(): void {
    this.#ticks.start()
  }

  stop(): void {
    this.#ticks.stop()
    this.#parts.probes.close()
  }

  /**
   * The overlays through which probes of a member have arrived here lately. It asks because it lost
   * some: probes of this host show the other direction.
   */
  heardFrom(member: string): string[] {
    const now = this.#parts.clock.now()
    const paths = [...this.#paths.values()].filter(({ target }) => target.member === member)
    for (const path of paths) path.doubtUntilMs = now + doubtMs
    return paths
      .filter(({ target }) => this.#isHeard(target, now))
      .map(({ target }) => target.overlayId)
  }

  /** The path to a member; of several, the worst. Null when no overlay is shared. */
  status(member: string): PathStatus | null {
    const now = this.#parts.clock.now()
    const all = [...this.#paths.values()].filter(({ target }) => target.member === member)
    const views = all.map((path) => ({ path, state: stateOf(this.#viewOf(path, now)) }))
    const worst = views.find(({ state }) => state !== 'up') ?? views[0]
    if (worst === undefined) return null
    const { record, target } = worst.path
    const isWhole = record.verdict('full', now) === 'up'
    return { state: worst.state, rttMs: record.rttMs, bytes: isWhole ? target.mtu : null }
  }

  /** The paths to a member, one for each overlay that is shared. */
  to(member: string): Target[] {
    const all = Array.from(this.#paths.values(), ({ target }) => target)
    return all.filter((target) => target.member === member)
  }

  /**
   * Sends one probe besides those of the heartbeat, because a person asked for it. Resolves with
   * the round trip in ms, or with null when no echo came within `timeoutMs`.
   */
  probe(target: Target, packetBytes: number, timeoutMs: number): Promise<number | null> {
    const { clock, probes, self } = this.#parts
    const sequence = (this.#sequence = (this.#sequence + 1) % 2 ** 32)
    const sentMs = clock.now()
    return new Promise((resolve) => {
      const settle = (rttMs: number | null): void => {
        clock.clearTimeout(limit)
        this.#awaited.delete(sequence)
        resolve(rttMs)
      }
      const limit = clock.setTimeout(() => settle(null), timeoutMs)
      this.#awaited.set(sequence, () => settle(clock.now() - sentMs))
      const payload = { kind: 'probe', nonce: this.#nonce, sequence, sender: self.member } as const
      probes.send(target, encodeProbe(payload), packetBytes)
    })
  }

  #tick(): void {
    const now = this.#parts.clock.now()
    if (now - this.#lookedMs >= targetsMs) this.#updatePaths(now)
    this.#look(now)
    const due = [...this.#paths.values()]
      .filter((path) => now >= path.dueMs || isInDoubt(path, now))
      .toSorted((a, b) => a.probedMs - b.probedMs)
    for (const path of due.slice(0, maxPathsPerTick)) this.#probe(path, now)
  }

  #probe(path: Path, now: number): void {
    path.probedMs = now
    path.dueMs = now + calmTicks[this.#parts.random.uint32() % calmTicks.length]! * tickMs
    for (const [size, bytes] of [['small', 0] as const, ['full', path.target.mtu] as const]) {
      const sequence = (this.#sequence = (this.#sequence + 1) % 2 ** 32)
      path.record.sent(size, sequence, now)
      const sender = this.#parts.self.member
      const payload = encodeProbe({ kind: 'probe', nonce: this.#nonce, sequence, sender })
      this.#parts.probes.send(path.target, payload, bytes)
    }
  }

  /** Which paths there are now. */
  #updatePaths(now: number): void {
    const { probes, targets } = this.#parts
    this.#lookedMs = now
    const wanted = fewer(targets())
    const keys = new Set(wanted.map(keyOf))
    for (const key of this.#paths.keys())
      if (!keys.has(key)) {
        this.#paths.delete(key)
        this.#heard.delete(key)
      }
    for (const target of wanted) {
      const known = this.#paths.get(keyOf(target))
      if (known === undefined) this.#paths.set(keyOf(target), newPath(target))
      else known.target = target
    }
    probes.listen([...new Set(wanted.map(({ overlayId }) => overlayId))], (overlayId, payload) =>
      this.#onPacket(overlayId, payload),
    )
  }

  /** What is wrong with the paths. */
  #look(now: number): void {
    const { findings, self } = this.#parts
    for (const path of this.#paths.values()) this.#askWhereLost(path, now)
    const views = Array.from(this.#paths.values(), (path) => this.#viewOf(path, now))
    findings.replace('paths', findingsOf(views, self))
  }

  /** With the first lost probe the other side is asked, so that it probes this one, too. */
  #askWhereLost(path: Path, now: number): void {
    const isLost = path.record.verdict('small', now) === 'lost'
    if (!isLost) path.arrivesThere = null
    if (!isLost && (path.record.lastIsUp(now) || now < path.doubtUntilMs)) return
    if (isLost && now - path.askedMs < askMs) return
    path.askedMs = now
    path.doubtUntilMs = now + doubtMs
    const { member, overlayId } = path.target
    this.#parts.ask(member).then(
      (overlays) => void (path.arrivesThere = isLost ? overlays.includes(overlayId) : null),
      // It is away, or of a release without probes: nothing can be said.
      () => void (path.arrivesThere = null),
    )
  }

  #onPacket(overlayId: string, payload: Uint8Array): void {
    const probe = decodeProbe(payload)
    const path = probe === null ? undefined : this.#paths.get(`${overlayId} ${probe.sender}`)
    if (probe === null || path === undefined) return
    const now = this.#parts.clock.now()
    if (probe.kind === 'echo') {
      if (probe.nonce !== this.#nonce) return
      path.record.echoed(probe.sequence, now)
      this.#awaited.get(probe.sequence)?.()
      return
    }
    this.#heard.set(keyOf(path.target), now)
    if (!this.#mayEcho(now)) return
    const echo = encodeProbe({ ...probe, kind: 'echo', sender: this.#parts.self.member })
    this.#parts.probes.send(path.target, echo, 0)
  }

  /** Others decide how many probes come; a second has room for those of many hosts. */
  #mayEcho(now: number): boolean {
    if (now - this.#echoes.windowMs >= 1000) this.#echoes = { windowMs: now, count: 0 }
    return this.#echoes.count++ < 2 * maxPacketsPerSecond
  }

  #viewOf({ target, record, arrivesThere }: Path, now: number): PathView {
    return {
      ...target,
      small: record.verdict('small', now),
      full: record.verdict('full', now),
      loss: record.loss(now),
      arrivesThere,
      arrivesHere: this.#isHeard(target, now),
    }
  }

  #isHeard(target: Target, now: number): boolean {
    const roundMs = Math.ceil(this.#paths.size / maxPathsPerTick) * tickMs
    const lastMs = this.#heard.get(keyOf(target)) ?? -Infinity
    return now - lastMs < heardMs + 2 * (roundMs - tickMs)
  }
}

/** Where there are many paths, one for each member. */
export function fewer(targets: readonly Target[]): readonly Target[] {
  if (targets.length <= maxPaths) return targets
  return [...new Map(targets.map((target) => [target.member, target])).values()]
}

function newPath(target: Target): Path {
  const never = -Infinity
  const times = { probedMs: never, dueMs: never, askedMs: never, doubtUntilMs: never }
  return { target, record: new PathRecord(), ...times, arrivesThere: null }
}

function isInDoubt({ record, doubtUntilMs }: Path, now: number): boolean {
  return now < doubtUntilMs || !record.isClean(now)
}

function keyOf({ overlayId, member }: Target): string {
  return `${overlayId} ${member}`
}
