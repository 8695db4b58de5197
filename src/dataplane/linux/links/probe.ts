import { endianness } from 'node:os'
import { errnoOf, isBug, messageOf, refusal } from '../../../base/errors.ts'
import type { Ip } from '../../../net/ip.ts'
import type { Vni } from '../../../net/vni.ts'
import { FastPath } from '../bpf/fast-path.ts'
import { createBridge, createVethPair, createVxlan } from '../netlink/link-requests.ts'
import { bridgeName, deviceMac, vxlanName } from '../netlink/names.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNewNetns, openOwnNetns } from '../netns/netns.ts'
import { closeNetns, netnsHandle } from '../netns/overlay-netns.ts'

/** An MTU that every device accepts. */
const mtu = 1400
/** Documentation address (RFC 5737); nothing is sent. */
const vtep = '192.0.2.1' as Ip
const [vni, port] = [1 as Vni, 4789]

/**
 * Tries what an overlay needs in a temporary namespace: rights, and the kernel's bridge, VXLAN and
 * veth drivers. Refuses with UNSUPPORTED and what is missing.
 */
export function probeKernel(): void {
  if (endianness() !== 'LE')
    throw refusal(
      'UNSUPPORTED',
      'this machine is big-endian; the data plane supports only little-endian',
    )
  try {
    inNewNetns(tryDevices)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOPROTOOPT')
      throw refusal(
        'UNSUPPORTED',
        'the kernel is too old; the data plane needs Linux 4.20 or newer',
      )
    if (code !== 'EPERM') throw error
    throw refusal(
      'UNSUPPORTED',
      `no right to create network namespaces (${messageOf(error)}); the plugin needs CAP_SYS_ADMIN and ` +
        'CAP_NET_ADMIN',
    )
  }
}

function tryDevices(): void {
  const netns = netnsHandle(openOwnNetns())
  const { socket, fd } = netns
  try {
    const mac = deviceMac('probe')
    const devices = {
      bridge: createBridge(bridgeName, mac, mtu),
      veth: createVethPair({
        name: 'a',
        master: 0,
        mtu,
        peerName: 'b',
        peerMac: mac,
        peerNetnsFd: fd,
      }),
      vxlan: createVxlan({ name: vxlanName, mac, mtu, vni, vtep, port, netnsFd: fd, master: 0 }),
    }
    for (const [kind, request] of Object.entries(devices)) {
      const [error] = socket.send([request]).values()
      if (error?.code === 'EPERM') throw error
      if (error !== undefined)
        throw refusal(
          'UNSUPPORTED',
          `the kernel cannot create a ${kind} device: ${error.message}; load the module with ` +
            `"modprobe ${kind}" on the host, or use a kernel that has it`,
        )
    }
  } finally {
    closeNetns(netns)
  }
}

/** Index of the loopback link in every namespace. */
const loopback = 1

/**
 * Why this host has no fast path; null when it can have one. Tries all of it in a temporary
 * namespace: rights, the kernel's verifier, the qdisc.
 */
export function probeFastPath(isWanted: boolean): string | null {
  if (!isWanted) return 'FAST_PATH=off'
  try {
    return inNewNetns(tryFastPath)
  } catch (error) {
    if (isBug(error)) throw error
    return messageOf(error)
  }
}

function tryFastPath(): string | null {
  const socket = new NetlinkSocket()
  const fastPath = new FastPath(socket, { reason: null, warn: () => {} })
  try {
    fastPath.ensure({ vxlan: loopback, mtu, checksSource: true })
    fastPath.setPort({ index: loopback, name: 'lo' }, { mac: deviceMac('probe'), ips: [] })
    return fastPath.reason
  } finally {
    fastPath.close()
    socket.close()
  }
}
