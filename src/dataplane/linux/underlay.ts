import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { getAddresses, readAddress } from './addresses.ts'
import type { NetlinkSocket } from './netlink-socket.ts'
import { linkOf } from './overlay-netns.ts'

/** The MTU of the link with that address, in the socket's namespace. */
export function underlayMtu(socket: NetlinkSocket, vtep: Ip): number {
  const addresses = socket.dump(getAddresses(0)).map(readAddress)
  const index = addresses.find((address) => address?.ip === vtep)?.index
  const link = index === undefined ? null : linkOf(socket, index)
  if (link !== null) return link.mtu
  throw refusal(
    'BAD_SETTING',
    `no interface of this host has the address ${vtep}; set ADVERTISE_ADDR to one that has`,
  )
}
