import { constants } from 'node:os'
import koffi from 'koffi'

/**
 * The calls of the C library by which a process gives up rights. Only the program that starts the
 * plugin makes them.
 */
const library = koffi.load(null)

const functions = {
  prctl: library.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)'),
  capset: library.func('int capset(const void *header, const void *sets)'),
  setrlimit: library.func('int setrlimit(int resource, const void *limits)'),
  mount: library.func(
    'int mount(const char *source, const char *target, const char *type, ulong flags, const void *data)',
  ),
  umount2: library.func('int umount2(const char *target, int flags)'),
  seccomp: library.func('syscall', 'long', ['long', 'uint', 'uint', 'void *']),
}

/** From <linux/prctl.h>. */
const PR_CAPBSET_DROP = 24
const PR_SET_NO_NEW_PRIVS = 38
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4
/** From <linux/capability.h>: two words for each set, for the calling thread. */
const capabilityVersion3 = 0x2008_0522
/** From <sys/mount.h>. */
const MS_RDONLY = 1
const MS_REMOUNT = 32
const MS_BIND = 4096
const MS_REC = 16_384
const MS_PRIVATE = 1 << 18
const MNT_DETACH = 2
/** From <linux/seccomp.h>. */
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_TSYNC = 1
const seccompNumbers: Readonly<Record<string, number>> = { x64: 317, arm64: 277 }

const filterProgram = koffi.struct({ length: 'uint16_t', instructions: 'void *' })

/** By the name that <sys/resource.h> gives them. */
export const resources = { DATA: 2, CORE: 4 } as const

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))

function check(call: string, result: number): void {
  if (result === 0) return
  const errno = koffi.errno()
  const code = errnoNames.get(errno) ?? `errno ${errno}`
  throw Object.assign(new Error(`${call}: ${code}`), { code })
}

/** Takes a capability out of the bounding set: no program that this thread starts ever has it. */
export function dropFromBoundingSet(capability: number): void {
  check(
    `prctl(PR_CAPBSET_DROP, ${capability})`,
    functions.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0),
  )
}

/** Sets the effective and the permitted set, and empties the inheritable and the ambient one. */
export function setCapabilities(mask: bigint): void {
  const clear = functions.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
  check('prctl(PR_CAP_AMBIENT)', clear)
  const header = Buffer.alloc(8)
  header.writeUInt32LE(capabilityVersion3)
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)]
  const sets = Buffer.from(Uint32Array.of(low, low, 0, high, high, 0).buffer)
  check('capset', functions.capset(header, sets))
}

/** No program that is executed gets more rights than this process has. */
export function setNoNewPrivileges(): void {
  check('prctl(PR_SET_NO_NEW_PRIVS)', functions.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

/** Sets the soft and the hard limit of a resource. */
export function limitResource(resource: number, value: bigint): void {
  const limits = Buffer.from(BigUint64Array.of(value, value).buffer)
  check(`setrlimit(${resource})`, functions.setrlimit(resource, limits))
}

/** Loads a filter of system calls for all threads of this process: classic BPF, 8 bytes each. */
export function loadSeccompFilter(instructions: Buffer): void {
  const program = koffi.as(
    { length: instructions.length / 8, instructions },
    koffi.pointer(filterProgram),
  )
  const number = seccompNumbers[process.arch]
  const result = functions.seccomp(
    number,
    SECCOMP_SET_MODE_FILTER,
    SECCOMP_FILTER_FLAG_TSYNC,
    program,
  )
  check('seccomp(SECCOMP_SET_MODE_FILTER)', Number(result))
}

/** Mounts a file, or a folder with all that is mounted in it, on `target` as well. */
export function bindMount(source: string, target: string): void {
  const flags = MS_BIND | MS_REC
  check(`mount ${source} on ${target}`, functions.mount(source, target, 'none', flags, null))
}

/** Makes a mount writable or read-only for this process's mount namespace alone. */
export function remount(target: string, how: 'writable' | 'read-only'): void {
  const flags = MS_REMOUNT | MS_BIND | (how === 'read-only' ? MS_RDONLY : 0)
  check(`mount ${target} ${how}`, functions.mount('none', target, 'none', flags, null))
}

/** Keeps what happens to a mount, and to all that is mounted in it, from others of their group. */
export function makePrivate(target: string): void {
  const flags = MS_PRIVATE | MS_REC
  check(`mount ${target} private`, functions.mount('none', target, 'none', flags, null))
}

/** Removes a mount with all that is mounted in it. */
export function detachMount(target: string): void {
  check(`umount ${target}`, functions.umount2(target, MNT_DETACH))
}
