/** Builds what the members agree on, and who may be a member, which is part of that. */
import type { Findings } from '../base/findings.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Ip } from '../net/ip.ts'
import { Consensus } from '../consensus/consensus.ts'
import { AgreedState } from '../consensus/state/agreed-state.ts'
import type { Network } from '../driver/network-store.ts'
import { AddressWatch } from './host/address-watch.ts'
import { MtuWatch } from './host/mtu-watch.ts'
import { mtuHere } from './ports/encryption-ports.ts'
import { Admission } from './admission/admission.ts'
import { AdmissionSection } from './admission/admission-section.ts'
import { consensusStore, consensusTransport } from './ports/consensus-ports.ts'
import type { PluginOptions, PluginPorts } from './ports/plugin-ports.ts'
import type { SeedCache } from './seed-cache.ts'

interface Below {
  readonly cluster: Cluster
  readonly seedCache: SeedCache
  readonly findings: Findings
  /** Contacts the members that JOIN names. */
  readonly join: () => void
}

interface Agreement {
  readonly consensus: Consensus
  readonly admission: Admission
  readonly addressWatch: AddressWatch | null
}

export function newAgreement(ports: PluginPorts, options: PluginOptions, below: Below): Agreement {
  const { clock, random, logger, store, sealed } = ports
  const { cluster } = below
  let section: AdmissionSection | null = null
  const state = new AgreedState((members) => ({
    admission: (section = new AdmissionSection(members)),
  }))
  const consensus = new Consensus(
    {
      self: options.member,
      clock,
      random,
      logger: logger.child('consensus'),
      transport: consensusTransport(cluster),
      store: consensusStore(store),
      members: () => cluster.members(),
    },
    state,
    {
      voters: options.voters,
      // Who founded the cluster's authority founds what is agreed on, and nobody else.
      founds: () => sealed.isFounder,
    },
  )
  return {
    consensus,
    admission: newAdmission(ports, { ...below, consensus }, section!),
    addressWatch: newAddressWatch(ports, options, below.findings),
  }
}

function newAdmission(
  { sealed, logger }: PluginPorts,
  { cluster, seedCache, findings, join, consensus }: Below & Pick<Agreement, 'consensus'>,
  section: AdmissionSection,
): Admission {
  const admission = new Admission({
    ...sealed.parts,
    consensus,
    section,
    rotationMs: sealed.rotationMs,
    startedMs: sealed.startedMs,
    members: () => joinable(cluster, sealed.parts),
    known: () => seedCache.known(),
    isAlive: (member) =>
      cluster.members().some(({ name, state }) => name === member && state === 'alive'),
    findings: findings.room('identity'),
    logger: logger.child('identity'),
    onMember: join,
    voters: () => {
      const { leader, voters } = consensus.status()
      const names = leader === null ? voters : [leader, ...voters.filter((name) => name !== leader)]
      const seeds = new Map(cluster.members().map(({ name, seed }) => [name, seed]))
      return names.map((name) => seeds.get(name) ?? '').filter((seed) => seed !== '')
    },
  })
  sealed.admission = admission
  consensus.onLeadership(() => admission.look())
  return admission
}

/** Live members as JOIN names them, this one first; the port only where it is not the usual one. */
function joinable(cluster: Cluster, { address, port }: { address: Ip; port: number }): string[] {
  const own = `${address.includes(':') ? `[${address}]` : address}:${port}`
  const others = cluster.members().filter(({ state, self }) => !self && state === 'alive')
  return [own, ...others.map(({ seed }) => seed)].map((seed) => seed.replace(/:7946$/, ''))
}

function newAddressWatch(
  { clock, dataplane, hostAddress }: PluginPorts,
  { vtep: address }: PluginOptions,
  findings: Findings,
): AddressWatch | null {
  if (hostAddress === undefined) return null
  const check = (wanted: Ip) => dataplane.underlayMtu(wanted)
  return new AddressWatch({
    ...hostAddress,
    clock,
    findings: findings.room('host'),
    address,
    check,
  })
}

/** Watches the MTU of the underlay's link, on a real host whose MTU is not set. */
export function newMtuWatch(
  ports: PluginPorts,
  options: PluginOptions,
  networks: () => readonly Network[],
  findings: Findings,
): Partial<MtuWatch> {
  if (ports.hostAddress === undefined || options.underlayMtu !== null) return {}
  return new MtuWatch({
    clock: ports.clock,
    findings: findings.room('underlay'),
    networks,
    mtuHere: (encrypted) => mtuHere(ports, options, encrypted),
  })
}
