import { Debounce } from '../base/timers.ts'
import type { Peer } from '../net/endpoint.ts'
import type { Endpoint, Network } from './network-store.ts'
import type { NetworkStore } from './network-store.ts'
import type { KnownOverlay } from './network-store.ts'
import type { DriverParts, DriverPeers } from './ports.ts'

/** Changes within that time are checked together: a member that joins brings thousands. */
const checkDelayMs = 1000
/** Lines that one check may log; `/status` has the others. */
const maxLines = 5
/** Entries in `/status`. One misconfigured host contradicts all others, in each of its overlays. */
const maxListed = 100

/**
 * An inconsistency between this host and another member's part of an overlay. A new network or
 * endpoint that would cause one is refused, but after a partition, or when two hosts act at the
 * same moment, it can only be detected. Both sides detect it, each from its own side.
 */
export interface Inconsistency {
  readonly kind: 'mtu' | 'port' | 'vni' | 'subnets' | 'vni-shared' | 'mac' | 'address'
  readonly overlayId: string
  /** The other member. */
  readonly member: string
  /** The values on this host and on the other one. */
  readonly here: string
  readonly there: string
  /** For people: both values, the effect, and what to do. */
  readonly message: string
}

/** A live member's overlay as it is now; null when it is withdrawn, or the member is gone. */
export interface OverlayChange {
  readonly member: string
  readonly overlayId: string
  readonly now: KnownOverlay | null
}

/** For `/status`. */
export interface InconsistencyStatus {
  readonly count: number
  /** The first hundred. */
  readonly list: readonly Inconsistency[]
}

/** Logs each inconsistency once when it is found, and once when it is over. */
export class ConsistencyCheck {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  /** The overlays of live members, by member and overlay. */
  readonly #elsewhere = new Map<string, KnownOverlay>()
  #known = new Map<string, Inconsistency>()
  readonly #check: Debounce
  #isStopped = false

  constructor(parts: DriverParts, store: NetworkStore) {
    this.#parts = parts
    this.#store = store
    const { clock } = parts
    this.#check = new Debounce({ clock, delayMs: checkDelayMs, run: () => this.#run() })
  }

