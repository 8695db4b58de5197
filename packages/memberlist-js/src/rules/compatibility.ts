import type { MemberState, Versions } from '../member.ts'

/**
 * The protocol range this package speaks, and the one it uses: 2 as in Go. 3 adds TCP pings, 4
 * nacks, 5 checksums.
 */
export const PROTOCOL = { protocolMin: 1, protocolMax: 5, protocol: 2 } as const

/** From which protocol on a member does what. It is the top of its range that counts. */
export const PROTOCOL_WITH_TCP_PING = 3
export const PROTOCOL_WITH_NACK = 4
export const PROTOCOL_WITH_CHECKSUM = 5

/**
 * The version range `2..5, 4` overlaps with serf's; an application that is no serf should choose
 * its own.
 */
export const DEFAULT_DELEGATE_VERSIONS = [2, 5, 4] as const

interface Versioned {
  readonly name: string
  readonly state: MemberState
  readonly versions: Versions
}

/** Whether version bytes make sense at all. */
export function plausible({ protocolMin, protocolMax }: Versions): boolean {
  return protocolMin > 0 && protocolMax > 0 && protocolMin <= protocolMax
}

/**
 * Whether a member and we can be in one cluster: what each speaks is in the other's range. Go
 * checks this on push-pull only, so one stray alive message over UDP blocks all its later
 * exchanges; we check each.
 */
export function compatible(ours: Versions, theirs: Versions): boolean {
  return (
    within(theirs.protocol, ours.protocolMin, ours.protocolMax) &&
    within(ours.protocol, theirs.protocolMin, theirs.protocolMax) &&
    within(theirs.delegate, ours.delegateMin, ours.delegateMax) &&
    within(ours.delegate, theirs.delegateMin, theirs.delegateMax)
  )
}

/**
 * Go's check on push-pull: the ranges of all alive members must have a common part, and every
 * member, in whatever state, must use a version inside it. Returns the reason why not.
 */
export function incompatibility(
  remote: readonly Versioned[],
  local: Iterable<Versioned>,
): string | undefined {
  const all = [...remote, ...local]
  let [protocolFrom, protocolTo, delegateFrom, delegateTo] = [0, 255, 0, 255]
  for (const { state, versions } of all) {
    if (state !== 'alive') continue
    protocolFrom = Math.max(protocolFrom, versions.protocolMin)
    protocolTo = Math.min(protocolTo, versions.protocolMax)
    delegateFrom = Math.max(delegateFrom, versions.delegateMin)
    delegateTo = Math.min(delegateTo, versions.delegateMax)
  }
  for (const { name, versions } of all) {
    if (!within(versions.protocol, protocolFrom, protocolTo)) {
      return `member ${name} speaks protocol ${versions.protocol}, not ${protocolFrom}..${protocolTo}`
    }
    if (!within(versions.delegate, delegateFrom, delegateTo)) {
      return `member ${name} speaks delegate version ${versions.delegate}, not ${delegateFrom}..${delegateTo}`
    }
  }
  return undefined
}

function within(value: number, from: number, to: number): boolean {
  return value >= from && value <= to
}

/** Our protocol versions with the application's versions: min, max, current. */
export function toVersions([delegateMin, delegateMax, delegate]: readonly [
  number,
  number,
  number,
]): Versions {
  return { ...PROTOCOL, delegateMin, delegateMax, delegate }
}
