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
  /** Members that were dead for too long to keep their seats. They have no vote; what they own stays theirs. */
  readonly absent: readonly Voter[]
}

/** Who is on a roster, with a seat and without. */
export type OnRoster = Pick<Roster, 'voters' | 'absent'>

/** Who comes and who goes in a change of the roster. */
export interface Moves {
  readonly joining: readonly Voter[]
  /** Names of those who are taken off it, and whose votes are nobody's then. */
  readonly leaving: readonly string[]
  /** Names of those who only lose their seats. */
  readonly vacating: readonly string[]
}

/**
 * The dead keep their seats where fewer voters than this would stay. Two are no better than two of three: neither can go on without
 * the other, and the third could not help by coming back.
 */
export const seatsLeast = 3

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
  const { root, founded, number, tag, voters, absent } = roster
  return { root, founded, number, tag, size: voters.length + absent.length }
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

/** Who is on the roster with that name, with a seat or without. */
export function memberNamed({ voters, absent }: OnRoster, name: string): Voter | undefined {
  const isIt = (voter: Voter): boolean => voter.name === name
  return voters.find(isIt) ?? absent.find(isIt)
}

/** All that are on the roster, as holders of votes. */
export function holdersOn({ voters, absent }: OnRoster): Set<Holder> {
  return new Set([...voters, ...absent].map((voter) => holderOf(voter)))
}

/** Whether this very voter, name and id, has a seat. */
export function seats(roster: Roster | null, voter: Voter): boolean {
  return roster !== null && voterNamed(roster, voter.name)?.id === voter.id
}

/** Whether this very voter, name and id, is on the roster, with a seat or without. */
export function lists(roster: Roster | null, voter: Voter): boolean {
  return roster !== null && memberNamed(roster, voter.name)?.id === voter.id
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
 * all. Where not so many are left they must be all, and all that are absent with them: every owner among them knows its own
 * blocks, and the blocks of the gone are free.
 */
export function changeQuorum(
  { voters, absent }: OnRoster,
  gone: readonly string[],
): { among: readonly Voter[]; needed: number } {
  const isLeft = ({ name }: Voter): boolean => !gone.includes(name)
  const among = voters.filter(isLeft)
  if (among.length === voters.length) return { among, needed: majorityOf(among.length) }
  const needed = blockingCount(voters.length)
  if (among.length >= needed) return { among, needed }
  const all = [...among, ...absent.filter(isLeft)]
  return { among: all, needed: all.length }
}

/**
 * Who is on the roster after some joined (taking the place of their name, if there is one), some left, and some lost their
 * seats: only so many that `seatsLeast` are left.
 */
export function rosterAfter(
  { voters, absent }: OnRoster,
  { joining, leaving, vacating }: Moves,
): OnRoster {
  const seated = new Map(voters.map((voter) => [voter.name, voter]))
  const unseated = new Map(absent.map((voter) => [voter.name, voter]))
  for (const name of leaving) {
    seated.delete(name)
    unseated.delete(name)
  }
  for (const voter of joining) {
    unseated.delete(voter.name)
    seated.set(voter.name, voter)
  }
  for (const name of vacating) {
    const voter = seated.get(name)
    if (voter === undefined || seated.size <= seatsLeast) continue
    seated.delete(name)
    unseated.set(name, voter)
  }
  return { voters: byName(seated), absent: byName(unseated) }
}

function byName(voters: ReadonlyMap<string, Voter>): Voter[] {
  return [...voters.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
