/** Who is in the cluster, as the rest of the program sees it. */
import type { Ip } from '../../net/ip.ts'
import type { Packed } from '../../base/bytes.ts'
import { oidOfName } from '../log/digest.ts'
import type { GossipMember, MemberState } from '../gossip/gossip-transport.ts'
import { decodeMeta } from '../wire/piggyback.ts'

/** One member, ourselves or another. */
export interface MemberView {
  readonly name: string
  /** Its VTEP. */
  readonly address: Ip
  readonly state: MemberState
  readonly self: boolean
  /** When its state last changed, in milliseconds of the clock. */
  readonly sinceMs: number
  /** Where its gossip listens, as a seed is written; empty for ourselves. */
  readonly seed: string
  /** It announced a graceful restart: its endpoints live on. */
  readonly restarting?: true
}

/** A member with what only this room needs. */
export interface Member extends MemberView {
  readonly oid: Packed
  readonly epoch: number
}

/** Departed and dead members beyond this are forgotten, the departed and the longest gone first. */
const maxGone = 1024

export class MemberTable {
  readonly #members = new Map<string, Member>()
  readonly #names = new Map<Packed, string>()
  #live: readonly string[] | null = null

  constructor(self: { name: string; address: Ip }, now: number) {
    const oid = oidOfName(self.name)
    const bare = { state: 'alive' as const, self: true, sinceMs: now, epoch: 0, seed: '' }
    this.#put({ ...self, ...bare, oid })
  }

  /** Ourselves first. */
  all(): MemberView[] {
    return Array.from(this.#members.values(), viewOf)
  }

  get(name: string): Member | undefined {
    return this.#members.get(name)
  }

  get size(): number {
    return this.#members.size
  }

  nameOf(oid: Packed): string | undefined {
    return this.#names.get(oid)
  }

  /** The members with that VTEP: one, unless a host came back under another name. */
  at(address: Ip): Member[] {
    return [...this.#members.values()].filter((member) => member.address === address)
  }

  /** Where the gossip of the others listens that have not left, first of those that answer. */
  seeds(): string[] {
    const others = [...this.#others(['alive', 'suspect']), ...this.#others(['dead'])]
    return others.map(({ seed }) => seed)
  }

  stateOf(oid: Packed): MemberState | undefined {
    return this.#members.get(this.#names.get(oid) ?? '')?.state
  }

  /** The others that are alive or suspect. The same array until that changes. */
  live(): readonly string[] {
    this.#live ??= this.#others(['alive', 'suspect']).map(({ name }) => name)
    return this.#live
  }

  /**
   * Applies what gossip reports of another member. Returns it when that changed anything; null when
   * it did not, or when the member is not one of this format. A member that left stays away for
   * that epoch, whatever gossip reports later. One that comes back with metadata of another release
   * counts as dead: what is here is of its former run, and its new records cannot be read.
   */
  update(member: GossipMember, now: number): Member | null {
    const before = this.#members.get(member.name)
    const meta = decodeMeta(member.meta)
    if (before?.self === true || (meta === null && before === undefined)) return null
    const { epoch, address, restarting } = meta ?? { ...before!, restarting: undefined }
    if (before?.state === 'left' && epoch <= before.epoch) return null
    const { name } = member
    const state = meta === null && isLive(member) ? 'dead' : member.state
    const sinceMs = before?.state === state ? before.sinceMs : now
    const seed = `${member.host.includes(':') ? `[${member.host}]` : member.host}:${member.port}`
    const bare = {
      name,
      address,
      state,
      self: false,
      sinceMs,
      oid: oidOfName(name),
      epoch,
      seed,
    }
    const next: Member = restarting === true ? { ...bare, restarting } : bare
    this.#put(next)
    return before !== undefined && sameFacts(before, next) ? null : next
  }

  /** A member leaves. Returns it when that was new. */
  left(oid: Packed, epoch: number, now: number): Member | null {
    const before = this.#members.get(this.#names.get(oid) ?? '')
    if (before === undefined || before.self || before.state === 'left') return null
    if (before.epoch > epoch) return null
    const next: Member = { ...before, state: 'left', sinceMs: now }
    this.#put(next)
    return next
  }

  #put(member: Member): void {
    this.#members.set(member.name, member)
    this.#names.set(member.oid, member.name)
    this.#live = null
    if (this.#members.size > maxGone && !isLive(member)) this.#forgetGone()
  }

  #forgetGone(): void {
    const longest = (a: Member, b: Member): number => a.sinceMs - b.sinceMs
    const left = this.#others(['left']).sort(longest)
    const gone = [...left, ...this.#others(['dead']).sort(longest)]
    for (const { name, oid } of gone.slice(0, Math.max(0, gone.length - maxGone))) {
      this.#members.delete(name)
      this.#names.delete(oid)
    }
  }

  #others(states: readonly MemberState[]): Member[] {
    return [...this.#members.values()].filter(({ self, state }) => !self && states.includes(state))
  }
}

/** Whether it is alive or suspect; false for an unknown member. */
export function isLive(member: Pick<MemberView, 'state'> | undefined): boolean {
  return member?.state === 'alive' || member?.state === 'suspect'
}

function viewOf({ name, address, seed, state, self, sinceMs, restarting }: Member): MemberView {
  const view = { name, address, seed, state, self, sinceMs }
  return restarting === true ? { ...view, restarting } : view
}

function sameFacts(a: Member, b: Member): boolean {
  const same = a.state === b.state && a.epoch === b.epoch && a.address === b.address
  return same && a.restarting === b.restarting
}
