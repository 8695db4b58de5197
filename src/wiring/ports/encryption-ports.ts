import type { Findings } from '../../base/findings.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { Transition } from '../../cluster/cluster.ts'
import { Encryption } from '../../dataplane/reconcile/encryption.ts'
import { type WireGuardKeys, newWireGuardKeys } from '../../dataplane/reconcile/key-rotation.ts'
import type { EncryptedMember } from '../../dataplane/reconcile/wireguard-peers.ts'
import type { Network } from '../../driver/network-store.ts'
import type { DriverParts } from '../../driver/ports.ts'
import { presharedKey } from '../../identity/packets/gossip-keys.ts'
import { overlayMtu, wireGuardMtu } from '../../net/mtu.ts'
import type { Store } from '../../store/store.ts'
import { overlayRecord, wireguardRecord } from '../records.ts'
import type { PluginOptions, PluginPorts } from './plugin-ports.ts'
import { savedValue } from './saved-value.ts'

/** What the encryption needs of the other rooms. */
interface EncryptionRooms {
  readonly cluster: Cluster
  readonly findings: Findings
  readonly networks: () => readonly Network[]
}

export function newEncryption(
  ports: PluginPorts,
  options: PluginOptions,
  { cluster, findings, networks }: EncryptionRooms,
): Encryption {
  const { clock, logger, store, dataplane, sealed } = ports
  const { vtep, wireguardPort: port } = options
  const overlayIds = (): Set<string> => {
    const encrypted = networks().filter((network) => network.encrypted)
    return new Set(encrypted.map(({ overlayId }) => overlayId))
  }
  return new Encryption({
    wireGuard: dataplane.wireGuard,
    clock,
    logger: logger.child('encryption'),
    findings: findings.room('encryption'),
    vtep,
    listenPort: port,
    mtu: async () => wireGuardMtu(await underlayMtu(ports, options), vtep),
    ...wireGuardKeys(store),
    isWanted: () => overlayIds().size > 0,
    members: () => encryptedMembers(cluster, overlayIds()),
    presharedKey: (own, other) => {
      const keys = sealed.parts.identity.standing?.keys
      return keys === undefined ? null : presharedKey(keys, own, other)
    },
    isKnown: (address) => cluster.hasAllOf(address),
    publish: (now, before) => {
      // First the new key, which makes the old one void: no member is without one in between.
      if (now !== null)
        cluster.put(wireguardRecord, {
          publicKey: now.publicKey,
          port,
          ...(now.spareKey === null ? {} : { spareKey: now.spareKey }),
        })
      if (before !== null && before.publicKey !== now?.publicKey)
        cluster.remove(wireguardRecord, before.publicKey)
    },
  })
}

/** Whether the peers of WireGuard may be others after these changes. */
export function concernsEncryption(batch: readonly Transition[]): boolean {
  return batch.some(({ previous, next }) => {
    const record = next ?? previous
    return wireguardRecord.is(record) || (overlayRecord.is(record) && record.encrypted)
  })
}

/** The encryption as the driver sees it. */
export function driverEncryption(
  ports: PluginPorts,
  options: PluginOptions,
  encryption: Encryption,
): Pick<DriverParts, 'mtuHere' | 'ensureEncryption' | 'networksChanged'> {
  return {
    mtuHere: (encrypted) => mtuHere(ports, options, encrypted),
    ensureEncryption: () => encryption.ensure(),
    networksChanged: () => encryption.changed(),
  }
}

/** Bytes that the underlay leaves for containers. */
export async function mtuHere(
  ports: PluginPorts,
  options: PluginOptions,
  encrypted: boolean,
): Promise<number> {
  const left = await underlayMtu(ports, options)
  return overlayMtu(encrypted ? wireGuardMtu(left, options.vtep) : left, options.vtep)
}

async function underlayMtu(
  { dataplane }: PluginPorts,
  { underlayMtu: set, vtep }: PluginOptions,
): Promise<number> {
  return set ?? (await dataplane.underlayMtu(vtep))
}

/** This host's WireGuard keys, made once and then kept on the disk. */
function wireGuardKeys(store: Store) {
  const saved = savedValue<WireGuardKeys>(store, 'encryption', 'keys')
  return {
    saveKeys: (keys: WireGuardKeys) => saved.save(keys),
    keys: async (): Promise<WireGuardKeys> => {
      const known = saved.load()
      if (known !== undefined) return known
      const keys = newWireGuardKeys()
      await saved.save(keys)
      return keys
    },
  }
}

/** The live members that have a WireGuard device and one of these overlays, encrypted. */
function encryptedMembers(cluster: Cluster, overlayIds: ReadonlySet<string>): EncryptedMember[] {
  if (overlayIds.size === 0) return []
  const sharing = new Set<string>()
  for (const { origin, record, self } of cluster.records(overlayRecord))
    if (!self && record.encrypted && overlayIds.has(record.overlayId)) sharing.add(origin)
  const members = new Map<string, EncryptedMember>()
  for (const { origin, address, record } of cluster.records(wireguardRecord)) {
    if (!sharing.has(origin)) continue
    const { publicKey, port, spareKey = null } = record
    // While a member replaces its key, it may have two records: the old one names the new.
    if (spareKey !== null && members.get(origin)?.publicKey === spareKey) continue
    members.set(origin, { vtep: address, publicKey, port, spareKey })
  }
  return [...members.values()]
}
