import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { addressToBytes, bytesToAddress, type SocketAddress } from '../../socket-address.ts'
import { MAX_META_BYTES, MAX_NAME_BYTES } from '../../limits.ts'
import { isPresent, versionsFromBytes, versionsToBytes, type Member } from '../../member.ts'
import type { Versions } from '../../member.ts'
import { compatible, plausible } from '../../rules/compatibility.ts'
import { expectedConfirmations, suspicionTimeout } from '../../rules/formulas.ts'
import {
  judgeAlive,
  judgeDead,
  judgeSuspect,
  refutingIncarnation,
  type Accusation,
  type AliveClaim,
  type Knowledge,
} from '../../rules/judgement.ts'
import { encodeMessage, type Alive, type Message } from '../../wire/messages.ts'
import type { BroadcastQueue } from '../messaging/broadcast-queue.ts'
import type { Counters } from '../counters.ts'
import type { Roster } from './roster.ts'
import { Suspicion } from './suspicion.ts'

const EMPTY = new Uint8Array()

/** What the outside learns of changes. */
export interface MembershipObserver {
  joined(member: Member): void
  updated(member: Member, previous: Member): void
  suspected(member: Member): void
  refuted(member: Member): void
  gone(member: Member, how: 'left' | 'failed'): void
  conflicted(known: Member, claimant: Member): void
  /** We had to refute something that was said of us. */
  accused(): void
  /** Whether to believe that this member is alive. */
  accepts(member: Member): boolean
}

export interface MembershipParts {
  readonly name: string
  readonly versions: Versions
  readonly config: Config
  readonly clock: Clock
  readonly roster: Roster
  readonly broadcasts: BroadcastQueue
  readonly counters: Counters
  readonly observer: MembershipObserver
}

/**
 * Who is in the cluster: takes in what is heard, applies the verdicts, passes news on, and stands
 * up for itself.
 */
export class Membership {
  readonly #parts: MembershipParts
  readonly #suspicions = new Map<string, Suspicion>()
  #leaving = false

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  get self(): Member {
    return this.#parts.roster.get(this.#parts.name)!
  }

  get leaving(): boolean {
    return this.#leaving
  }

  /** Enters ourselves, with incarnation 1. */
  enter(endpoint: SocketAddress, meta: Uint8Array): void {
    const { name, versions, clock } = this.#parts
    const { address, port } = endpoint
    const since = clock.now()
    this.#adopt({ name, address, port, meta, versions, incarnation: 1, state: 'alive', since })
  }

  /** Gives ourselves a new meta and tells the others. */
  changeMeta(meta: Uint8Array, onFinished: (sent: boolean) => void): void {
    this.#adopt({ ...this.self, meta, incarnation: this.self.incarnation + 1 }, onFinished)
  }

  /** Says goodbye. From here on we do not contradict our death. */
  leave(onFinished: (sent: boolean) => void): void {
    this.#leaving = true
    const { name, incarnation } = this.self
    this.#applyDead({ name, incarnation, from: name }, onFinished)
  }

