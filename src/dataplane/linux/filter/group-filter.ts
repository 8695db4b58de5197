import { type Mac, macToBytes, noMac } from '../../../net/mac.ts'
import type { FdbEntry, RowChange } from '../../dataplane.ts'
import { vxlanName } from '../netlink/names.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { and, beyondRate, count, equals, interfaceKey, link, lookup } from './expressions.ts'
import { meta, payload, verdict } from './expressions.ts'
import { groupSenders } from './group-senders.ts'
import type { TableSpec } from './nftables.ts'
import { Table } from './table.ts'

/**
 * What leaves the bridge of an overlay with multicast for the VXLAN device, which sends a copy of
 * all that it has no FDB entry for to every VTEP of the overlay: frames to groups, of each port at
 * a limited rate, and nothing else. Without this filter, a container could have any number of
 * frames to addresses that nobody has multiplied by the number of hosts.
 */

/** Frames to groups that leave this host, for each container; the rest is dropped. */
const groupFrames = { perSecond: 1000, burst: 2000 } as const
/** Data type of `nft`: a MAC address. */
const etherAddress = 9

const peers = 'peers'
const intoTunnel = [meta('oifname'), equals(interfaceKey(vxlanName)), payload(link, 0, 1)]
const groupBit = and(Uint8Array.of(1))

const groupFilter: TableSpec = {
  family: 'bridge',
  name: 'ts-overlay-groups',
  counters: ['multicast', 'unknown'],
  sets: [{ name: peers, keyBytes: 8, keyType: etherAddress }, groupSenders],
  chains: [
    {
      name: 'into-tunnel',
      // NF_BR_FORWARD
      hook: 2,
      priority: -300,
      rules: [
        [
          ...intoTunnel,
          groupBit,
          equals(Uint8Array.of(1)),
          meta('iifname'),
          beyondRate(groupSenders.name, groupFrames),
          count('multicast'),
          verdict('drop'),
        ],
        [
          ...intoTunnel,
          groupBit,
          equals(Uint8Array.of(0)),
          payload(link, 0, 6),
          lookup(peers, 'not in'),
          count('unknown'),
          verdict('drop'),
        ],
      ],
    },
  ],
}

/** The filter between the bridge of an overlay with multicast and its VXLAN device. */
export class GroupFilter {
  readonly #table: Table
  #isWanted = false

  /** `socket` is a NETLINK_NETFILTER socket of the overlay's namespace. */
  constructor(socket: NetlinkSocket) {
    this.#table = new Table(socket, groupFilter)
  }

  /** Makes, repairs or removes it. @returns what was changed, in words. */
  ensure(isWanted: boolean): string[] {
    this.#isWanted = isWanted
    if (isWanted) return this.#table.ensure()
    this.#table.remove()
    return []
  }

  /** The FDB of the VXLAN device is about to be changed so. */
  noteFdb(changes: readonly RowChange[]): void {
    const rows = changes.filter((change) => change.kind === 'fdb' && change.mac !== noMac)
    if (!this.#isWanted || rows.length === 0) return
    const macs = new Map(rows.map(({ mac, op }) => [textOf(mac), { mac, op }]))
    const set = [...macs.values()].filter(({ op }) => op === 'set')
    const keys = set.map(({ mac }) => keyOf(mac))
    this.#table.replace(peers, (key) => macs.has(key.toString('latin1')), keys)
  }

  /** Lets frames to the MAC addresses of the FDB pass, and to no others. */
  syncFdb(fdb: readonly FdbEntry[]): void {
    if (!this.#isWanted) return
    const macs = new Set(fdb.map(({ mac }) => mac))
    macs.delete(noMac as Mac)
    this.#table.replace(peers, () => true, Array.from(macs, keyOf))
  }

  /** Frames dropped since the rules were made, by reason. */
  dropped(): [string, number][] {
    if (!this.#isWanted) return []
    return [...this.#table.counters()].filter(([, frames]) => frames > 0)
  }
}

function keyOf(mac: Mac): Buffer {
  return Buffer.from([...macToBytes(mac), 0, 0])
}

function textOf(mac: Mac): string {
  return keyOf(mac).toString('latin1')
}
