import { readFile } from 'node:fs/promises'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { refusal } from '../base/errors.ts'
import { type Cidr, cidrOf } from '../net/cidr.ts'
import { type Ip, ipFromBytes, parseIp } from '../net/ip.ts'

/** An IPv4 route of this host. */
interface Route {
  readonly device: string
  readonly destination: Cidr
  readonly metric: number
}

/** The flag of a route that is in use, `RTF_UP` in the kernel's header linux/route.h. */
const routeUp = 1

/**
 * The IPv4 routes that are up. `table` is the text of /proc/net/route: a heading, then columns
 * Iface Destination Gateway Flags RefCnt Use Metric Mask, addresses in hexadecimal and host byte
 * order.
 */
export function parseRoutes(table: string): Route[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [device, destination, , flags, , , metric, mask] = line.split('\t')
      if (device === undefined || mask === undefined) return []
      if ((Number.parseInt(flags!, 16) & routeUp) === 0) return []
      return [{ device, destination: prefixOf(destination!, mask), metric: Number(metric) }]
    })
}

function prefixOf(destination: string, mask: string): Cidr {
  const bytes = Buffer.from(destination, 'hex').reverse()
  const ones = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length
  return cidrOf(ipFromBytes(bytes)!, ones)
}

/** The device of the default route with the least metric; null when there is none. */
export function defaultDevice(table: string): string | null {
  const routes = parseRoutes(table)
    .filter(({ destination }) => destination === '0.0.0.0/0')
    .toSorted((a, b) => a.metric - b.metric)
  return routes[0]?.device ?? null
}

/**
 * The address that other hosts most likely reach this one by: the first IPv4 address of the default
 * route's device. Throws BAD_SETTING when there is none.
 */
export async function defaultRouteAddress(): Promise<Ip> {
  const device = defaultDevice(await readFile('/proc/net/route', 'utf8'))
  const addresses: NetworkInterfaceInfo[] =
    device === null ? [] : (networkInterfaces()[device] ?? [])
  const text = addresses.find(({ family }) => family === 'IPv4')?.address
  const ip = text === undefined ? null : parseIp(text)
  if (ip !== null) return ip
  throw refusal(
    'BAD_SETTING',
    `${device === null ? 'this host has no IPv4 default route' : `${device} has no IPv4 address`}; ` +
      'set ADVERTISE_ADDR to the address that the other hosts reach this one by',
  )
}

/** The prefixes that this host routes, the default route left out. */
export async function routedPrefixes(): Promise<Cidr[]> {
  const table = await readFile('/proc/net/route', 'utf8')
  return parseRoutes(table)
    .map(({ destination }) => destination)
    .filter((destination) => destination !== '0.0.0.0/0')
}
