import type { FindingCode } from '../base/codes.ts'
import type { Finding } from '../base/findings.ts'
import { Debounce } from '../base/timers.ts'
import type { Peer } from '../net/endpoint.ts'
import { ipBits } from '../net/ip.ts'
import type { Endpoint, Network } from './network-store.ts'
import type { NetworkStore } from './network-store.ts'
import type { KnownOverlay } from './network-store.ts'
import { sharedPool } from './overlay-parameters.ts'
import type { DriverParts, DriverPeers } from './ports.ts'

/** Changes within that time are checked together: a member that joins brings thousands. */
const checkDelayMs = 1000
/** Entries in `/status`. One misconfigured host contradicts all others, in each of its overlays. */
const maxListed = 100

/**
 * An inconsistency between this host and another member's part of an overlay. A new network or
 * endpoint that would cause one is refused, but after a partition, or when two hosts act at the
 * same moment, it can only be detected. Both sides detect it, each from its own side.
 */
interface Inconsistency {
  readonly kind:
    | 'mtu'
    | 'underlay'
    | 'port'
    | 'vni'
    | 'encryption'
    | 'multicast'
    | 'subnets'
    | 'vni-shared'
    | 'pool'
    | 'mac'
    | 'address'
  readonly overlayId: string
  /** The other member. */
  readonly member: string
  /** The values on this host and on the other one. */
  readonly here: string
  readonly there: string
  /** For people: both values and the effect, and what to do. */
  readonly text: string
  readonly remedy: string
}

const codes: Readonly<Record<Inconsistency['kind'], FindingCode>> = {
  mtu: 'OVERLAY_MTU',
  underlay: 'OVERLAY_UNDERLAY',
  port: 'OVERLAY_PORT',
  vni: 'OVERLAY_VNI',
  encryption: 'OVERLAY_ENCRYPTION',
  multicast: 'OVERLAY_MULTICAST',
  subnets: 'OVERLAY_SUBNETS',
  'vni-shared': 'VNI_SHARED',
  pool: 'POOL_SHARED',
  mac: 'MAC_DUPLICATE',
  address: 'ADDRESS_DUPLICATE',
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
  readonly list: readonly (Omit<Inconsistency, 'text' | 'remedy'> & { message: string })[]
}

/** Reports inconsistencies as findings. */
export class ConsistencyCheck {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  /** The overlays of live members, by member and overlay. */
  readonly #elsewhere = new Map<string, KnownOverlay>()
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
    const list = all.slice(0, maxListed).map(({ text, remedy, ...rest }) => {
      return { ...rest, message: `${text}; ${remedy}` }
    })
    return { count: all.length, list }
  }

  #run(): void {
    this.#parts.findings.replace('consistency', this.#find().map(findingOf))
  }

  #find(): Inconsistency[] {
    const networks = this.#store.networks()
    const { peers, ...host } = this.#parts
    const duplicate = networks.flatMap((network) => {
      const joined = this.#store.endpoints(network.networkId).filter((endpoint) => endpoint.joined)
      return duplicateClaims(network, joined, peers)
    })
    return [...overlayInconsistencies(networks, this.#elsewhere.values(), host), ...duplicate]
  }
}

function findingOf({ kind, overlayId, text, remedy, ...details }: Inconsistency): Finding {
  const { member, here, there } = details
  const key = JSON.stringify([member, here, there])
  return { code: codes[kind], subject: `overlay ${overlayId}`, key, text, remedy, details }
}

type Tunnels = Pick<DriverParts, 'vtep' | 'vxlanPort'>

/** Compares the overlays of live members with the networks and the tunnels of this host. */
function overlayInconsistencies(
  networks: readonly Network[],
  elsewhere: Iterable<KnownOverlay>,
  host: Tunnels,
): Inconsistency[] {
  const ours = new Map(networks.map((network) => [network.overlayId, network]))
  const byVni = new Map(networks.map((network) => [network.vni, network]))
  const found: Inconsistency[] = []
  for (const theirs of elsewhere) {
    const same = ours.get(theirs.overlayId)
    const other = byVni.get(theirs.vni)
    if (same !== undefined) found.push(...overlayMismatches(same, theirs, host))
    else if (other !== undefined) found.push(sharedVni(other, theirs))
    else found.push(...sharedPools(networks, theirs))
  }
  return found
}

