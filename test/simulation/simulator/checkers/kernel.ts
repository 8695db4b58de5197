import type { Container, EngineNetwork } from '../engine.ts'
import type { Host } from '../host.ts'
import { type Checker, differences } from './checker.ts'

interface Running {
  readonly host: Host
  readonly network: EngineNetwork
  readonly container: Container
}

/**
 * Each host's kernel has, for each overlay with a container there, the links of its own containers and exactly one
 * neighbour and one FDB entry for each container elsewhere; and of other overlays nothing.
 */
export const kernel: Checker = {
  name: 'kernel',
  check: (hosts) => {
    const all = hosts.flatMap(runningOn)
    const bySubnet = Map.groupBy(all, ({ network }) => network.subnet)
    return hosts.flatMap((host) => checkHost(host, bySubnet))
  },
}

function runningOn(host: Host): Running[] {
  return [...host.engine.networks.values()].flatMap((network) =>
    [...network.containers.values()]
      .filter(({ isRunning }) => isRunning)
      .map((container) => ({ host, network, container })),
  )
}

function checkHost(host: Host, bySubnet: ReadonlyMap<string, Running[]>): string[] {
  const lines: string[] = []
  const { tables } = host.kernel
  for (const [subnet, running] of bySubnet) {
    const own = running.filter((each) => each.host === host)
    const overlay = tables.overlay(overlayOf(subnet))
    if (own.length === 0) continue
    const where = `${host.name} ${subnet}`
    if (overlay === undefined) {
      lines.push(`${where}: no overlay for ${own.length} containers`)
      continue
    }
    const others = running.filter((each) => each.host !== host)
    lines.push(
      ...differences(
        `${where} links`,
        new Map(
          [...overlay.endpoints].map(([id, { link, inHostNetns }]) => [
            id,
            placed(link.mac, inHostNetns),
          ]),
        ),
        new Map(own.map(({ container: { endpointId, mac } }) => [endpointId, placed(mac, false)])),
      ),
      ...differences(
        `${where} neighbours`,
        overlay.neighbours,
        new Map(
          others.flatMap(({ container: { addresses, mac } }) =>
            addresses.map(({ ip }) => [ip, mac] as const),
          ),
        ),
      ),
      ...differences(
        `${where} FDB`,
        new Map([...overlay.fdb].map(([mac, vteps]) => [mac, vteps.join(' ')])),
        new Map(others.map(({ container, host: { address } }) => [container.mac, address])),
      ),
    )
  }
  const wanted = new Set(runningOn(host).map(({ network }) => overlayOf(network.subnet)))
  for (const overlayId of tables.overlayIds())
    if (!wanted.has(overlayId)) lines.push(`${host.name}: overlay ${overlayId} has no container`)
  return lines
}

/** The lowest of several subnets. */
function overlayOf(subnet: string): string {
  return subnet.split('+')[0]!
}

function placed(mac: string, inHostNetns: boolean): string {
  return `${mac}${inHostNetns ? ' in the host' : ''}`
}
