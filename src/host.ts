import { readFile } from 'node:fs/promises'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { refusal } from './base/errors.ts'
import { type Ip, parseIp } from './net/ip.ts'

/** A default route in the kernel's table. */
interface DefaultRoute {
  readonly device: string
  readonly metric: number
}

/** The flag of a route that is in use, `RTF_UP` in the kernel's header linux/route.h. */
const routeUp = 1

/**
 * The device of the default route with the least metric; null when there is none. `table` is the text
 * of /proc/net/route: a heading, then columns Iface Destination Gateway Flags RefCnt Use Metric Mask.
 */
export function defaultDevice(table: string): string | null {
  const routes = table
    .split('\n')
    .slice(1)
    .map((line): DefaultRoute | null => {
      const [device, destination, , flags, , , metric, mask] = line.split('\t')
      const isDefault = destination === '00000000' && mask === '00000000'
      if (device === undefined || !isDefault || !(Number.parseInt(flags!, 16) & routeUp))
        return null
      return { device, metric: Number(metric) }
    })
    .filter((route) => route !== null)
    .toSorted((a, b) => a.metric - b.metric)
  return routes[0]?.device ?? null
}

/**
 * The address that other hosts most likely reach this one by: the first IPv4 address of the default
 * route's device. Throws BAD_SETTING when there is none; then the operator has to say it.
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
