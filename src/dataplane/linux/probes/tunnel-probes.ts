import { type Socket, createSocket } from 'node:dgram'
import { errnoOf, isSystemError } from '../../../base/errors.ts'
import { type Ip, ipBits, ipToBytes } from '../../../net/ip.ts'
import type { Vni } from '../../../net/vni.ts'
import { deviceMac, pinName } from '../netlink/names.ts'
import { bindSocket, openInetSocket, setSocketOption } from '../netlink/syscall.ts'
import { inNetns } from '../netns/netns.ts'
import { closeNetns, openNetns } from '../netns/overlay-netns.ts'
import { Pin } from '../netns/pin.ts'
import { probeFrame, probePort } from './probe-frame.ts'

/** From <netinet/in.h>: packets may be cut on their way, as those of a VXLAN device. */
const IPPROTO_IP = 0
const IP_MTU_DISCOVER = 10
const IP_PMTUDISC_DONT = 0

interface TunnelProbesOptions {
  /** Where overlays' namespaces are pinned, as the data plane has it. */
  readonly directories: readonly string[]
  readonly vtep: Ip
  /** The file of the host's namespace; without it, the namespace that this process is in. */
  readonly hostNetns?: string
}

/** Where a probe goes. */
interface ProbeTarget {
  readonly overlayId: string
  readonly vni: Vni
  readonly vtep: Ip
  /** UDP port of the tunnels. */
  readonly port: number
}

/**
 * Packets through the tunnels of overlays that no container sees. They leave by a UDP socket of the
 * host and are VXLAN datagrams like those of the device; on the other host they pass its filter,
 * VXLAN device and bridge, and arrive at a UDP socket in the overlay's namespace.
 */
export class LinuxTunnelProbes {
  readonly #options: TunnelProbesOptions
  readonly #receivers = new Map<string, Socket>()
  #sender: Socket | null = null

  constructor(options: TunnelProbesOptions) {
    this.#options = options
  }

  /**
   * Receives in these overlays and no others; one whose namespace is not there yet is tried again
   * by the next call. The bytes are the payload, followed by zeros.
   */
  listen(
    overlayIds: readonly string[],
    onPacket: (overlayId: string, payload: Uint8Array) => void,
  ): void {
    for (const [overlayId, socket] of this.#receivers)
      if (!overlayIds.includes(overlayId)) {
        socket.close()
        this.#receivers.delete(overlayId)
      }
    for (const overlayId of overlayIds)
      if (!this.#receivers.has(overlayId)) this.#open(overlayId, onPacket)
  }

  /** Sends one packet; whether it arrives is not known. */
  send(
    { overlayId, vni, vtep, port }: ProbeTarget,
    payload: Uint8Array,
    packetBytes: number,
  ): void {
    this.#sender ??= this.#openSender()
    const source = deviceMac(`probe ${this.#options.vtep}`)
    const bridge = deviceMac(`bridge ${overlayId}`)
    const frame = probeFrame({ vni, source, bridge, payload, packetBytes })
    // A packet that the underlay or a firewall of this host refuses is a lost one.
    this.#sender.send(frame, port, vtep, () => {})
  }

  close(): void {
    for (const socket of this.#receivers.values()) socket.close()
    this.#receivers.clear()
    this.#sender?.close()
    this.#sender = null
  }

  #open(overlayId: string, onPacket: (overlayId: string, payload: Uint8Array) => void): void {
    try {
      const pin = new Pin(this.#options.directories, pinName(overlayId), () => {}).find()
      if (pin === null) return
      const fd = inNetnsAt(pin, () => boundSocket(32, '0.0.0.0' as Ip, probePort))
      const socket = wrapped(fd, 'udp4')
      // A container sends from its own address only.
      socket.on('message', (payload, { address }) => {
        if (address === '0.0.0.0') onPacket(overlayId, payload)
      })
      this.#receivers.set(overlayId, socket)
    } catch (error) {
      if (!isSystemError(error)) throw error
    }
  }

  #openSender(): Socket {
    const { vtep, hostNetns } = this.#options
    const bits = ipBits(vtep)
    const open = (): number => {
      const fd = boundSocket(bits, vtep, 0)
      if (bits === 32) setSocketOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
      return fd
    }
    const type = bits === 32 ? 'udp4' : 'udp6'
    if (hostNetns === undefined) return wrapped(open(), type)
    return wrapped(inNetnsAt(hostNetns, open), type)
  }
}

function inNetnsAt<T>(path: string, visit: () => T): T {
  const handle = openNetns(path)
  try {
    return inNetns(handle.fd, visit)
  } finally {
    closeNetns(handle)
  }
}

function boundSocket(bits: 32 | 128, address: Ip, port: number): number {
  const fd = openInetSocket('udp', bits)
  bindSocket(fd, ipToBytes(address), port)
  return fd
}

function wrapped(fd: number, type: 'udp4' | 'udp6'): Socket {
  const socket = createSocket(type)
  socket.on('error', (error) => {
    if (errnoOf(error) === '') throw error
  })
  socket.bind({ fd })
  return socket.unref()
}
