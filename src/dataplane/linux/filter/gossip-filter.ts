import { isSystemError, OverlayError } from '../../../base/errors.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import {
  and,
  beyondRate,
  count,
  equals,
  meta,
  network,
  payload,
  transport,
  verdict,
} from './expressions.ts'
import type { Expression, TableSpec } from './nftables.ts'
import { Table } from './table.ts'

/**
 * What one source address may send to the gossip port before the kernel drops it, so that a machine
 * that floods the port costs the process no more than this. Members stay far below it; what the
 * rest may ask of the process is bounded there (identity/streams).
 */
const packets = { perSecond: 5000, burst: 10_000 } as const
const connections = { perSecond: 100, burst: 400 } as const
/** Sources that are told apart; made-up ones beyond it are let through, to the process's bounds. */
const maxSources = 65_536
const idleMs = 10_000

/** IPPROTO_UDP and IPPROTO_TCP. */
const [udp, tcp] = [17, 6]
const SYN = 0x02
const SYN_ACK = 0x12

/** NFPROTO number, key bytes, data type of `nft` and offset of the source address. */
const families = [
  { nfproto: 2, keyBytes: 4, keyType: 7, sourceAt: 12, suffix: '4' },
  { nfproto: 10, keyBytes: 16, keyType: 8, sourceAt: 8, suffix: '6' },
] as const

function gossipTable(port: number, isOwned: boolean): TableSpec {
  const toPort = (protocol: number): Expression[] => [
    meta('l4proto'),
    equals(Uint8Array.of(protocol)),
    payload(transport, 2, 2),
    equals(Uint8Array.of(port >> 8, port & 255)),
  ]
  const opens = [payload(transport, 13, 1), and(Uint8Array.of(SYN_ACK)), equals(Uint8Array.of(SYN))]
  const kinds = [
    { name: 'packets', first: toPort(udp), limit: packets },
    { name: 'connections', first: [...toPort(tcp), ...opens], limit: connections },
  ]
  const each = kinds.flatMap((kind) => families.map((family) => ({ ...kind, ...family })))
  return {
    family: 'inet',
    // Another installation on this host has another port.
    name: `ts-overlay-gossip-${port}`,
    isOwned,
    counters: kinds.map(({ name }) => name),
    sets: each.map(({ name, suffix, keyBytes, keyType }) => {
      const dynamic = { maxElements: maxSources, timeoutMs: idleMs }
      return { name: `${name}${suffix}`, keyBytes, keyType, dynamic }
    }),
    chains: [
      {
        name: 'prerouting',
        hook: 0,
        priority: -300,
        rules: each.map(({ name, suffix, first, nfproto, sourceAt, keyBytes, limit }) => [
          ...first,
          meta('nfproto'),
          equals(Uint8Array.of(nfproto)),
          payload(network, sourceAt, keyBytes),
          beyondRate(`${name}${suffix}`, limit),
          count(name),
          verdict('drop'),
        ]),
      },
    ],
  }
}

/**
 * The table that limits each source at the gossip port. It belongs to this process and goes with
 * it, where the kernel can do that (since 5.12).
 */
export function openGossipFilter(socket: NetlinkSocket, port: number): Table {
  const owned = new Table(socket, gossipTable(port, true))
  try {
    owned.probe()
    return owned
  } catch (error) {
    if (!isSystemError(error) && !(error instanceof OverlayError)) throw error
    return new Table(socket, gossipTable(port, false))
  }
}
