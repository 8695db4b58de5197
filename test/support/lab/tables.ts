/**
 * What the kernels' tables of one network must be by what the engines say of their containers, and
 * where they are not. No word of the plugin's is believed. The hosts must have no other network of
 * ours.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { scaled } from '../time.ts'
import { type Placed, containersOn } from './containers.ts'
import type { Host } from './host.ts'
import { overlayPins } from './overlay-kernel.ts'

/** The network: its name on every host, its subnet and its gateway. */
export interface Watched {
  readonly network: string
  readonly subnet: string
  readonly gateway: string
}

interface FdbJson {
  readonly mac: string
  readonly ifname: string
  readonly dst?: string
  readonly master?: string
  readonly state?: string
}
interface NeighbourJson {
  readonly dst: string
  readonly dev: string
  readonly lladdr?: string
}
interface RouteJson {
  readonly dst: string
  readonly dev: string
  readonly prefsrc?: string
}

const readTables = 'bridge -j fdb; echo; echo; ip -j neigh; echo; echo; ip -j -4 route'

/**
 * FDB, neighbours and routes of the namespace at `pin`, a line each. Learned and temporary rows
 * would be lines, too.
 */
export async function rowsAt(host: Host, pin: string): Promise<string[]> {
  const ran = await host.exec(['nsenter', `--net=${pin}`, 'sh', '-c', readTables])
  const [fdb, neighbours, routes] = ran.stdout.split('\n\n')
  return [
    ...parse<FdbJson>(fdb)
      .filter(({ dst, state }) => dst !== undefined || state !== 'permanent')
      .map(({ mac, ifname, dst, master }) =>
        dst === undefined ? `${mac} at ${ifname} of ${master}` : behind(mac, dst),
      )
      // A port's name is the plugin's own affair.
      .map((row) => row.replace(/ at tso\w+ of br0$/, ' at a port')),
    ...parse<NeighbourJson>(neighbours)
      .filter(({ dev }) => dev === 'vxlan0')
      .map(({ dst, lladdr }) => `${dst} is ${lladdr}`),
    ...parse<RouteJson>(routes).map(({ dst, dev, prefsrc }) => `${dst} by ${dev} from ${prefsrc}`),
  ]
}

/** iproute2 writes nothing at all, or an empty list, where there is nothing. */
function parse<Row>(json = ''): Row[] {
  return json.trim() === '' ? [] : (JSON.parse(json) as Row[])
}

const behind = (mac: string, vtep: string): string => `${mac} behind ${vtep}`

/** What other hosts must have of a container. */
export const rowsFor = ({ host, ip, mac }: Placed): string[] => [
  behind(mac, host.address),
  `${ip} is ${mac}`,
]

/** All rows that a host with a container must have, given all containers that it can hear of. */
export function rowsWanted(on: Host, containers: readonly Placed[], watched: Watched): string[] {
  const route = `${watched.subnet} by br0 from ${watched.gateway}`
  const rows = containers.flatMap((one) =>
    one.host === on ? [`${one.mac} at a port`] : rowsFor(one),
  )
  return [...rows, route]
}

/** One line for each row that is wrong, and for each that is missing. */
export function rowDifferences(
  on: Host,
  has: readonly string[],
  wanted: readonly string[],
): string[] {
  const [are, must] = [new Set(has), new Set(wanted)]
  return [
    ...[...are].filter((row) => !must.has(row)).map((row) => `${on.name}: wrong: ${row}`),
    ...[...must].filter((row) => !are.has(row)).map((row) => `${on.name}: missing: ${row}`),
    ...(has.length === are.size ? [] : [`${on.name}: rows twice: ${has.toSorted().join(', ')}`]),
  ]
}

/** The namespace of the host's only overlay. */
export async function onlyPin(host: Host): Promise<string> {
  const pins = await overlayPins(host)
  if (pins.length !== 1) throw new Error(`${host.name} has ${pins.length} overlay namespaces`)
  return pins[0]!
}

export async function allContainers(hosts: readonly Host[], network: string): Promise<Placed[]> {
  return (await Promise.all(hosts.map((host) => containersOn(host, network)))).flat()
}

/**
 * Compares each host's tables with the containers of all of these hosts until nothing is wrong, or
 * until the time is up, and returns what still is. Each host must have a container.
 */
export async function tableDifferences(
  hosts: readonly Host[],
  watched: Watched,
  patienceMs: number,
): Promise<string[]> {
  const deadline = performance.now() + scaled(patienceMs)
  const pins = await Promise.all(hosts.map(onlyPin))
  for (;;) {
    const containers = await allContainers(hosts, watched.network)
    const found = await Promise.all(
      hosts.map(async (on, i) =>
        rowDifferences(on, await rowsAt(on, pins[i]!), rowsWanted(on, containers, watched)),
      ),
    )
    if (found.flat().length === 0 || performance.now() > deadline) return found.flat()
    await sleep(50)
  }
}