  /** A network or endpoint changed; of other members' overlays, these. */
  changed(overlays: readonly OverlayChange[] = []): void {
    for (const { member, overlayId, now } of overlays) {
      const key = JSON.stringify([member, overlayId])
      if (now === null) this.#elsewhere.delete(key)
      else this.#elsewhere.set(key, now)
    }
    if (!this.#isStopped) this.#check.trigger()
  }

  stop(): void {
    this.#isStopped = true
    this.#check.stop()
  }

  /** Checks now. */
  status(): InconsistencyStatus {
    const all = this.#find()
    return { count: all.length, list: all.slice(0, maxListed) }
  }

  #run(): void {
    const { logger } = this.#parts
    const before = this.#known
    this.#known = new Map(this.#find().map((found) => [inconsistencyId(found), found]))
    const fresh = [...this.#known].filter(([id]) => !before.has(id))
    const over = [...before].filter(([id]) => !this.#known.has(id))
    for (const [, { message }] of fresh.slice(0, maxLines)) logger.warn(message)
    for (const [, { message }] of over.slice(0, maxLines)) logger.info(`over: ${message}`)
    const more = fresh.length - maxLines
    if (more > 0) logger.warn(`${more} more disagreements with other members; /status has them`)
  }

  #find(): Inconsistency[] {
    const networks = this.#store.networks()
    const { peers, vxlanPort } = this.#parts
    const duplicate = networks.flatMap((network) => {
      const joined = this.#store.endpoints(network.networkId).filter((endpoint) => endpoint.joined)
      return duplicateClaims(network, joined, peers)
    })
    return [...overlayInconsistencies(networks, this.#elsewhere.values(), vxlanPort), ...duplicate]
  }
}

/** Unique, also among inconsistencies of one kind with other values. */
export function inconsistencyId({ kind, overlayId, member, here, there }: Inconsistency): string {
  return JSON.stringify([kind, overlayId, member, here, there])
}

/** Compares the overlays of live members with the networks and the VXLAN port of this host. */
export function overlayInconsistencies(
  networks: readonly Network[],
  elsewhere: Iterable<KnownOverlay>,
  port: number,
): Inconsistency[] {
  const ours = new Map(networks.map((network) => [network.overlayId, network]))
  const byVni = new Map(networks.map((network) => [network.vni, network]))
  const found: Inconsistency[] = []
  for (const theirs of elsewhere) {
    const same = ours.get(theirs.overlayId)
    const other = byVni.get(theirs.vni)
    if (same !== undefined) found.push(...overlayMismatches(same, theirs, port))
    else if (other !== undefined) found.push(sharedVni(other, theirs))
  }
  return found
}

function* overlayMismatches(
  ours: Network,
  theirs: KnownOverlay,
  port: number,
): Generator<Inconsistency> {
  const { overlayId, vni, mtu } = ours
  const { member } = theirs
  const where = `overlay "${overlayId}": `
  if (theirs.port !== undefined && port !== theirs.port) {
    const message =
      `${where}VXLAN port ${port} here, ${theirs.port} on member ${member}; containers of the two hosts do not ` +
      'reach each other. Give all hosts the same VXLAN_PORT'
    yield { kind: 'port', overlayId, member, here: `${port}`, there: `${theirs.port}`, message }
  }
  if (vni !== theirs.vni) {
    const message =
      `${where}VNI ${vni} here, ${theirs.vni} on member ${member}; containers of the two hosts do not ` +
      'reach each other. Remove the network on one of them and create it again'
    yield { kind: 'vni', overlayId, member, here: `${vni}`, there: `${theirs.vni}`, message }
  }
  const [here, there] = [ours.pools, theirs.pools].map((pools) => pools.toSorted().join(', '))
  if (here !== there) {
    const message =
      `${where}subnets ${here || 'none'} here, ${there || 'none'} on member ${member}; remove the network ` +
      'on one of the two hosts and create it again with the same --subnet'
    yield { kind: 'subnets', overlayId, member, here: here!, there: there!, message }
  }
  if (mtu !== theirs.mtu) {
    const [larger, least] = mtu > theirs.mtu ? ['this host', theirs.mtu] : [`member ${member}`, mtu]
    const message =
      `${where}MTU ${mtu} here, ${theirs.mtu} on member ${member}; larger packets from ${larger} are lost. ` +
      `Remove the network on ${larger} and create it again: it then takes ${least}, unless -o ` +
      'com.docker.network.driver.mtu= says otherwise'
    yield { kind: 'mtu', overlayId, member, here: `${mtu}`, there: `${theirs.mtu}`, message }
  }
}

function sharedVni(ours: Network, theirs: KnownOverlay): Inconsistency {
  const { overlayId, vni } = ours
  const { member } = theirs
  const message =
    `overlay "${overlayId}" here and overlay "${theirs.overlayId}" on member ${member} both have VNI ${vni}; ` +
    'remove one of the networks and create it again, where that can be with another -o vni='
  return {
    kind: 'vni-shared',
    overlayId,
    member,
    here: overlayId,
    there: theirs.overlayId,
    message,
  }
}

/**
 * Addresses and MAC addresses that an endpoint of this host and one of a live member both have,
 * except for IP addresses of our own pools: IPAM knows their owners.
 */
export function duplicateClaims(
  network: Network,
  endpoints: readonly Endpoint[],
  peers: DriverPeers,
): Inconsistency[] {
  const { overlayId, vni } = network
  const found: Inconsistency[] = []
  const add = (
    kind: 'mac' | 'address',
    what: string,
    remedy: string,
    claimants: readonly Peer[],
  ) => {
    for (const { origin, vtep, endpointId, live } of claimants) {
      if (!live) continue
      const there = `${what} (endpoint ${endpointId})`
      const message =
        `overlay "${overlayId}": ${what} is that of a container here and of endpoint ${endpointId} on ` +
        `member ${origin} (${vtep}); only one of them gets packets. Stop one, or give it another ${remedy}`
      found.push({ kind, overlayId, member: origin, here: what, there, message })
    }
  }
  for (const { addresses, mac } of endpoints) {
    add('mac', `MAC address ${mac}`, '--mac-address', peers.withMac(vni, mac))
    if (network.poolKeys.length > 0) continue
    for (const { ip } of addresses) add('address', `address ${ip}`, '--ip', peers.withIp(vni, ip))
  }
  return found
}
