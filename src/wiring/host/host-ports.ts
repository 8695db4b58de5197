import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { failure, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { systemRandom } from '../../base/random.ts'
import type { GossipTransport } from '../../cluster/gossip/gossip-transport.ts'
import { createMemberlistGossip, gossipSockets } from '../../cluster/gossip/memberlist-gossip.ts'
import type { Dataplane } from '../../dataplane/dataplane.ts'
import { LinuxDataplane } from '../../dataplane/linux/linux-dataplane.ts'
import { EngineClient } from '../../engine-client/engine-client.ts'
import { ownAddress } from '../../host/advertise-address.ts'
import { memberName } from '../../host/member-name.ts'
import { defaultRouteAddress } from '../../host/routes.ts'
import type { Ip } from '../../net/ip.ts'
import { whyReservedIp } from '../../net/reserved.ts'
import type { Settings } from '../../settings/settings.ts'
import { lockDirectory } from '../../store/directory-lock.ts'
import { FileStore } from '../../store/file-store.ts'
import type { Store } from '../../store/store.ts'
import { savedValue } from '../ports/saved-value.ts'

/** Keeps gossip of other programs of the same protocol apart. */
const gossipLabel = 'ts-overlay'
/**
 * In the engine's plugin directory, too: it keeps what is mounted there when it disables a plugin.
 */
const spareNetnsName = 'ts-overlay.netns'
/** The same for every plugin of ours on the host, whatever its name. */
const hostLockName = 'ts-overlay.lock'

/** What the real host gives the plugin. */
export interface HostPorts {
  readonly store: Store
  readonly dataplane: Dataplane
  /** This host's address and name in the cluster. */
  readonly vtep: Ip
  readonly member: string
  /** Connects when it is started; null with `ENGINE_API=off`. */
  readonly engine: EngineClient | null
  /**
   * Closes the store and lets another plugin have the host. The data plane is closed by the plugin.
   */
  close(): Promise<void>
}

/** Opens the disk and the kernel. Fails when another plugin of ours runs on the host. */
export async function openHost(settings: Settings, logger: Logger): Promise<HostPorts> {
  const { stateDir, legacySocketDir, sandboxDir } = settings
  const store = await FileStore.open(join(stateDir, 'store'), { logger: logger.child('store') })
  // Overlays in the kernel that our store does not have are removed; those of another plugin would
  // be, too.
  const releaseHost = await lockDirectory(legacySocketDir, hostLockName)
  const dataplane = new LinuxDataplane({
    directory: join(stateDir, 'netns'),
    spareDirectory: join(legacySocketDir, spareNetnsName),
    sandboxDirectory: sandboxDir,
    filter: settings.filter,
    logger: logger.child('dataplane'),
  })
  await dataplane.start()
  const vtep = await ownAddress({
    saved: savedValue<Ip>(store, 'cluster', 'address'),
    logger,
    setting: settings.advertiseAddress,
    routed: defaultRouteAddress,
    check: (address) => dataplane.underlayMtu(address),
  })
  const reserved = whyReservedIp(vtep)
  if (reserved !== null)
    logger.warn(`no other host reaches this one at ${vtep}: ${reserved}; set ADVERTISE_ADDR`)
  const savedName = savedValue<string>(store, 'cluster', 'name')
  const member = await memberName(savedName, systemRandom, settings.memberName)
  const engine = settings.engineApi ? newEngineClient(settings, logger) : null
  const close = async (): Promise<void> => {
    engine?.stop()
    await store.close()
    await releaseHost()
  }
  return { store, dataplane, vtep, member, engine, close }
}

function newEngineClient({ engineSocket }: Settings, logger: Logger): EngineClient {
  return new EngineClient({
    socketPath: engineSocket,
    clock: systemClock,
    logger: logger.child('engine-client'),
  })
}

/** Gossip over the host's sockets, which are opened when the cluster starts. */
export function hostGossip(
  settings: Settings,
  { member, vtep }: HostPorts,
  onNameClash: (name: string, known: string, claimant: string) => void,
): GossipTransport {
  return createMemberlistGossip({
    name: member,
    clock: systemClock,
    random: systemRandom,
    label: gossipLabel,
    secret: settings.secret,
    forgetAfterMs: settings.forgetAfterMs,
    onNameClash,
    transport: () => openGossip(settings, vtep),
  })
}

async function openGossip({ bindAddress, gossipPort }: Settings, advertise: Ip) {
  try {
    return await gossipSockets({ bindAddress, port: gossipPort, advertise })()
  } catch (error) {
    throw failure(
      'SOCKET',
      `gossip cannot listen at ${bindAddress} port ${gossipPort}: ${messageOf(error)}; BIND_ADDR has to ` +
        'be an address of this host, and GOSSIP_PORT one that no other program has, for UDP and TCP',
      error,
    )
  }
}

/** A seed as the cluster takes it; IPv6 addresses in brackets. */
export function seedText({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
