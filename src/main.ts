import { join } from 'node:path'
import { adminRoutes } from './admin/admin-routes.ts'
import { systemClock } from './base/clock.ts'
import { failure, messageOf } from './base/errors.ts'
import { type Logger, createLogger } from './base/logger.ts'
import { printable } from './base/printable.ts'
import { systemRandom } from './base/random.ts'
import { createMemberlistGossip, gossipSockets } from './cluster/gossip/memberlist-gossip.ts'
import { LinuxDataplane } from './dataplane/linux/linux-dataplane.ts'
import { defaultRouteAddress, routedPrefixes } from './host/routes.ts'
import { addressSpaces } from './ipam/pool-id.ts'
import { memberName } from './host/member-name.ts'
import type { Ip } from './net/ip.ts'
import { whyReservedIp } from './net/reserved.ts'
import { ownAddress } from './host/advertise-address.ts'
import { CallStatistics } from './engine-api/call-statistics.ts'
import { PluginServer } from './engine-api/plugin-server.ts'
import { Plugin } from './plugin.ts'
import { type Settings, parseSettings } from './settings/settings.ts'
import { lockDirectory } from './store/directory-lock.ts'
import { FileStore } from './store/file-store.ts'
import { version } from './version.ts'

/*
 * The composition root: settings, then the real things, then the plugin, then the sockets; on a signal
 * the same in reverse. Nothing else builds parts.
 *
 * The sockets open last, so that a plugin which cannot work is one that the engine cannot enable: what
 * fails here ends the process with the reason in the engine's log. All of it takes a few hundred
 * milliseconds; the engine dials half a second after the start.
 */

/** The engine kills the plugin ten seconds after asking it to stop. */
const stopMostMs = 4_500
/** Keeps gossip of other programs of the same protocol apart. */
const gossipLabel = 'ts-overlay'
/** The name under which the engine finds us without a tag. */
const legacySocketName = 'ts-overlay.sock'
/** In the engine's plugin directory, too: it keeps what is mounted there when it disables a plugin. */
const sparePinsName = 'ts-overlay.netns'
/** The same for every plugin of ours on the host, whatever its name. */
const hostLockName = 'ts-overlay.lock'

const { logger, problems } = createLogger((line, level) => {
  const stream = level === 'warn' ? process.stderr : process.stdout
  stream.write(`${line}\n`)
})

// Also what nobody waits for: work of the plugin's own that failed by a bug.
process.on('uncaughtException', endOnBug)

// No top-level await: the bundle is CommonJS, whose built-in modules load in less time.
start().catch((error: unknown) => {
  sayWhy(messageOf(error))
  process.exit(1)
})

async function start(): Promise<void> {
  // Until the plugin has started it has promised nothing, and may just go.
  let stop = async (): Promise<void> => {}
  stopOnSignal(() => stop())
  await run(parseSettings(process.env), (stopAll) => (stop = stopAll))
}

async function run(settings: Settings, stopBy: (stop: () => Promise<void>) => void): Promise<void> {
  const store = await FileStore.open(join(settings.stateDir, 'store'), {
    logger: logger.child('store'),
  })
  const spareDirectory = join(settings.legacySocketDir, sparePinsName)
  // Overlays in the kernel that our store does not have are removed; those of another plugin would be, too.
  const releaseHost = await lockDirectory(settings.legacySocketDir, hostLockName)
  const dataplane = new LinuxDataplane({
    directory: join(settings.stateDir, 'netns'),
    spareDirectory,
    sandboxDirectory: settings.sandboxDir,
    logger: logger.child('dataplane'),
  })
  await dataplane.start()
  const vtep = await ownAddress({
    store,
    logger,
    setting: settings.advertiseAddress,
    routed: defaultRouteAddress,
    check: (address) => dataplane.underlayMtu(address),
  })
  const reserved = whyReservedIp(vtep)
  if (reserved !== null)
    logger.warn(`no other host reaches this one at ${vtep}: ${reserved}; set ADVERTISE_ADDR`)
  const member = await memberName(store, systemRandom, settings.memberName)
  const plugin: Plugin = new Plugin(
    {
      clock: systemClock,
      random: systemRandom,
      logger,
      store,
      dataplane,
      problems,
      hostRoutes: routedPrefixes,
      gossip: createMemberlistGossip({
        name: member,
        clock: systemClock,
        random: systemRandom,
        label: gossipLabel,
        secret: settings.secret,
        forgetAfterMs: settings.forgetAfterMs,
        onNameClash: (name, known, claimant) => plugin.noteNameClash(name, known, claimant),
        transport: () => openGossip(settings, vtep),
      }),
    },
    {
      version,
      member,
      vtep,
      vxlanPort: settings.vxlanPort,
      scope: settings.scope,
      seeds: settings.join.map(({ host, port }) => seedText(host, port)),
      pools: settings.pools,
      underlayMtu: settings.underlayMtu,
      auditIntervalMs: settings.auditMs,
      forgetAfterMs: settings.forgetAfterMs,
      orphanGraceMs: settings.orphanGraceMs,
    },
  )
  const calls = new CallStatistics()
  const server = new PluginServer({
    introduction: {
      scope: settings.scope,
      connectivityScope: 'global',
      addressSpaces,
      requestReplay: false,
    },
    clock: systemClock,
    logger: logger.child('engine-api'),
    calls,
    hostRoutes: adminRoutes({
      status: () => ({ ...plugin.status(), calls: calls.summary() }),
      forget: (members) => plugin.ipam.forget(...members),
      dropNetwork: (id) => plugin.network.dropNetwork(id),
    }),
    onBug: endOnBug,
  })
  await plugin.start()
  stopBy(async () => {
    await server.close()
    await plugin.stop()
    await store.close()
    await releaseHost()
  })
  await server.listen({
    managed: settings.managedSocket,
    legacy: join(settings.legacySocketDir, legacySocketName),
  })
  server.ready(plugin.handlers)
  logger.info('ready', { version, member, vtep, join: settings.join })
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
function seedText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A bug: what is in memory cannot be trusted any more. The engine starts us again from the disk. */
function endOnBug(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  sayWhy(text, 'bug: ')
  process.exit(1)
}

/** Each line by itself, as the engine logs them. */
function sayWhy(text: string, what = ''): void {
  for (const line of text.split('\n'))
    process.stderr.write(`ts-overlay: ${what}${printable(line)}\n`)
}

/** As the first process of its container, the plugin gets no signal that it does not handle. */
function stopOnSignal(stop: () => Promise<void>): void {
  let stopping = false
  const handler = (signal: string): void => {
    if (stopping) return
    stopping = true
    stopWithin(stop, logger).then(
      () => process.exit(0),
      (error: unknown) => endOnBug(error),
    )
    logger.info('stopping', { signal })
  }
  process.on('SIGTERM', handler)
  process.on('SIGINT', handler)
}

async function stopWithin(stop: () => Promise<void>, log: Logger): Promise<void> {
  const late = new Promise<'late'>((tell) => {
    systemClock.setTimeout(() => tell('late'), stopMostMs)
  })
  if ((await Promise.race([stop(), late])) === 'late')
    log.warn(`stopping took longer than ${stopMostMs} ms; ending now`)
}
