import { Refused } from '../admin-socket.ts'
import { memberNamed } from '../member-name.ts'
import type { Status } from '../status-view.ts'
import { type Place, findEndpoints } from '../where.ts'

/** Where a trace begins or ends. */
export interface End {
  readonly host: string
  /** Null for the host itself. */
  readonly ip: string | null
  /** For people. */
  readonly name: string
}

/** The two ends of a trace, and the overlay that they share. */
export interface Ends {
  readonly overlayId: string
  readonly from: End
  readonly to: End
}

/**
 * What the two words name: containers by name, short id or address, or hosts. Throws Refused when
 * one is unknown, or when they share no overlay.
 */
export function endsOf(status: Status, from: string, to: string): Ends {
  const words = [from, to].map((word) =>
    findEndpoints(status, word).length > 0 ? word : memberNamed(status, word),
  )
  for (const { overlayId, members } of status.overlays) {
    const [one, two] = words.map((word) => candidatesOf(status, overlayId, members, word))
    for (const a of one!)
      for (const b of two!)
        if (isOneFamily(a.ip, b.ip) && !(a.host === b.host && a.ip === b.ip))
          return { overlayId, from: a, to: b }
  }
  const unknown = words.find(
    (word) =>
      findEndpoints(status, word).length === 0 && !status.members.some(({ name }) => name === word),
  )
  throw new Refused(
    unknown === undefined
      ? `${from} and ${to} share no network of this host`
      : `no network of this host has ${unknown}, and no host has that name; try on another host`,
  )
}

function candidatesOf(
  status: Status,
  overlayId: string,
  members: readonly string[],
  word: string,
): End[] {
  const places = findEndpoints(status, word).filter((place) => place.overlayId === overlayId)
  const ends = places.flatMap((place) =>
    addressesOf(place, word).map((ip) => ({ host: place.host, ip, name: nameOf(place, ip) })),
  )
  if (ends.length > 0 || !members.includes(word)) return ends
  return [{ host: word, ip: null, name: word }]
}

/** The address that was asked for, or all. */
function addressesOf({ addresses }: Place, word: string): readonly string[] {
  return addresses.includes(word) ? [word] : addresses
}

function nameOf({ container }: Place, ip: string): string {
  return container === null ? ip : `${container} (${ip})`
}

function isOneFamily(a: string | null, b: string | null): boolean {
  return a === null || b === null || a.includes(':') === b.includes(':')
}
