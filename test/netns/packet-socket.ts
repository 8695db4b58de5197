import { closeSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import { libc } from '../../src/dataplane/linux/netlink/syscall.ts'
import { inNetns } from '../../src/dataplane/linux/netns/netns.ts'

/** <linux/if_ether.h> and <sys/socket.h>. */
const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const ETH_P_ALL = 0x0300

const library = koffi.load(null)
const bind = library.func('int bind(int fd, const void *address, uint32_t length)')
const nameToIndex = library.func('uint32_t if_nametoindex(const char *name)')

/** A packet socket of a namespace: of one interface, or of all without `device`. */
export function openPacketSocket(netnsFd: number, device?: string): number {
  return inNetns(netnsFd, () => {
    const fd = libc.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, ETH_P_ALL) as number
    const address = Buffer.alloc(20)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16LE(ETH_P_ALL, 2)
    if (device !== undefined) address.writeInt32LE(nameToIndex(device) as number, 4)
    if (fd < 0 || (device !== undefined && bind(fd, address, address.length) < 0))
      throw new Error(`packet socket at ${device ?? 'all interfaces'}`)
    return fd
  })
}

/** Sends and receives whole Ethernet frames on one interface of a namespace (packet(7)). */
export class PacketSocket {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(65_536)

  constructor(netnsFd: number, device: string) {
    this.#fd = openPacketSocket(netnsFd, device)
  }

  send(frame: Uint8Array): void {
    writeSync(this.#fd, frame)
  }

  /** The frames received until one `isLast`, that one not included. */
  async receiveUntil(isLast: (frame: Buffer) => boolean): Promise<Buffer[]> {
    const frames: Buffer[] = []
    for (let idle = 0; idle < 500;) {
      try {
        const frame = Buffer.from(this.#buffer.subarray(0, readSync(this.#fd, this.#buffer)))
        if (isLast(frame)) return frames
        frames.push(frame)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
        idle++
        await sleep(20)
      }
    }
    throw new Error('the last frame did not arrive')
  }

  close(): void {
    closeSync(this.#fd)
  }
}
