import { messageOf } from '../base/errors.ts'
import { Findings } from '../base/findings.ts'
import type { Logger } from '../base/logger.ts'
import { Cluster, type Transition } from '../cluster/cluster.ts'
import type { Consensus } from '../consensus/consensus.ts'
import { AgreedClient } from '../consensus/state/agreed-client.ts'
import type { Encryption } from '../dataplane/reconcile/encryption.ts'
import { Reconciler } from '../dataplane/reconcile/reconciler.ts'
import type { OverlayChange } from '../driver/consistency.ts'
import { Driver } from '../driver/driver.ts'
import type { Network } from '../driver/network-store.ts'
import { Ipam } from '../ipam/ipam.ts'
import type { IpamCluster } from '../ipam/ports.ts'
import type { Names } from '../names/names.ts'
import { Replicator } from '../networks/replicator.ts'
import type { Paths } from '../paths/paths.ts'
import { Peers } from '../peers/peers.ts'
import { newAgreement } from './agreement.ts'
import type { AddressWatch } from './host/address-watch.ts'
import { ClaimFindings } from './claim-validation.ts'
import { Propagation } from './ports/propagation.ts'
import { driverAgreement, driverCluster, driverPools } from './ports/driver-ports.ts'
import { newPaths } from './ports/path-ports.ts'
import { ipamCluster } from './ports/ipam-ports.ts'
import { driverNetworks, networksCluster, otherHosts } from './ports/networks-ports.ts'
import { concernsEncryption, driverEncryption, newEncryption } from './ports/encryption-ports.ts'
import type { PluginOptions, PluginPorts } from './ports/plugin-ports.ts'
import type { Admission } from './admission/admission.ts'
import { savedValue } from './ports/saved-value.ts'
import { networkRecord, overlayRecord, recordTypes } from './records.ts'
import { endpointsChanged, newNames } from './names/names-ports.ts'
import { MemberEvents, joinText } from './member-events.ts'
import { SeedCache } from './seed-cache.ts'

/** The rooms of a plugin. */
export interface Rooms {
  readonly cluster: Cluster
  readonly consensus: Consensus
  readonly peers: Peers
  readonly propagation: Propagation
  readonly reconciler: Reconciler
  readonly encryption: Encryption
  readonly ipam: Ipam
  readonly driver: Driver
  readonly findings: Findings
  readonly claims: ClaimFindings
  readonly seedCache: SeedCache
  readonly memberEvents: MemberEvents
  /** Null where there is no kernel that probes can be sent through. */
  readonly paths: Paths | null
  readonly admission: Admission
  readonly addressWatch: AddressWatch | null
  /** Null with `NAMES=off`. */
  readonly names: Names | null
  /** Null without the engine's API: then a network is created on each host. */
  readonly replicator: Replicator | null
  /** Contacts the members that JOIN names and those that were known last; waits for none. */
  readonly join: () => void
}

/**
 * Builds the rooms and connects them; nothing runs yet. Records go one way, from driver and address
 * management into this member's log; other members' records go the other, from the cluster into the
 * peers and on to the data plane.
 */
export function buildRooms(ports: PluginPorts, options: PluginOptions): Rooms {
  const { clock, random, logger, store, dataplane, gossip } = ports
  const findings = new Findings(clock, logger)
  const cluster = new Cluster({
    name: options.member,
    address: options.vtep,
    clock,
    random,
    logger: logger.child('cluster'),
    gossip,
    epochStore: savedValue<number>(store, 'cluster', 'epoch'),
    records: recordTypes,
    signatures: ports.sealed?.transport.signatures ?? null,
  })
  const seedCache = newSeedCache(ports, cluster)
  const join = () => contactMembers(rooms, options, logger)
  const below = { cluster, seedCache, findings, join }
  const { consensus, admission, addressWatch } = newAgreement(ports, options, below)
  const peers = new Peers()
  const propagation = new Propagation(clock, random, cluster)
  const reconciler = new Reconciler({
    dataplane,
    peers,
    clock,
    logger: logger.child('dataplane'),
    auditIntervalMs: options.auditIntervalMs,
    isKnown: (vtep) => cluster.hasAllOf(vtep),
  })
  const agreed = new AgreedClient(consensus, '')
  const networks = (): Network[] => driver.networks()
  const peersWithIp = peers.withIp.bind(peers)
  const knowledge = ipamCluster(cluster, options.member, { networks, peersWithIp })
  const ipam = newIpam(ports, options, { consensus, agreement: agreed }, knowledge)
  const encryption = newEncryption(ports, options, { cluster, findings, networks })
  const driver = new Driver({
    clock,
    logger: logger.child('driver'),
    findings: findings.room('driver'),
    store,
    random,
    agreement: driverAgreement(clock, ipam, agreed),
    otherHosts: otherHosts(cluster, options.member, ports.engine),
    cluster: driverCluster(cluster, options, propagation),
    pools: driverPools(ipam),
    peers,
    dataplane: reconciler,
    endpointsChanged: () => endpointsChanged(clock, names),
    ...driverSettings(options),
    ...driverEncryption(ports, options, encryption),
  })
  const first = { propagation, cluster, consensus, peers, reconciler, encryption, seedCache }
  const names = newNames(ports, findings, { cluster, driver })
  const memberEvents = newMemberEvents(ports, options, first)
  const paths = newPaths(ports, options, { ...first, findings })
  const replicator = newReplicator(ports, options, { ...first, driver, ipam, findings })
  const second = { addressWatch, findings, memberEvents, paths, admission, join, replicator, names }
  const claims = new ClaimFindings(findings.room('cluster'))
  const rooms: Rooms = connect({ ...first, claims, ipam, driver, ...second }, options)
  return rooms
}

