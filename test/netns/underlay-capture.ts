/** What two hosts send each other, looked at frame by frame on the underlay (packet(7)). */
import { closeSync, openSync, readSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import { libc } from '../../src/dataplane/linux/netlink/syscall.ts'
import { openPacketSocket } from './packet-socket.ts'

/** <sys/socket.h> and <linux/if_packet.h>. */
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const SOL_PACKET = 263
const PACKET_STATISTICS = 6

const bufferBytes = 16 * 1024 * 1024
const drainMs = 20

const getsockopt = koffi
  .load(null)
  .func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
  )

/** Bytes that containers send, for `ping -p`: a frame that has them in it is in the clear. */
export const clearMark = Buffer.from('ts-overlay:clear')

export interface Seen {
  /** Each frame in the clear, in words. */
  readonly clear: readonly string[]
  /** To the port of WireGuard. */
  readonly encrypted: number
  /** All frames. */
  readonly frames: number
  /** Frames that the kernel had no room for, so that nobody has looked at them. */
  readonly missed: number
}

/**
 * Sees each frame on all links of a namespace, in both directions. In the clear is what goes to the
 * port of VXLAN, and whatever has `clearMark` in it.
 */
export class UnderlayCapture {
  readonly #fd: number
  readonly #timer: NodeJS.Timeout
  readonly #frame = Buffer.alloc(65_536)
  #clear: string[] = []
  #encrypted = 0
  #frames = 0

  /** `netns` is the file of the namespace that the underlay's switch is in. */
  constructor(netns: string) {
    const netnsFd = openSync(netns, 'r')
    this.#fd = openPacketSocket(netnsFd)
    closeSync(netnsFd)
    const size = Buffer.alloc(4)
    size.writeUInt32LE(bufferBytes)
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length)
    this.#timer = setInterval(() => this.#drain(), drainMs)
  }

  /** What was seen since the last call; those on their way are waited for. */
  async take(): Promise<Seen> {
    await sleep(5 * drainMs)
    this.#drain()
    const [clear, encrypted, frames] = [this.#clear, this.#encrypted, this.#frames]
    this.#clear = []
    this.#encrypted = this.#frames = 0
    return { clear, encrypted, frames, missed: this.#missed() }
  }

  close(): void {
    clearInterval(this.#timer)
    closeSync(this.#fd)
  }

  #drain(): void {
    for (;;) {
      try {
        const length = readSync(this.#fd, this.#frame)
        this.#look(this.#frame.subarray(0, length))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return
        throw error
      }
    }
  }

  #look(frame: Buffer): void {
    this.#frames++
    const port = udpPort(frame)
    if (port === 51_820) this.#encrypted++
    const what = port === 4789 ? 'VXLAN' : frame.includes(clearMark) ? 'a packet' : null
    if (what !== null) this.#clear.push(`${what} in the clear: ${frame.toString('hex', 0, 100)}`)
  }

  /** The kernel's count begins again at each look. */
  #missed(): number {
    const [value, length] = [new Uint8Array(8), [8]]
    if (getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, value, length) < 0)
      throw new Error('no statistics of the packet socket')
    return Buffer.from(value).readUInt32LE(4)
  }
}

/** The destination of a UDP packet over IPv4 or IPv6 without options; null for anything else. */
function udpPort(frame: Buffer): number | null {
  const type = frame.length < 42 ? 0 : frame.readUInt16BE(12)
  if (type === 0x0800 && frame[14] === 0x45 && frame[23] === 17) return frame.readUInt16BE(36)
  if (type === 0x86dd && frame.length >= 62 && frame[20] === 17) return frame.readUInt16BE(56)
  return null
}
