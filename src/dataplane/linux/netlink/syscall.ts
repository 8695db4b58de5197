import { constants } from 'node:os'
import koffi from 'koffi'

/**
 * The calls of the C library that Node does not offer. Nothing else in the project is native: all
 * input and output goes through `node:fs` on the descriptors that these return.
 */
const library = koffi.load(null)

/**
 * As C declares them: -1 is a failure with an errno. One object, so that a test can make any of
 * them fail.
 */
export const libc = {
  socket: library.func('int socket(int domain, int type, int protocol)'),
  setsockopt: library.func(
    'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
  ),
  bind: library.func('int bind(int fd, const void *address, uint32_t length)'),
  connect: library.func('int connect(int fd, const void *address, uint32_t length)'),
  listen: library.func('int listen(int fd, int backlog)'),
  getsockname: library.func(
    'int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint32_t *length)',
  ),
  setns: library.func('int setns(int fd, int nstype)'),
  unshare: library.func('int unshare(int flags)'),
  mount: library.func(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)',
  ),
  umount2: library.func('int umount2(const char *target, int flags)'),
  bpf: library.func(
    'long syscall(long number, long command, void *attributes, unsigned int bytes)',
  ),
}

/** From <asm/unistd.h>: the number of bpf(2), which has no function in the C library. */
const bpfNumber = process.arch === 'arm64' ? 280 : 321

/** From <sched.h>: the network namespace. */
const CLONE_NEWNET = 0x4000_0000
/** From <sys/socket.h> and <linux/netlink.h>. */
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const SOCK_RAW = 3
const socketTypes = { udp: 2, tcp: 1 } as const
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
/** Protocols of netlink: <linux/netlink.h>. */
const protocols = { route: 0, netfilter: 12, generic: 16 } as const
export type NetlinkProtocol = keyof typeof protocols
/** From <sys/mount.h>. */
const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MS_NOEXEC = 8
const MS_REMOUNT = 32
const MS_BIND = 4096
const MNT_DETACH = 2

/** A system call that failed, and the kernel's error by name and number. */
class SyscallError extends Error {
  override readonly name = 'SyscallError'
  readonly errno: number
  readonly code: string

  constructor(call: string, errno: number) {
    super(`${call}: ${errnoName(errno)}`)
    this.errno = errno
    this.code = errnoName(errno)
  }
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))

/** The name of an error number, as `EEXIST`. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`
}

function check(call: string, result: number): number {
  if (result < 0) throw new SyscallError(call, koffi.errno())
  return result
}

/** A non-blocking netlink socket in the network namespace that this thread is in. */
export function openNetlinkSocket(protocol: NetlinkProtocol): number {
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK
  return check('socket(AF_NETLINK)', libc.socket(AF_NETLINK, type, protocols[protocol]))
}

/** A non-blocking IPv4 or IPv6 socket in the network namespace that this thread is in. */
export function openInetSocket(transport: 'udp' | 'tcp', bits: 32 | 128 = 32): number {
  const type = socketTypes[transport] | SOCK_CLOEXEC | SOCK_NONBLOCK
  const family = bits === 32 ? AF_INET : AF_INET6
  return check(`socket(${transport})`, libc.socket(family, type, 0))
}

/** Binds a socket to an address of 4 or 16 bytes. */
export function bindSocket(fd: number, address: Uint8Array, port: number): void {
  const bytes = socketAddress(address, port)
  check('bind', libc.bind(fd, bytes, bytes.length))
}

/** Binds an IPv4 socket to an address of 4 bytes. @returns the port, of the kernel's choice. */
export function bindAnyPort(fd: number, address: Uint8Array): number {
  const bytes = socketAddress(address, 0)
  check('bind', libc.bind(fd, bytes, bytes.length))
  check('getsockname', libc.getsockname(fd, bytes, [bytes.length]))
  return bytes.readUInt16BE(2)
}

/** Starts to connect a TCP socket; reading or writing shows how it ends. */
export function startConnecting(fd: number, address: Uint8Array, port: number): void {
  const bytes = socketAddress(address, port)
  const result = libc.connect(fd, bytes, bytes.length)
  if (result < 0 && koffi.errno() === constants.errno.EINPROGRESS) return
  check('connect', result)
}

/** Accepts connections. */
export function listenOn(fd: number, backlog: number): void {
  check('listen', libc.listen(fd, backlog))
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: Uint8Array, port: number): Buffer {
  const isV4 = address.length === 4
  const bytes = Buffer.alloc(isV4 ? 16 : 28)
  bytes.writeUInt16LE(isV4 ? AF_INET : AF_INET6, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(address, isV4 ? 4 : 8)
  return bytes
}

/** Sets an integer socket option. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  check(`setsockopt(${level}, ${name})`, libc.setsockopt(fd, level, name, bytes, 4))
}

/** bpf(2). @returns -1 when it fails; the error is in koffi's errno. */
export function bpfCall(command: number, attributes: Buffer): number {
  return Number(libc.bpf(bpfNumber, command, attributes, attributes.length))
}

/** Moves this thread into the network namespace of `fd`. */
export function enterNetns(fd: number): void {
  check('setns', libc.setns(fd, CLONE_NEWNET))
}

/** Moves this thread into a new, empty network namespace. */
export function unshareNetns(): void {
  check('unshare(CLONE_NEWNET)', libc.unshare(CLONE_NEWNET))
}

/** Mounts `source` on `target` as well. */
export function bindMount(source: string, target: string): void {
  check(`mount ${source} on ${target}`, libc.mount(source, target, 'none', MS_BIND, null))
}

/** Removes a mount; what is open on it stays usable. */
export function detachMount(target: string): void {
  check(`umount ${target}`, libc.umount2(target, MNT_DETACH))
}

/**
 * Makes a part of /proc that is a mount of its own writable or read-only, for this process's
 * container alone.
 */
export function remountProc(target: string, how: 'writable' | 'read-only'): void {
  const kept = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC
  const flags = how === 'writable' ? kept : kept | MS_RDONLY
  check(`mount ${target} ${how}`, libc.mount('none', target, 'none', flags, null))
}
