import type { SocketAddress } from './socket-address.ts'

/**
 * alive: answers probes. suspect: failed a probe and may still refute. dead: failed and did not
 * refute in time. left: said goodbye.
 */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

/** The protocol and delegate (application) versions a member speaks: a range and the one in use. */
export interface Versions {
  readonly protocolMin: number
  readonly protocolMax: number
  readonly protocol: number
  readonly delegateMin: number
  readonly delegateMax: number
  readonly delegate: number
}

/** What is known of one member, at one moment: a member that changes is a new object. */
export interface Member extends SocketAddress {
  /** Unique in the cluster. */
  readonly name: string
  /** Application data, at most 512 bytes. */
  readonly meta: Uint8Array
  /** What it speaks. */
  readonly versions: Versions
  /** Raised by the member itself, to overrule what others say about it. */
  readonly incarnation: number
  /** As we believe it to be. */
  readonly state: MemberState
  /** When the state last changed, on the clock of this list. */
  readonly since: number
}

/** Whether a member takes part: alive, or suspect and not yet given up. */
export function isPresent(member: Member): boolean {
  return member.state === 'alive' || member.state === 'suspect'
}

/** The six version bytes: protocol min, max, current, delegate min, max, current. */
export function versionsToBytes(v: Versions): Uint8Array {
  return Uint8Array.of(
    v.protocolMin,
    v.protocolMax,
    v.protocol,
    v.delegateMin,
    v.delegateMax,
    v.delegate,
  )
}

/** Nearly all members of a cluster have the same versions, so they share one object. */
let latest: Versions | undefined

/** Reads the version bytes; missing ones count as 0, as in Go. */
export function versionsFromBytes(bytes: Uint8Array | null): Versions {
  const at = (i: number) => bytes?.[i] ?? 0
  const versions = {
    protocolMin: at(0),
    protocolMax: at(1),
    protocol: at(2),
    delegateMin: at(3),
    delegateMax: at(4),
    delegate: at(5),
  }
  if (latest === undefined || !sameVersions(latest, versions)) latest = Object.freeze(versions)
  return latest
}

export function sameVersions(a: Versions, b: Versions): boolean {
  return (
    a.protocolMin === b.protocolMin &&
    a.protocolMax === b.protocolMax &&
    a.protocol === b.protocol &&
    a.delegateMin === b.delegateMin &&
    a.delegateMax === b.delegateMax &&
    a.delegate === b.delegate
  )
}
