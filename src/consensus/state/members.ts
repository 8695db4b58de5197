import * as v from 'valibot'
import { count, id, list } from './fields.ts'
import {
  type Caller,
  type Member,
  type Section,
  Refused,
  memberOperation,
  openOperation,
  question,
} from './section.ts'

/** More than any cluster that SWIM serves well. */
const maxMembers = 5000
/** Evicted identities that are remembered; the oldest is dropped first, and is a newcomer then. */
const maxEvicted = 4096
/** At one tick the agreed clock moves on by at most this, ms. */
const maxTickMs = 120_000

interface Snapshot {
  readonly clockMs: number
  readonly tickedAtMs: number
  readonly root: string
  readonly nextNumber: number
  readonly members: readonly Member[]
  readonly evicted: readonly (readonly [id: string, name: string])[]
}

/**
 * Who belongs to the cluster, and since when each was last heard. Time is agreed on: leaders report
 * how long they have led, and the sum is never more than the time that has passed. So a clock that
 * jumps brings no member's eviction nearer, nor does time in which there is no leader.
 */
export class Members implements Section {
  readonly #members = new Map<string, Member>()
  readonly #byName = new Map<string, Member>()
  readonly #byNumber = new Map<number, Member>()
  readonly #evicted = new Map<string, string>()
  readonly #gone: (number: number, evicted: string | null) => void
  #clockMs = 0
  #tickedAtMs = 0
  #root = ''
  #nextNumber = 1

  /** `gone` is called for each member that is evicted (with its name), replaced or left. */
  constructor(gone: (number: number, evicted: string | null) => void) {
    this.#gone = gone
  }

  readonly operations = {
    /** Registers the caller, or renews its membership. Refused to an evicted identity. */
    renew: openOperation(1, v.object({ id }), (command, at) => this.#renew(command.id, at.from)),
    /** How long a leader has led since its last tick, ms on its own monotonic clock. */
    tick: openOperation(1, v.object({ elapsedMs: count }), ({ elapsedMs }, { timeMs }) => {
      const wallMs = Math.max(0, timeMs - this.#tickedAtMs)
      this.#tickedAtMs = Math.max(timeMs, this.#tickedAtMs)
      this.#clockMs += Math.min(elapsedMs, wallMs, maxTickMs)
      return { clockMs: this.#clockMs }
    }),
    /**
     * These members are gone for good: by an operator's word (`lapsedMs` null), or because none of
     * them renewed its membership for `lapsedMs`. By identity, so that a command that is applied
     * late does not meet a newcomer of that name.
     */
    evict: openOperation(
      1,
      v.object({ ids: list(id, 64), lapsedMs: v.nullable(count) }),
      (command) => this.#evict(command.ids, command.lapsedMs),
    ),
    /** The caller leaves, with nothing that it needs. It may come back as a newcomer. */
    leave: memberOperation(1, v.object({ id }), (_, { member }) => {
      this.#drop(member, null)
      return {}
    }),
  }

  readonly questions = {
    members: question(v.object({}), () =>
      Array.from(this.#members.values(), ({ name, id, heardAtMs }) => {
        return { name, id, silentMs: this.#clockMs - heardAtMs }
      }),
    ),
  }

  /**
   * The cluster's random root: the identity of its first member ever. Empty before there is one.
   */
  get root(): string {
    return this.#root
  }

  /** The caller of a command, which must be registered under the name of its channel. */
  require(id: string, { at }: Pick<Caller, 'at'>): Member {
    const member = this.#members.get(id)
    if (member?.name === at.from) return member
    throw new Refused(this.#evicted.has(id) ? 'EVICTED' : 'UNKNOWN_MEMBER')
  }

  get(id: string): Member | undefined {
    return this.#members.get(id)
  }

  isEvicted(id: string): boolean {
    return this.#evicted.has(id)
  }

  named(name: string): Member | undefined {
    return this.#byName.get(name)
  }

  nameOf(number: number): string {
    return this.#byNumber.get(number)?.name ?? ''
  }

  snapshot(): Snapshot {
    return {
      clockMs: this.#clockMs,
      tickedAtMs: this.#tickedAtMs,
      root: this.#root,
      nextNumber: this.#nextNumber,
      members: [...this.#members.values()],
      evicted: [...this.#evicted],
    }
  }

  restore(snapshot: unknown): void {
    const { clockMs, tickedAtMs, root, nextNumber, members, evicted } = snapshot as Snapshot
    this.#clockMs = clockMs
    this.#tickedAtMs = tickedAtMs
    this.#root = root
    this.#nextNumber = nextNumber
    for (const known of [this.#members, this.#byName, this.#byNumber, this.#evicted]) known.clear()
    for (const member of members) this.#add({ ...member })
    for (const [id, name] of evicted) this.#evicted.set(id, name)
  }

  memberGone(): void {}

  #renew(id: string, name: string): { root: string } {
    if (this.#evicted.has(id)) throw new Refused('EVICTED')
    const known = this.#members.get(id)
    if (known !== undefined && known.name !== name) throw new Refused('UNKNOWN_MEMBER')
    const replaced = this.#byName.get(name)
    if (known === undefined && replaced === undefined && this.#members.size >= maxMembers) {
      throw new Refused('QUOTA')
    }
    if (known !== undefined) known.heardAtMs = this.#clockMs
    else {
      // It lost its disk, and with it what it had.
      if (replaced !== undefined) this.#retire(replaced, null)
      if (this.#root === '') this.#root = id
      this.#add({ id, number: this.#nextNumber++, name, heardAtMs: this.#clockMs })
    }
    return { root: this.#root }
  }

  #evict(ids: readonly string[], lapsedMs: number | null): { evicted: readonly string[] } {
    const members = [...new Set(ids)].flatMap((each) => this.#members.get(each) ?? [])
    const since = this.#clockMs - (lapsedMs ?? -Infinity)
    const heard = members.filter(({ heardAtMs }) => lapsedMs !== null && heardAtMs > since)
    if (heard.length > 0) throw new Refused('NOT_LAPSED', { names: heard.map(({ name }) => name) })
    for (const member of members) this.#retire(member, member.name)
    return { evicted: members.map(({ name }) => name) }
  }

  #add(member: Member): void {
    this.#members.set(member.id, member)
    this.#byName.set(member.name, member)
    this.#byNumber.set(member.number, member)
  }

  #retire(member: Member, evicted: string | null): void {
    this.#evicted.set(member.id, member.name)
    this.#drop(member, evicted)
    const [oldest] = this.#evicted.keys()
    if (this.#evicted.size > maxEvicted) this.#evicted.delete(oldest!)
  }

  #drop(member: Member, evicted: string | null): void {
    this.#members.delete(member.id)
    this.#byName.delete(member.name)
    this.#byNumber.delete(member.number)
    this.#gone(member.number, evicted)
  }
}