function newSeedCache({ clock, store, logger }: PluginPorts, cluster: Cluster): SeedCache {
  const seeds = () => cluster.seeds()
  return new SeedCache({ clock, store, logger: logger.child('cluster'), seeds })
}

function newMemberEvents(
  { logger }: PluginPorts,
  options: PluginOptions,
  { cluster, consensus }: Pick<Rooms, 'cluster' | 'consensus'>,
): MemberEvents {
  return new MemberEvents({
    logger: logger.child('members'),
    isSynced: () => cluster.synced(),
    clusterId: () => consensus.status().clusterId,
    members: () => cluster.members(),
    joinText: joinText(options),
  })
}

function contactMembers(
  { cluster, seedCache, memberEvents, replicator }: Rooms,
  options: PluginOptions,
  logger: Logger,
): void {
  const seeds = [...new Set([...options.seeds, ...seedCache.known()])]
  const joined = (): void => {
    memberEvents.changed()
    replicator?.changed()
  }
  cluster.join(seeds).then(joined, (error: unknown) => {
    logger.warn(`joining: ${messageOf(error)}`, { seeds })
  })
}

/** What the rooms tell each other. */
function connect(rooms: Rooms, { vtep }: PluginOptions): Rooms {
  const { cluster, peers, reconciler, consensus, driver } = rooms
  const { claims, seedCache, memberEvents, replicator } = rooms
  cluster.onMembers(() => seedCache.changed())
  cluster.onMembers(() => memberEvents.changed())
  consensus.onClusterChange(() => memberEvents.changed())
  cluster.onTransitions((batch) => {
    reconciler.peersChanged(peers.applyRecords(batch))
    rooms.names?.applyRecords(batch)
    driver.overlaysChanged(overlayChanges(batch))
    claims.check(batch, driver.networks(), vtep)
    const isNetwork = ({ previous, next }: Transition) => networkRecord.is(next ?? previous)
    if (batch.some(isNetwork)) replicator?.changed()
    if (concernsEncryption(batch)) rooms.encryption.changed()
  })
  return rooms
}

/** The overlays among the cluster's transitions, as the driver accepts them. */
function overlayChanges(batch: readonly Transition[]): OverlayChange[] {
  return batch.flatMap(({ origin, address, previous, next }) => {
    const record = next ?? previous
    if (!overlayRecord.is(record)) return []
    const now = overlayRecord.is(next) ? { ...next, member: origin, vtep: address } : null
    return [{ member: origin, overlayId: record.overlayId, now }]
  })
}

function newIpam(
  { clock, random, logger, store, hostRoutes }: PluginPorts,
  options: PluginOptions,
  { consensus, agreement }: Pick<Rooms, 'consensus'> & { agreement: AgreedClient },
  cluster: IpamCluster,
): Ipam {
  return new Ipam({
    settings: options,
    store,
    cluster,
    agreement,
    consensus: {
      voters: () => consensus.status().voters,
      isLeader: () => consensus.isLeader(),
      onClusterChange: (listener) => consensus.onClusterChange(listener),
    },
    clock,
    random,
    logger: logger.child('ipam'),
    ...(hostRoutes === undefined ? {} : { hostRoutes }),
  })
}

function newReplicator(
  { clock, logger, store, engine, hostRoutes }: PluginPorts,
  { member, auditIntervalMs }: PluginOptions,
  {
    cluster,
    peers,
    driver,
    ipam,
    findings,
  }: Pick<Rooms, 'cluster' | 'peers' | 'driver' | 'ipam' | 'findings'>,
): Replicator | null {
  if (engine === undefined) return null
  return new Replicator({
    clock,
    logger: logger.child('networks'),
    findings: findings.room('networks'),
    store,
    engine,
    cluster: networksCluster(cluster, peers, member),
    networks: () => driverNetworks(driver, ipam),
    copyNetwork: (pools, create) => driver.copyNetwork(pools, create),
    hostRoutes: async () => (await hostRoutes?.()) ?? [],
    auditIntervalMs,
  })
}

function driverSettings({ vtep, vxlanPort, orphanGraceMs }: PluginOptions) {
  return { vtep, vxlanPort, orphanGraceMs }
}
