import type { PluginPorts } from './ports/plugin-ports.ts'
import type { Rooms } from './rooms.ts'

/** How long the address management may take to return its blocks when the plugin stops. */
const returnBlocksMs = 1500

/** How a room is started and stopped. Nothing waits for another member without a bound. */
export interface Lifecycle {
  start?(): void | Promise<void>
  /**
   * Before any room stops: gives up what nothing uses. Resolves with whether containers of this
   * host keep running without the plugin.
   */
  withdraw?(): Promise<boolean>
  /** `isServing`: whether a room's `withdraw` resolved with true. */
  stop?(isServing: boolean): void | Promise<void>
}

/** In the order of starting; stopping is the reverse. */
export function lifecyclesOf(
  rooms: Rooms,
  { dataplane }: Pick<PluginPorts, 'dataplane'>,
): Lifecycle[] {
  const { cluster, consensus, reconciler, ipam, driver, names, findings } = rooms
  const { seedCache, memberEvents, admission, paths, replicator, encryption } = rooms
  const { addressWatch } = rooms
  return [
    { stop: () => dataplane.close() },
    { stop: () => findings.stop() },
    // Leaving changes members, too: the cache stops after the cluster.
    { stop: () => seedCache.stop() },
    {
      start: () => cluster.start(),
      stop: async (isServing) => {
        await (isServing ? cluster.announceRestart() : cluster.leave())
        await cluster.close()
      },
    },
    {
      start: () => consensus.start(),
      stop: (isServing) => consensus.stop({ leaves: !isServing }),
    },
    { start: () => memberEvents.started() },
    { start: () => admission.start(), stop: () => admission.stop() },
    encryption,
    reconciler,
    {
      start: () => driver.start(),
      withdraw: () => driver.withdrawIdle(),
      stop: () => driver.stop(),
    },
    {
      // In the background: the thread of the resolvers starts meanwhile, and no call waits for it.
      start: () => void names?.start(),
      stop: () => names?.stop(),
    },
    { start: () => paths?.start(), stop: () => paths?.stop() },
    {
      start: () => ipam.start(),
      stop: async (isServing) => {
        if (!isServing) await ipam.left(returnBlocksMs)
        await ipam.stop()
      },
    },
    { start: () => replicator?.start(), stop: () => replicator?.stop() },
    { start: () => addressWatch?.start(), stop: () => addressWatch?.stop() },
    // A host that is no member yet joins when it is.
    { start: () => void (admission.isMember && rooms.join()) },
  ]
}
