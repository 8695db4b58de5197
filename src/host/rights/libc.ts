import { constants } from 'node:os'
import koffi from 'koffi'

/**
 * The calls of the C library by which a process gives up rights. Only the program that starts the
 * plugin makes them.
 */
const library = koffi.load(null)

const functions = {
  mount: library.func(
    'int mount(const char *source, const char *target, const char *type, ulong flags, const void *data)',
  ),
  umount2: library.func('int umount2(const char *target, int flags)'),
  seccomp: library.func('syscall', 'long', ['long', 'uint', 'uint', 'void *']),
}

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

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))

function check(call: string, result: number): void {
  if (result === 0) return
  const errno = koffi.errno()
  const code = errnoNames.get(errno) ?? `errno ${errno}`
  throw Object.assign(new Error(`${call}: ${code}`), { code })
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
