/**
 * Which system calls the plugin may not make. Everything that JavaScript, its engine and libuv need
 * is allowed; denied is what would lead out of the container or into other processes, and what
 * CAP_SYS_ADMIN and CAP_NET_ADMIN permit beyond our use of them. Numbers are those of x86-64 and
 * arm64; a call that only one of them has is null on the other.
 */
type SyscallNumbers = readonly [x64: number | null, arm64: number | null]

/** Calls that fail whatever their arguments are. */
export interface DeniedGroup {
  readonly calls: Readonly<Record<string, SyscallNumbers>>
  readonly error: 'EPERM' | 'ENOSYS'
}

/** A call that is allowed with some values of one argument. Only its lower 32 bits are compared. */
export interface CheckedCall {
  readonly call: SyscallNumbers
  /** From 0. */
  readonly argument: number
  /** Allowed are these values, or those with none of these bits. */
  readonly allowed: { readonly values: readonly number[] } | { readonly withoutBits: number }
  readonly error: 'EPERM' | 'EAFNOSUPPORT'
}

/**
 * Calls above this number are unknown to the policy and do not exist for the plugin; mseal, 6.10.
 * x32's numbers, which start at 2^30, are among them.
 */
export const highestKnownSyscall = 462

/** Code and state of the kernel. */
const kernel: DeniedGroup = {
  error: 'EPERM',
  calls: {
    init_module: [175, 105],
    finit_module: [313, 273],
    delete_module: [176, 106],
    kexec_load: [246, 104],
    kexec_file_load: [320, 294],
    reboot: [169, 142],
    swapon: [167, 224],
    swapoff: [168, 225],
    syslog: [103, 116],
    acct: [163, 89],
    quotactl: [179, 60],
    quotactl_fd: [443, 443],
    vhangup: [153, 58],
    iopl: [172, null],
    ioperm: [173, null],
    modify_ldt: [154, null],
    uselib: [134, null],
    sysfs: [139, null],
    settimeofday: [164, 170],
    clock_settime: [227, 112],
    adjtimex: [159, 171],
    clock_adjtime: [305, 266],
  },
}

/** Other processes and threads: reading, steering, tracing. */
const processes: DeniedGroup = {
  error: 'EPERM',
  calls: {
    ptrace: [101, 117],
    process_vm_readv: [310, 270],
    process_vm_writev: [311, 271],
    process_madvise: [440, 440],
    kcmp: [312, 272],
    pidfd_open: [434, 434],
    pidfd_getfd: [438, 438],
    pidfd_send_signal: [424, 424],
    perf_event_open: [298, 241],
    userfaultfd: [323, 282],
    move_pages: [279, 239],
    migrate_pages: [256, 238],
  },
}

/**
 * New file systems and roots; pins need bind mounts alone. A handle opens any file of a disk.
 */
const files: DeniedGroup = {
  error: 'EPERM',
  calls: {
    pivot_root: [155, 41],
    chroot: [161, 51],
    open_tree: [428, 428],
    move_mount: [429, 429],
    fsopen: [430, 430],
    fsconfig: [431, 431],
    fsmount: [432, 432],
    fspick: [433, 433],
    mount_setattr: [442, 442],
    name_to_handle_at: [303, 264],
    open_by_handle_at: [304, 265],
    mknod: [133, null],
    mknodat: [259, 33],
    fanotify_init: [300, 262],
    fanotify_mark: [301, 263],
  },
}

/** Modes of execution that disable protections; keys of the kernel's keyring are not ours. */
const executionModes: DeniedGroup = {
  error: 'EPERM',
  calls: {
    personality: [135, 92],
    add_key: [248, 217],
    request_key: [249, 218],
    keyctl: [250, 219],
  },
}

/** The plugin starts no program. Denied last, by the program that is executed last. */
export const programs: DeniedGroup = {
  error: 'EPERM',
  calls: { execve: [59, 221], execveat: [322, 281] },
}

/**
 * What a filter cannot look into: flags of clone3 are in memory, and a ring makes calls that no
 * filter sees. The C library and libuv do without them, if they were never there: libuv opens its
 * ring at the start, so the filter is loaded before that.
 */
const opaque: DeniedGroup = {
  error: 'ENOSYS',
  calls: {
    clone3: [435, 435],
    io_uring_setup: [425, 425],
    io_uring_enter: [426, 426],
    io_uring_register: [427, 427],
  },
}

export const deniedGroups: readonly DeniedGroup[] = [
  kernel,
  processes,
  files,
  executionModes,
  opaque,
]

/** From <sched.h>: all kinds of namespaces. */
const CLONE_NEW = 0x7e02_0000
const CLONE_NEWNET = 0x4000_0000
/** From <sys/mount.h>. A part of /proc that is made writable for a moment keeps its other flags. */
const MS_BIND = 4096
const remountedProc = 32 + MS_BIND + 2 + 4 + 8
const MS_RDONLY = 1
const MNT_DETACH = 2
/** From <sys/socket.h>: unix, IPv4, IPv6, netlink. */
const families = [1, 2, 10, 16]
/**
 * From <linux/bpf.h>: maps and programs, by name or id, and their elements. Not: attaching to
 * tracepoints and functions of the kernel, other processes' descriptors, tokens.
 */
const bpfCommands = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 22, 24, 25, 26, 27]

export const checkedCalls: readonly CheckedCall[] = [
  {
    call: [165, 40], // mount
    argument: 3,
    allowed: { values: [MS_BIND, remountedProc, remountedProc + MS_RDONLY] },
    error: 'EPERM',
  },
  { call: [166, 39], argument: 1, allowed: { values: [MNT_DETACH] }, error: 'EPERM' }, // umount2
  { call: [308, 268], argument: 1, allowed: { values: [CLONE_NEWNET] }, error: 'EPERM' }, // setns
  { call: [272, 97], argument: 0, allowed: { values: [CLONE_NEWNET] }, error: 'EPERM' }, // unshare
  { call: [56, 220], argument: 0, allowed: { withoutBits: CLONE_NEW }, error: 'EPERM' }, // clone
  { call: [41, 198], argument: 0, allowed: { values: families }, error: 'EAFNOSUPPORT' }, // socket
  { call: [321, 280], argument: 0, allowed: { values: bpfCommands }, error: 'EPERM' }, // bpf
]
