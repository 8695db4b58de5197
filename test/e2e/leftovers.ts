/** Cleaning up between tests as a user would, and a look at what the plugin did not take away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { removeContainers, removeNetworks } from '../support/lab/containers.ts'
import type { Host, Status } from '../support/lab/host.ts'
import { scaled } from '../support/time.ts'
import { hostLinks, overlayPins } from '../support/lab/overlay-kernel.ts'

/** What tests have left behind so far; told at the end, for a hook that fails ends the run. */
export const leftBehind: string[] = []

/** Notes what the test left that was not there before it. */
export function noteWhatIsLeft(test: string, left: readonly string[]): void {
  for (const line of left) {
    if (!leftBehind.some((known) => known.endsWith(`: ${line}`)))
      leftBehind.push(`${test}: ${line}`)
  }
}

/** Removes all containers and networks of the hosts. */
export async function removeEverything(hosts: readonly Host[]): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      await removeContainers(host)
      await removeNetworks(host)
    }),
  )
}

/**
 * A block from which another host has borrowed an address is given back some three seconds after
 * the pool.
 */
const patienceMs = 10_000

/**
 * One line for each thing of ours that hosts without containers and networks still have after some
 * patience.
 */
export async function leftovers(hosts: readonly Host[]): Promise<string[]> {
  const deadline = performance.now() + scaled(patienceMs)
  for (;;) {
    const left = (await Promise.all(hosts.map((host) => leftoversOf(host)))).flat()
    if (left.length === 0 || performance.now() > deadline) return left
    await sleep(100)
  }
}

/**
 * The first line of each bug that ended a plugin's process; the engine starts it again, so nobody
 * else may notice.
 */
export async function bugsOf(hosts: readonly Host[]): Promise<string[]> {
  const found = await Promise.all(
    hosts.map(async (host) => {
      const bugs = (await host.logs()).matchAll(/ts-overlay: bug: (?! )(.*?)" plugin=/g)
      return [...bugs].map(([, what]) => `${host.name}: ended by a bug: ${what}`)
    }),
  )
  return found.flat()
}

async function leftoversOf(host: Host): Promise<string[]> {
  const [links, pins, status] = await Promise.all([
    hostLinks(host),
    overlayPins(host),
    host.pluginStatus(),
  ])
  const ours = links.filter(({ ifname, ifalias = '' }) =>
    /^tso|^ts-overlay:/.test(ifalias || ifname),
  )
  return [
    ...ours.map(({ ifname }) => `${host.name}: interface ${ifname}`),
    ...pins.map((pin) => `${host.name}: namespace ${pin}`),
    ...status.ipam.pools.map(({ poolKey, leases }) => {
      const held = leases.map(({ ip }) => ip).join(' ')
      return `${host.name}: pool ${poolKey}, leases ${held || 'none'}`
    }),
    ...recordsLeft(host, status),
    ...status.overlays.map(({ overlayId }) => `${host.name}: overlay ${overlayId} in its books`),
  ]
}

/** What the host has published in the cluster, or knows of others. */
function recordsLeft(host: Host, status: Status): string[] {
  const { records } = status.cluster
  // That a network was removed is known for as long as a host could come back that has it, and
  // which prefixes a host uses for as long as it does.
  const { removals = 0, prefixes = 0 } = status.networks ?? {}
  const left = records.own + records.visible - removals - prefixes
  return left === 0 ? [] : [`${host.name}: records in the cluster, ${JSON.stringify(records)}`]
}

/** The VNI of a host's only overlay. */
export async function onlyVni(host: Host): Promise<number> {
  const { overlays } = await host.pluginStatus()
  if (overlays.length !== 1) throw new Error(`${host.name} has ${overlays.length} overlays`)
  return overlays[0]!.vni
}
