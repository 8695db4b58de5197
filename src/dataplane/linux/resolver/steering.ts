import type { Expression, TableSpec } from '../filter/nftables.ts'
import {
  addElements,
  batchBegin,
  batchEnd,
  deleteElements,
  deleteTable,
  getTables,
  readTable,
} from '../filter/nftables.ts'
import {
  differs,
  equals,
  lookup,
  meta,
  network,
  notrack,
  payload,
  rewritePort,
  transport,
  verdict,
} from '../filter/expressions.ts'
import { Table } from '../filter/table.ts'
import type { Request } from '../netlink/message.ts'
import type { NetlinkError, NetlinkSocket } from '../netlink/netlink-socket.ts'

/**
 * What steers a sandbox's queries to us: one nf_tables table in its namespace that rewrites ports
 * without state. It runs before the engine's NAT, leaves no entry in connection tracking, and so
 * can be had and be gone from one packet to the next, for clients that keep their socket too.
 *
 * It is void by itself when we are gone: the address that it steers is an element of a set that
 * lives for `lifeMs` and is renewed by the thread that answers. A table that belongs to our socket
 * goes with our process besides, at once.
 */

/** The engine's embedded resolver, which no namespace has bound at port 53. */
export const resolverAddress = Buffer.from([127, 0, 0, 11])
export const dnsPort = 53
/** On our own packets to the engine's resolver ("tso"). */
export const forwardMark = 0x74_73_6f

/**
 * How long the steering lives without us. musl asks again after 2.5 s and glibc after 5 s: by then
 * the engine answers.
 */
const lifeMs = 2000
/** Two renewals may be late. */
export const renewalIntervalMs = 700

const namePrefix = 'ts-overlay-dns-'
const alive = 'alive'
/** Data type of `nft`: an IPv4 address. */
const ipv4Address = 7
/** NF_INET_LOCAL_OUT, and raw's priority: before connection tracking and NAT. */
const [localOut, rawPriority] = [3, -300]
/** The loopback device is the first of each namespace. */
const loopbackIndex = Uint8Array.of(...new Uint8Array(Uint32Array.of(1).buffer))
const protocolNumbers = { udp: 17, tcp: 6 } as const
type Protocol = keyof typeof protocolNumbers

/** The ports in the sandbox at which we answer. */
type ResolverPorts = Readonly<Record<Protocol, number>>

/** A table of that name, which no other process may have used: it may still own it. */
function steeringTable(name: string, ports: ResolverPorts, isOwned: boolean): TableSpec {
  const mark = Buffer.alloc(4)
  mark.writeUInt32LE(forwardMark)
  const protocols = ['udp', 'tcp'] as const
  return {
    family: 'ipv4',
    name: namePrefix + name,
    isOwned,
    counters: [],
    sets: [{ name: alive, keyBytes: 4, keyType: ipv4Address, hasTimeouts: true }],
    chains: [
      {
        name: 'output',
        hook: localOut,
        priority: rawPriority,
        rules: [
          // Queries and answers are between processes of the sandbox; other packets stop here.
          [meta('oif'), differs(loopbackIndex), verdict('return')],
          [meta('mark'), equals(mark), verdict('return')],
          ...protocols.flatMap((protocol) => [
            toUs(protocol, ports[protocol]),
            fromUs(protocol, ports[protocol]),
          ]),
        ],
      },
    ],
  }
}

/** Queries: destination port 53 becomes ours. */
function toUs(protocol: Protocol, port: number): Expression[] {
  const isSteered = [payload(network, 16, 4), lookup(alive, 'in')]
  return [
    ...isSteered,
    ...hasPort(protocol, 2, dnsPort),
    notrack(),
    ...rewritePort('destination', protocol, port),
  ]
}

/** Answers: source port ours becomes 53. */
function fromUs(protocol: Protocol, port: number): Expression[] {
  const isOurs = [payload(network, 12, 4), equals(resolverAddress)]
  return [
    ...isOurs,
    ...hasPort(protocol, 0, port),
    notrack(),
    ...rewritePort('source', protocol, dnsPort),
  ]
}

function hasPort(protocol: Protocol, offset: number, port: number): Expression[] {
  return [
    meta('l4proto'),
    equals(Uint8Array.of(protocolNumbers[protocol])),
    payload(transport, offset, 2),
    equals(Uint8Array.of(port >> 8, port & 255)),
  ]
}

/** The steering of one sandbox. */
export class Steering {
  readonly #socket: NetlinkSocket
  readonly #table: Table

  /** `socket` is a NETLINK_NETFILTER socket of the sandbox's namespace. */
  constructor(
    socket: NetlinkSocket,
    options: { readonly name: string; readonly ports: ResolverPorts; readonly isOwned: boolean },
  ) {
    this.#socket = socket
    this.#table = new Table(socket, steeringTable(options.name, options.ports, options.isOwned))
  }

  /** Makes the table, or again where it differs, and renews it. @returns what was changed. */
  ensure(): string[] {
    const isChanged = this.#table.ensure().length > 0
    // A transaction that fails waits for a grace period of the kernel, 15 ms.
    if (isChanged) this.#add()
    else this.renew()
    return isChanged ? ['steering of DNS repaired'] : []
  }

  /** Lets it live on. Throws KERNEL when the table is not there. */
  renew(): void {
    const old = deleteElements(this.#table.spec, alive, [resolverAddress])
    // An element that is there keeps its end of life; one that has passed it cannot be deleted.
    if (this.#transact([...old, ...this.#life()]) !== undefined) this.#add()
  }

  /** The kernel's next packet to the resolver is the engine's. */
  remove(): void {
    this.#table.remove()
  }

  #add(): void {
    const error = this.#transact(this.#life())
    if (error !== undefined) throw error
  }

  #life(): Request[] {
    return addElements(this.#table.spec, alive, [resolverAddress], lifeMs)
  }

  #transact(requests: readonly Request[]): NetlinkError | undefined {
    const [error] = this.#socket.transact(batchBegin, requests, batchEnd).values()
    return error
  }
}

/** Removes tables of processes that are gone. */
export function removeStaleSteering(socket: NetlinkSocket, name: string): void {
  const tables = socket.dump(getTables('ipv4')).map(readTable)
  for (const { name: found, isOwned } of tables) {
    if (!found.startsWith(namePrefix) || isOwned || found === namePrefix + name) continue
    const spec = { ...steeringTable('', { udp: 0, tcp: 0 }, false), name: found }
    socket.transact(batchBegin, [deleteTable(spec)], batchEnd)
  }
}
