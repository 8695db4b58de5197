import fc from 'fast-check'
import type { Peer } from '../../src/net/endpoint.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import type { PeerTransition } from '../../src/peers/peers.ts'

/** Small histories of peers, in which addresses, MACs and VTEPs collide all the time. */

export const vniOf = (n: number): Vni => (5000 + n) as Vni
export const ipOf = (n: number): Ip => (n % 2 === 0 ? `10.0.0.${n}` : `fd00::${n}`) as Ip
export const macOf = (n: number): Mac => `02:42:0a:00:00:0${n}` as Mac
export const vtepOf = (n: number): Ip => `192.0.2.${n}` as Ip

export const arbitraryPeer: fc.Arbitrary<Peer> = fc.record({
  vni: fc.integer({ min: 1, max: 2 }).map(vniOf),
  origin: fc.constantFrom('a', 'b', 'c'),
  endpointId: fc.constantFrom('e1', 'e2'),
  ips: fc.uniqueArray(fc.integer({ min: 1, max: 4 }).map(ipOf), { maxLength: 2 }),
  mac: fc.integer({ min: 1, max: 3 }).map(macOf),
  vtep: fc.integer({ min: 1, max: 3 }).map(vtepOf),
  claimedAt: fc.integer({ min: 1, max: 3 }),
  live: fc.boolean(),
})

/** An ordinary peer, for examples. */
export function peer(changes: Partial<Peer> = {}): Peer {
  return {
    vni: vniOf(1),
    origin: 'a',
    endpointId: 'e1',
    ips: [ipOf(2)],
    mac: macOf(1),
    vtep: vtepOf(1),
    claimedAt: 1,
    live: true,
    ...changes,
  }
}

/** What identifies a peer. */
export function keyOf(p: Peer): string {
  return JSON.stringify([p.vni, p.origin, p.endpointId])
}

/** A history: each step sets or removes a peer, with what was there before. */
export const arbitraryHistory: fc.Arbitrary<PeerTransition[]> = fc
  .array(fc.tuple(arbitraryPeer, fc.boolean()), { maxLength: 40 })
  .map((steps) => {
    const known = new Map<string, Peer>()
    return steps.map(([next, goes]) => {
      const key = keyOf(next)
      const previous = known.get(key) ?? null
      if (goes) known.delete(key)
      else known.set(key, next)
      return { previous, next: goes ? null : next }
    })
  })

/** The peers that a history leaves, by brute force. */
export function survivors(history: readonly PeerTransition[]): Peer[] {
  const known = new Map<string, Peer>()
  for (const { previous, next } of history) {
    if (previous !== null) known.delete(keyOf(previous))
    if (next !== null) known.set(keyOf(next), next)
  }
  return [...known.values()]
}
