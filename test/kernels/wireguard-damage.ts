/** What a person, or another program, can do to a WireGuard device: none of it by our data plane. */
import { closeSync, openSync } from 'node:fs'
import { familyNumber } from '../../src/dataplane/linux/wireguard/generic-netlink.ts'
import {
  familyName,
  getDevice,
  readDevice,
  setDevice,
  setPeers,
} from '../../src/dataplane/linux/wireguard/messages.ts'
import { NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { inNetns } from '../../src/dataplane/linux/netns/netns.ts'
import { newWireGuardKeys } from '../../src/dataplane/reconcile/key-rotation.ts'

type Device = { readonly family: number; readonly name: string }

function onDevice<T>(pin: string, act: (socket: NetlinkSocket, device: Device) => T): T {
  const fd = openSync(pin, 'r')
  const socket = inNetns(fd, () => new NetlinkSocket(undefined, 'generic'))
  try {
    return act(socket, { family: familyNumber(socket, familyName), name: 'wg0' })
  } finally {
    socket.close()
    closeSync(fd)
  }
}

/** Removes all peers of the device in the namespace pinned at `pin`. @returns how many. */
export function removePeers(pin: string): number {
  return onDevice(pin, (socket, device) => {
    const { peers } = readDevice(socket.dump(getDevice(device)))
    const changes = peers.map(({ publicKey }) => ({ op: 'remove' as const, publicKey }))
    socket.sendAll([setPeers(device, changes)])
    return changes.length
  })
}

/** Gives the device another private key. */
export function changeKey(pin: string): void {
  onDevice(pin, (socket, device) =>
    socket.sendAll([setDevice(device, newWireGuardKeys().privateKey, 51_820)]),
  )
}
