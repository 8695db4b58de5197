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

/**
 * Who must agree to change `roster` when the seats of `gone` are known to be empty for good (a lost disk, or an
 * operator's word): a majority of the others. Such a majority meets every majority of all in a seat that is not empty,
 * because of 2k or 2k + 1 voters less one, k or k + 1 are a majority, and a majority of all has at least k others.
 */
export function changeQuorum(
  roster: Roster,
  gone: string | null,
): { among: readonly Voter[]; needed: number } {
  const among = roster.voters.filter((voter) => voter.name !== gone)
  return { among, needed: among.length === 0 ? 0 : majorityOf(among.length) }
}

/** The voters after some joined (taking the seat of their name, if there is one) and some left. */
export function votersAfter(
  voters: readonly Voter[],
  joining: readonly Voter[],
  leaving: readonly string[],
): Voter[] {
  const joiningNames = new Set(joining.map(({ name }) => name))
  const staying = voters.filter(({ name }) => !joiningNames.has(name) && !leaving.includes(name))
  return [...staying, ...joining].sort((a, b) => (a.name < b.name ? -1 : 1))
}
