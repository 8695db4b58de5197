import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { errnoOf, failure, messageOf, refusal } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { systemRandom } from '../../base/random.ts'
import type { GossipTransport } from '../../cluster/gossip/gossip-transport.ts'
import { createMemberlistGossip, gossipSockets } from '../../cluster/gossip/memberlist-gossip.ts'
import type { Dataplane } from '../../dataplane/dataplane.ts'
import { LinuxDataplane } from '../../dataplane/linux/linux-dataplane.ts'
import { LinuxTunnelProbes } from '../../dataplane/linux/probes/tunnel-probes.ts'
import { EngineClient } from '../../engine-client/engine-client.ts'
import { ownAddress } from '../../host/advertise-address.ts'
import { memberName } from '../../host/member-name.ts'
import { defaultRouteAddress } from '../../host/routes.ts'
import { type JoinToken, parseJoinToken } from '../../identity/enrolment/join-token.ts'
import type { Ip } from '../../net/ip.ts'
import { whyReservedIp } from '../../net/reserved.ts'
import type { Settings } from '../../settings/settings.ts'
import { lockDirectory } from '../../store/directory-lock.ts'
import { FileStore } from '../../store/file-store.ts'
import type { Store } from '../../store/store.ts'
import { SealedHost } from '../admission/sealed-host.ts'
import { identityStore } from '../ports/identity-store.ts'
import { ResolverThread } from '../names/resolver-thread.ts'
import { savedValue } from '../ports/saved-value.ts'

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
  readonly probes: LinuxTunnelProbes
  /** At which the other hosts reach this one's gossip; the certificate has it. */
  readonly address: Ip
  /** This host's end of the tunnels, and its name in the cluster. */
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
  const directory = join(stateDir, 'netns')
  const spareDirectory = join(legacySocketDir, spareNetnsName)
  const dataplane = new LinuxDataplane({
    directory,
    spareDirectory,
    sandboxDirectory: sandboxDir,
    filter: settings.filter,
    gossipPort: settings.gossipPort,
    fastPath: settings.fastPath,
    logger: logger.child('dataplane'),
  })
  await dataplane.start()
  const { dataAddress } = settings
  const address = await ownAddress({
    saved: savedValue<Ip>(store, 'cluster', 'address'),
    logger,
    setting: settings.advertiseAddress,
    routed: defaultRouteAddress,
    // Where frames have an address of their own, that of gossip may be one in front of this host.
    check: (own) => dataplane.underlayMtu(dataAddress ?? own),
  })
  const vtep = dataAddress ?? address
  const reserved = whyReservedIp(address)
  if (reserved !== null)
    logger.warn(`no other host reaches this one at ${address}: ${reserved}; set ADVERTISE_ADDR`)
  const savedName = savedValue<string>(store, 'cluster', 'name')
  const member = await memberName(savedName, systemRandom, settings.memberName)
  const engine = settings.engineApi ? newEngineClient(settings, logger) : null
  const close = async (): Promise<void> => {
    engine?.stop()
    await store.close()
    await releaseHost()
  }
  const probes = new LinuxTunnelProbes({ directories: [directory, spareDirectory], vtep })
  return { store, dataplane, probes, address, vtep, member, engine, close }
}

function newEngineClient({ engineSocket }: Settings, logger: Logger): EngineClient {
  return new EngineClient({
    socketPath: engineSocket,
    clock: systemClock,
    logger: logger.child('engine-client'),
  })
}

/**
 * Opens the sockets of gossip, which is for members only. A host that is no member yet tries to
 * become one, for some seconds at the most. Rejects with NOT_ADMITTED when it was refused.
 */
export async function openSealed(settings: Settings, host: HostPorts): Promise<SealedHost> {
  const { store, address, member: name } = host
  const { join: entries, gossipKeyRotationMs: rotationMs } = settings
  return await SealedHost.open({
    clock: systemClock,
    random: systemRandom,
    name,
    address,
    store: identityStore(store),
    inner: await openSockets(settings, address),
    token: await readToken(settings),
    join: entries,
    rotationMs,
  })
}

/** The token of the settings; null when there is none. */
async function readToken({ token, tokenFile }: Settings): Promise<JoinToken | null> {
  if (token !== null && tokenFile !== null)
    throw refusal('BAD_SETTING', 'TOKEN and TOKEN_FILE are both set: keep one of them')
  const text = token ?? (tokenFile === null ? null : await tokenIn(tokenFile))
  if (text === null) return null
  const parsed = parseJoinToken(text)
  if ('value' in parsed) return parsed.value
  const name = token === null ? `what is in TOKEN_FILE=${tokenFile!}` : 'TOKEN=(not shown)'
  throw refusal('BAD_SETTING', `${name} ${parsed.reason}`)
}

async function tokenIn(file: string): Promise<string | null> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw refusal('BAD_SETTING', `TOKEN_FILE=${file} cannot be read: ${messageOf(error)}`)
  }
}

/** The thread that answers the queries of containers, from that program; none with `NAMES=off`. */
export function hostResolvers(
  { names, sandboxDir, auditMs }: Settings,
  program: URL,
  logger: Logger,
): { readonly resolvers?: ResolverThread } {
  if (!names) return {}
  const options = {
    sandboxDirectory: sandboxDir,
    processName: randomUUID(),
    auditIntervalMs: auditMs,
  }
  return { resolvers: new ResolverThread(program, options, logger.child('names')) }
}

/** Membership and messages over the sealed transport, from when the cluster starts. */
export function hostGossip(
  settings: Settings,
  { member }: HostPorts,
  sealed: SealedHost,
  onNameClash: (name: string, known: string, claimant: string) => void,
): GossipTransport {
  return createMemberlistGossip({
    name: member,
    clock: systemClock,
    random: systemRandom,
    forgetAfterMs: settings.forgetAfterMs,
    onNameClash,
    isAt: (name, endpoint) => sealed.isAt(name, endpoint),
    transport: async () => sealed.transport,
  })
}

async function openSockets({ bindAddress, gossipPort }: Settings, address: Ip) {
  try {
    const advertise = { address, port: gossipPort }
    return await gossipSockets({ bindAddress, port: gossipPort, advertise })()
  } catch (error) {
    const what = `gossip cannot listen at ${bindAddress} port ${gossipPort}: ${messageOf(error)}`
    const remedy = messageOf(error).includes('EADDRNOTAVAIL')
      ? `no interface of this host has ${bindAddress}: set BIND_ADDR to one that "ip address" shows`
      : '"ss -lnutp" shows which program has the port; set GOSSIP_PORT to another'
    throw failure('SOCKET', `${what}; ${remedy}`, error)
  }
}

/** A seed as the cluster takes it; IPv6 addresses in brackets. */
export function seedText({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
