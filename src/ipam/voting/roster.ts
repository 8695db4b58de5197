import { assert } from '../../base/errors.ts'

/**
 * A voter: a member together with the identity that its disk has. A member that lost its disk comes back with the same
 * name and another id, and is another voter: what it had promised is gone.
 */
export interface Voter {
  readonly name: string
  readonly id: string
}

/** A voter as one string, `name#id`: what votes are given to. */
export type Holder = string & { readonly holder: unique symbol }

/**
 * The numbered list of those who vote. Each roster but the first is decided by a majority of the one
 * before, which stops voting while it decides; so majorities of two rosters never act at once.
 */
export interface Roster {
  /** Random, made when the cluster was founded. Members with different roots have lived apart. */
  readonly root: string
  /** Wall clock of the founding, ms. */
  readonly founded: number
  /** 1 at the founding, one more with each change. */
  readonly number: number
  /** Random, made for this roster: tells apart two rosters of one number, after a forced change. */
  readonly tag: string
  readonly voters: readonly Voter[]
}

/** What a message says of its sender's roster. */
export interface RosterRef {
  readonly root: string
  readonly founded: number
  readonly number: number
  readonly tag: string
  readonly size: number
}

export function holderOf(voter: Voter): Holder {
  return `${voter.name}#${voter.id}` as Holder
}

/** The member's name in a holder. */
export function nameOfHolder(holder: Holder): string {
  return holder.slice(0, holder.lastIndexOf('#'))
}

export function refOf(roster: Roster): RosterRef {
  const { root, founded, number, tag, voters } = roster
  return { root, founded, number, tag, size: voters.length }
}

/**
 * Whether `a` is to be followed rather than `b`. Within one root the later roster is. Of two clusters that lived apart the
 * larger one, then the older, so that a host that was set up anew and founded a cluster of
 * its own by mistake gives way to the one it belongs to.
 */
export function outranks(a: RosterRef | null, b: RosterRef | null): boolean {
  if (a === null) return false
  if (b === null) return true
  if (a.root === b.root) return a.number === b.number ? a.tag > b.tag : a.number > b.number
  if (a.size !== b.size) return a.size > b.size
  return a.founded === b.founded ? a.root < b.root : a.founded < b.founded
}

/** The voter of that name, if there is one. */
export function voterNamed(roster: Roster, name: string): Voter | undefined {
  return roster.voters.find((voter) => voter.name === name)
}

/** Whether this very voter, name and id, is on the roster. */
export function seats(roster: Roster | null, voter: Voter): boolean {
  return roster !== null && voterNamed(roster, voter.name)?.id === voter.id
}

/** More than half. */
export function majorityOf(count: number): number {
  assert(count > 0, 'a majority of nobody')
  return Math.floor(count / 2) + 1
}

/** So few voters that they meet every majority in one of their own: the others are none without them. */
export function blockingCount(count: number): number {
  return count - majorityOf(count) + 1
}

/**
 * Who must agree to change `roster`, and how many of them. Without `gone` a majority. The seats of `gone` are known to be
 * empty for good (a lost disk, or an operator's word); then the others must be so many that they meet every majority of
 * all. Where not so many are left they must be all: every owner among them knows its own blocks, and the blocks of the gone are free.
 */
export function changeQuorum(
  roster: Roster,
  gone: readonly string[],
): { among: readonly Voter[]; needed: number } {
  const count = roster.voters.length
  const among = roster.voters.filter(({ name }) => !gone.includes(name))
  const needed =
    among.length === count ? majorityOf(count) : Math.min(among.length, blockingCount(count))
  return { among, needed }
}

/** The voters after some joined (taking the seat of their name, if there is one) and some left. */
export function votersAfter(
  voters: readonly Voter[],
  joining: readonly Voter[],
  leaving: readonly string[],
): Voter[] {
  const byName = new Map(voters.map((voter) => [voter.name, voter]))
  for (const name of leaving) byName.delete(name)
  for (const voter of joining) byName.set(voter.name, voter)
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