function* overlayMismatches(
  ours: Network,
  theirs: KnownOverlay,
  { vtep, vxlanPort: port }: Tunnels,
): Generator<Inconsistency> {
  const { overlayId, vni, mtu } = ours
  const { member } = theirs
  const who = { overlayId, member }
  const where = `overlay "${overlayId}": `
  const noTraffic = `member ${member}, and containers of the two hosts do not reach each other`
  if (theirs.vtep !== undefined && ipBits(theirs.vtep) !== ipBits(vtep)) {
    const text = `${where}VTEP ${vtep} here, ${theirs.vtep} on ${noTraffic}`
    const remedy = 'give all hosts an ADVERTISE_ADDR of one family, IPv4 or IPv6'
    yield { kind: 'underlay', ...who, here: vtep, there: theirs.vtep, text, remedy }
  }
  if (theirs.port !== undefined && port !== theirs.port) {
    const text = `${where}VXLAN port ${port} here, ${theirs.port} on ${noTraffic}`
    const remedy = 'give all hosts the same VXLAN_PORT'
    yield { kind: 'port', ...who, here: `${port}`, there: `${theirs.port}`, text, remedy }
  }
  if (vni !== theirs.vni) {
    const text = `${where}VNI ${vni} here, ${theirs.vni} on ${noTraffic}`
    const remedy = 'remove the network on one of them and create it again'
    yield { kind: 'vni', ...who, here: `${vni}`, there: `${theirs.vni}`, text, remedy }
  }
  if (ours.encrypted !== theirs.encrypted) {
    const [here, there] = [ours, theirs].map(({ encrypted }) => (encrypted ? 'encrypted' : 'plain'))
    const text = `${where}${here} here, ${there} on ${noTraffic}`
    const remedy = 'remove the network on one of them and create it again as on the other'
    yield { kind: 'encryption', ...who, here: here!, there: there!, text, remedy }
  }
  if ((ours.multicast ?? false) !== (theirs.multicast ?? false)) {
    const [here, there] = [ours, theirs].map(({ multicast }) => (multicast === true ? 'on' : 'off'))
    const text = `${where}multicast ${here} here, ${there} on member ${member}, and frames to groups pass one way at most`
    const remedy = 'remove the network on one of them and create it again as on the other'
    yield { kind: 'multicast', ...who, here: here!, there: there!, text, remedy }
  }
  const [here, there] = [ours.pools, theirs.pools].map((pools) => pools.toSorted().join(', '))
  if (here !== there) {
    const text = `${where}subnets ${here || 'none'} here, ${there || 'none'} on member ${member}`
    const remedy =
      'remove the network on one of the two hosts and create it again with the same --subnet'
    yield { kind: 'subnets', ...who, here: here!, there: there!, text, remedy }
  }
  if (mtu !== theirs.mtu) {
    const [larger, least] = mtu > theirs.mtu ? ['this host', theirs.mtu] : [`member ${member}`, mtu]
    const text =
      `${where}MTU ${mtu} here, ${theirs.mtu} on member ${member}, and larger packets from ` +
      `${larger} are lost`
    const remedy =
      `remove the network on ${larger} and create it again: it then takes ${least}, unless -o ` +
      'com.docker.network.driver.mtu= is given'
    yield { kind: 'mtu', ...who, here: `${mtu}`, there: `${theirs.mtu}`, text, remedy }
  }
}

function sharedVni(ours: Network, theirs: KnownOverlay): Inconsistency {
  const { overlayId, vni } = ours
  const { member } = theirs
  const [here, there] = [overlayId, theirs.overlayId]
  const text = `overlay "${here}" here and overlay "${there}" on member ${member} both have VNI ${vni}`
  const remedy = 'remove one of the networks and create it again, if possible with another -o vni='
  return { kind: 'vni-shared', overlayId, member, here, there, text, remedy }
}

function* sharedPools(
  networks: readonly Network[],
  theirs: KnownOverlay,
): Generator<Inconsistency> {
  for (const { overlayId, poolKeys } of networks) {
    const shared = sharedPool(poolKeys, theirs)
    if (shared === null) continue
    const { member } = theirs
    const [here, there] = [overlayId, theirs.overlayId]
    const text =
      `subnet ${shared} is of overlay "${here}" here and of overlay "${there}" on member ${member}, ` +
      'and their containers do not reach each other'
    const remedy = 'remove one of the networks and create it again with all subnets of the other'
    yield { kind: 'pool', overlayId, member, here, there, text, remedy }
  }
}

/**
 * Addresses and MAC addresses that an endpoint of this host and one of a live member both have,
 * except for IP addresses of our own pools: IPAM knows their owners.
 */
function duplicateClaims(
  network: Network,
  endpoints: readonly Endpoint[],
  peers: DriverPeers,
): Inconsistency[] {
  const { overlayId, vni } = network
  const found: Inconsistency[] = []
  const add = (
    kind: 'mac' | 'address',
    what: string,
    option: string,
    claimants: readonly Peer[],
  ) => {
    for (const { origin, vtep, endpointId, live } of claimants) {
      if (!live) continue
      const there = `${what} (endpoint ${endpointId})`
      const text =
        `overlay "${overlayId}": ${what} is that of a container here and of endpoint ${endpointId} ` +
        `on member ${origin} (${vtep}), and only one of them receives packets`
      const remedy = `stop one of them, or give it another ${option}`
      found.push({ kind, overlayId, member: origin, here: what, there, text, remedy })
    }
  }
  for (const { addresses, mac } of endpoints) {
    add('mac', `MAC address ${mac}`, '--mac-address', peers.withMac(vni, mac))
    if (network.poolKeys.length > 0) continue
    for (const { ip } of addresses) add('address', `address ${ip}`, '--ip', peers.withIp(vni, ip))
  }
  return found
}
