import { addAddress, getAddresses, readAddress, removeAddress } from '../netlink/addresses.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'

/** IPv6's link-local addresses, which the kernel gives links by itself. */
const linkLocal = 'fe80:'

/**
 * Gives a link these addresses, each `ip/length`, and no others. Removes before it adds: when an
 * IPv4 address is removed, the kernel removes all that were added to its prefix later (secondary
 * addresses). @returns what was changed, in words.
 */
export function ensureAddresses(
  socket: NetlinkSocket,
  index: number,
  wanted: readonly string[],
): string[] {
  const found = addressesOf(socket, index)
  const excess = found.filter(
    (address) => !wanted.includes(address) && !address.startsWith(linkLocal),
  )
  socket.sendAll(excess.map((address) => removeAddress(index, address)))
  const left = excess.length === 0 ? found : addressesOf(socket, index)
  const missing = wanted.filter((address) => !left.includes(address))
  socket.sendAll(missing.map((address) => addAddress(index, address)))
  return [
    ...excess.map((address) => `address ${address} removed`),
    ...missing.map((address) => `address ${address} added`),
  ]
}

function addressesOf(socket: NetlinkSocket, index: number): string[] {
  return socket
    .dump(getAddresses(index))
    .map(readAddress)
    .flatMap((address) => (address?.index === index ? [address.text] : []))
}
