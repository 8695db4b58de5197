import { join } from 'node:path'
import { type Administration, adminRoutes } from './admin/admin-routes.ts'
import { Metrics } from './admin/metrics.ts'
import { metricsRoutes, serveMetrics } from './admin/metrics-routes.ts'
import { pageRoutes } from './admin/page-routes.ts'
import { systemClock } from './base/clock.ts'
import { createLogger } from './base/logger.ts'
import { systemRandom } from './base/random.ts'
import { CallStatistics } from './engine-api/call-statistics.ts'
import { PluginServer } from './engine-api/plugin-server.ts'
import { watchEngineSocket } from './host/engine-socket.ts'
import { readHostFacts } from './host/facts.ts'
import { defaultRouteAddress, routedPrefixes } from './host/routes.ts'
import { addressSpaces } from './net/pool-id.ts'
import type { Ip } from './net/ip.ts'
import { Plugin } from './plugin.ts'
import { type Settings, parseSettings, sharedSettings } from './settings/settings.ts'
import { version } from './version.ts'
import {
  type HostPorts,
  hostGossip,
  hostResolvers,
  openHost,
  openSealed,
  seedText,
} from './wiring/host/host-ports.ts'
import type { SealedHost } from './wiring/admission/sealed-host.ts'
import { metricsOf } from './wiring/metrics.ts'
import { endOnBug, failStart, restart, stopOnSignal } from './wiring/host/process.ts'

/*
 * The composition root: settings, then the host's disk and kernel, then the plugin, then the
 * sockets; on a signal the same in reverse.
 *
 * The sockets open last, so that a plugin which cannot work is one that the engine cannot enable:
 * what fails here is told in the engine's log, and nothing is served. All of it takes a few hundred
 * milliseconds; the engine dials half a second after the start.
 */

/** The name under which the engine finds us without a tag. */
const legacySocketName = 'ts-overlay.sock'

/** The program of the resolvers' thread, beside this one. */
const resolverProgram = new URL(
  import.meta.url.endsWith('.ts') ? 'resolver.ts' : 'resolver.cjs',
  import.meta.url,
)

/** The page, which the build puts beside this program. */
const pageFile = new URL('page.html', import.meta.url)

const { logger, problems, events } = createLogger((line, level) => {
  const stream = level === 'warn' ? process.stderr : process.stdout
  stream.write(`${line}\n`)
})

// Also for the rejections of background work: only bugs are left uncaught.
process.on('uncaughtException', endOnBug)

// No top-level await: the bundle is CommonJS, whose built-in modules load in less time.
start().catch(failStart)

async function start(): Promise<void> {
  // Nothing is to be stopped before the plugin has started.
  let stop = async (): Promise<void> => {}
  stopOnSignal(() => stop(), logger)
  const settings = parseSettings(process.env)
  const host = await openHost(settings, logger)
  const sealed = await openSealed(settings, host)
  const moved = (to: Ip): void => restart(`this host's address is ${to} now`, stop, logger)
  const plugin = createPlugin(settings, host, sealed, moved)
  const calls = new CallStatistics((method, ms) => administration.metrics.observeCall(method, ms))
  let isReady = false
  const illness = (): string | null => (isReady ? null : 'starting')
  const administration = administrationOf(plugin, calls, illness)
  const server = createServer(settings, calls, administration)
  const { metricsAddress } = settings
  if (metricsAddress !== null) {
    const metrics = metricsRoutes(administration.metrics, illness)
    const page = pageRoutes(pageFile, () => plugin.page.view())
    await serveMetrics([metrics, page], metricsAddress)
  }
  await plugin.start()
  host.engine?.start()
  stop = async () => {
    await server.close()
    await plugin.stop()
    await host.close()
  }
  await server.listen({
    managed: settings.managedSocket,
    legacy: join(settings.legacySocketDir, legacySocketName),
  })
  server.ready(plugin.handlers)
  isReady = true
  watchEngineSocket(settings.engineSocket, systemClock, () => restart('a new engine', stop, logger))
  const { member, vtep } = host
  logger.info('ready', { event: 'plugin-started', version, member, vtep, join: settings.join })
}

function createPlugin(
  settings: Settings,
  host: HostPorts,
  sealed: SealedHost,
  moved: (to: Ip) => void,
): Plugin {
  const { store, dataplane, probes, member, vtep, engine } = host
  const gossip = hostGossip(settings, host, sealed, (...clash) => plugin.noteNameClash(...clash))
  const plugin: Plugin = new Plugin(
    {
      clock: systemClock,
      random: systemRandom,
      logger,
      store,
      dataplane,
      probes,
      gossip,
      sealed,
      problems,
      hostRoutes: routedPrefixes,
      hostFacts: () => readHostFacts(vtep),
      hostAddress: {
        routed:
          (settings.dataAddress ?? settings.advertiseAddress) === null ? defaultRouteAddress : null,
        moved,
      },
      ...(engine === null ? {} : { engine }),
      ...hostResolvers(settings, resolverProgram, logger),
    },
    {
      version,
      member,
      vtep,
      vxlanPort: settings.vxlanPort,
      wireguardPort: settings.wireguardPort,
      scope: settings.scope,
      seeds: settings.join.map(seedText),
      pools: settings.pools,
      underlayMtu: settings.underlayMtu,
      auditIntervalMs: settings.auditMs,
      forgetAfterMs: settings.forgetAfterMs,
      voters: settings.voters,
      orphanGraceMs: settings.orphanGraceMs,
    },
  )
  return plugin
}

function administrationOf(
  plugin: Plugin,
  calls: CallStatistics,
  illness: () => string | null,
): Administration {
  const metrics = new Metrics(() => metricsOf(plugin.status(), calls.summary()))
  plugin.onPropagated((ms) => metrics.observeRecord(ms))
  return {
    status: () => ({ ...plugin.status(), calls: calls.summary() }),
    views: () => plugin.views(),
    diagnosis: plugin.diagnosis,
    events: () => events,
    metrics,
    illness,
    evict: (members, options) => plugin.ipam.evict(members, options),
    invite: (options) =>
      plugin.admission.invite({ ...options, settings: sharedSettings(process.env) }),
    rotateKeys: () => plugin.admission.rotateKeys(),
    rotateWireGuard: () => plugin.rotateWireGuard(),
    recover: (options) => plugin.consensus.recover(options),
    dropNetwork: (id) => plugin.network.dropNetwork(id),
    addSubnet: (network, subnet) => plugin.addSubnet(network, subnet),
  }
}

function createServer(
  { scope }: Settings,
  calls: CallStatistics,
  administration: Administration,
): PluginServer {
  return new PluginServer({
    introduction: { scope, connectivityScope: 'global', addressSpaces, requestReplay: false },
    clock: systemClock,
    logger: logger.child('engine-api'),
    calls,
    hostRoutes: adminRoutes(administration),
    onBug: endOnBug,
  })
}