  /** Stops all suspicions. */
  close(): void {
    for (const suspicion of this.#suspicions.values()) suspicion.cancel()
    this.#suspicions.clear()
  }

  /** An alive message came. */
  heardAlive(body: Readonly<Alive>): void {
    const claim = this.#checkClaim(body)
    if (claim === undefined) return
    const { roster, config, counters, observer } = this.#parts
    const knowledge = this.#knowledge(claim.name)
    const { known } = knowledge
    const verdict = judgeAlive(claim, knowledge, config.deadMemberReclaimMs)
    if (verdict.act === 'refute') this.#refute(verdict.incarnation)
    if (verdict.act === 'conflict') observer.conflicted(known!, verdict.claimant)
    if (verdict.act !== 'accept') return
    if (known === undefined && roster.size >= config.maxMembers) {
      return counters.count('alive-too-many-members')
    }
    if (!observer.accepts(verdict.member)) return counters.count('alive-refused')
    this.#accept({ ...verdict.member, meta: Uint8Array.from(claim.meta) }, known)
  }

  /**
   * The claimant of a conflict is the member itself, at another address. Its incarnation is raised
   * above what was said of it at the old one; it counts on from there when it hears of that.
   */
  acceptMove(claimant: Member): void {
    const known = this.#parts.roster.get(claimant.name)
    if (known === undefined || known === this.self) return
    if (known.address === claimant.address && known.port === claimant.port) return
    const incarnation = Math.max(claimant.incarnation, known.incarnation + 1)
    this.#accept({ ...claimant, incarnation, since: this.#parts.clock.now() }, known)
  }

  /** A suspect message came, or we ourselves suspect. */
  heardSuspect(accusation: Accusation): void {
    const { name } = accusation
    const suspicion = this.#suspicions.get(name)
    const verdict = judgeSuspect(accusation, this.#knowledge(name), suspicion !== undefined)
    if (verdict.act === 'refute') this.#refute(verdict.incarnation)
    if (verdict.act === 'confirm' && suspicion!.confirm(accusation.from)) {
      this.#broadcastAccusation('suspect', accusation)
    }
    if (verdict.act !== 'accept') return
    this.#parts.roster.set(verdict.member)
    this.#broadcastAccusation('suspect', accusation)
    this.#suspicions.set(name, this.#suspicion(verdict.member, accusation.from))
    this.#parts.observer.suspected(verdict.member)
  }

  /** A dead message came, or a suspicion of ours ended. */
  heardDead(accusation: Accusation): void {
    this.#applyDead(accusation)
  }

  /** What we say about ourselves. */
  ownAlive(): Message {
    return { type: 'alive', body: toAlive(this.self) }
  }

  /** Whether others suspect this member and our word would bring the end nearer. */
  couldConfirm(name: string): boolean {
    return this.#suspicions.get(name)?.welcomes(this.#parts.name) ?? false
  }

  /** Our accusation of a member that failed a probe. */
  accuse({ name, incarnation }: Member): void {
    this.heardSuspect({ name, incarnation, from: this.#parts.name })
  }

  #applyDead(accusation: Accusation, onFinished?: (sent: boolean) => void): void {
    const verdict = judgeDead(accusation, this.#knowledge(accusation.name))
    if (verdict.act === 'refute') this.#refute(verdict.incarnation)
    if (verdict.act !== 'accept') return onFinished?.(false)
    const { member } = verdict
    this.#stopSuspicion(member.name)
    this.#parts.roster.set(member)
    this.#broadcastAccusation('dead', accusation, onFinished)
    if (member.name === this.#parts.name) return
    this.#parts.observer.gone(member, member.state === 'left' ? 'left' : 'failed')
  }

  #refute(accused: number): void {
    this.#parts.observer.accused()
    const incarnation = refutingIncarnation(this.self.incarnation, accused)
    this.#adopt({ ...this.self, incarnation })
  }

  /** Takes in that another member is alive, and tells what that changes. */
  #accept(member: Member, known: Member | undefined): void {
    const { observer } = this.#parts
    this.#stopSuspicion(member.name)
    this.#adopt(member)
    if (known === undefined || !isPresent(known)) return observer.joined(member)
    if (known.state === 'suspect') observer.refuted(member)
    const isSame = known.address === member.address && known.port === member.port
    if (!isSame || Buffer.compare(known.meta, member.meta) !== 0) observer.updated(member, known)
  }

  /** Takes in what is known of a living member, ourselves included, and passes it on. */
  #adopt(member: Member, onFinished?: (sent: boolean) => void): void {
    this.#parts.roster.set(member)
    this.#broadcast(member.name, { type: 'alive', body: toAlive(member) }, onFinished)
  }

  #broadcastAccusation(
    type: 'suspect' | 'dead',
    { name, incarnation, from }: Accusation,
    onFinished?: (sent: boolean) => void,
  ): void {
    this.#broadcast(name, { type, body: { node: name, incarnation, from } }, onFinished)
  }

  #broadcast(name: string, message: Message, onFinished?: (sent: boolean) => void): void {
    this.#parts.broadcasts.add({ name, message: encodeMessage(message), onFinished })
  }

  #suspicion(member: Member, accuser: string): Suspicion {
    const { config, clock, roster } = this.#parts
    const { suspicionMult, suspicionMaxTimeoutMult, probeIntervalMs } = config
    const minMs = suspicionTimeout(suspicionMult, roster.size, probeIntervalMs)
    const terms = {
      expected: expectedConfirmations(suspicionMult, roster.size),
      minMs,
      maxMs: suspicionMaxTimeoutMult * minMs,
    }
    return new Suspicion(clock, accuser, terms, () => {
      const { name, incarnation } = this.#parts.roster.get(member.name) ?? member
      this.heardDead({ name, incarnation, from: this.#parts.name })
    })
  }

  #stopSuspicion(name: string): void {
    this.#suspicions.get(name)?.cancel()
    this.#suspicions.delete(name)
  }

  #knowledge(name: string): Knowledge {
    const { roster, clock } = this.#parts
    const self = name === this.#parts.name
    return { known: roster.get(name), self, leaving: this.#leaving, now: clock.now() }
  }

  #checkClaim(body: Readonly<Alive>): AliveClaim | undefined {
    const { name, counters } = this.#parts
    const address = body.addr === null ? undefined : bytesToAddress(body.addr)
    const meta = body.meta ?? EMPTY
    const nameFits = body.node.length > 0 && Buffer.byteLength(body.node) <= MAX_NAME_BYTES
    if (address === undefined || body.port === 0 || !nameFits || meta.length > MAX_META_BYTES) {
      counters.count('alive-malformed')
      return undefined
    }
    const versions = versionsFromBytes(body.vsn)
    const fits = plausible(versions) && compatible(this.#parts.versions, versions)
    if (!fits && body.node !== name) {
      counters.count('alive-incompatible')
      return undefined
    }
    return {
      name: body.node,
      incarnation: body.incarnation,
      address,
      port: body.port,
      meta,
      versions,
    }
  }
}

function toAlive(member: Member): Alive {
  return {
    incarnation: member.incarnation,
    node: member.name,
    addr: addressToBytes(member.address),
    port: member.port,
    meta: member.meta.length === 0 ? null : member.meta,
    vsn: versionsToBytes(member.versions),
  }
}
