/**
 * The program that the image starts with: it gives up capabilities and system calls and executes
 * its arguments. Capabilities belong to threads, and Node has several before the first line of a
 * script; libuv opens an io_uring before that, too. So both go before Node starts.
 *
 * It is nothing but system calls with constant arguments, one after the other, so this file writes
 * the machine code itself and the build needs no compiler. Results are not looked at: the
 * plugin reads from /proc which rights it still has, and tells (src/host/rights/rights.ts).
 */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { capabilitySet, neededCapabilities } from '../src/host/rights/capabilities.ts'
import { type Architecture, seccompFilter } from '../src/host/rights/seccomp.ts'
import { deniedGroups } from '../src/host/rights/syscall-policy.ts'

/** An idle plugin has 90 MB in all; 100,000 endpoints take 160. */
const maxMemoryBytes = 1024n * 1024n * 1024n

/** From <linux/prctl.h>. */
const PR_CAPBSET_DROP = 24
const PR_SET_NO_NEW_PRIVS = 38
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4
/** From <linux/capability.h>: two words for each set, for the calling thread. */
const capabilityVersion3 = 0x2008_0522
const maxCapabilities = 64
/** From <sys/resource.h>. */
const RLIMIT_DATA = 2
const RLIMIT_CORE = 4
/** From <linux/seccomp.h>. */
const SECCOMP_SET_MODE_FILTER = 1
/** The exit status by which a shell, too, says that a program cannot be executed. */
const cannotExecute = 126

/** Where the file is in memory. */
const base = 0x40_0000
const headerBytes = 64 + 2 * 56

interface Machine {
  /** EM_* of <elf.h>. */
  readonly elf: number
  readonly numbers: Readonly<Record<SystemCall, number>>
  readonly call: (number: number, args: readonly bigint[]) => Buffer
  /** execve(argv[1], argv + 1, envp) with the stack as the kernel hands it over. */
  readonly executeArguments: Buffer
}

type SystemCall = 'prctl' | 'capset' | 'setrlimit' | 'seccomp' | 'execve' | 'exit_group'

const machines: Readonly<Record<Architecture, Machine>> = {
  x64: {
    elf: 62,
    numbers: {
      prctl: 157,
      capset: 126,
      setrlimit: 160,
      seccomp: 317,
      execve: 59,
      exit_group: 231,
    },
    call: callX64,
    executeArguments: Buffer.from(
      '488b0424' + // mov rax, [rsp]: argc
        '488b7c2410' + // mov rdi, [rsp + 16]
        '488d742410' + // lea rsi, [rsp + 16]
        '488d54c410' + // lea rdx, [rsp + 8 * rax + 16]
        'b83b000000' + // mov eax, 59
        '0f05', // syscall
      'hex',
    ),
  },
  arm64: {
    elf: 183,
    numbers: { prctl: 167, capset: 91, setrlimit: 164, seccomp: 277, execve: 221, exit_group: 94 },
    call: callArm64,
    executeArguments: words([
      0xf940_03e9, // ldr x9, [sp]: argc
      0xf940_0be0, // ldr x0, [sp, #16]
      0x9100_43e1, // add x1, sp, #16
      0x8b09_0c22, // add x2, x1, x9, lsl #3
      0xd280_1ba8, // mov x8, #221
      0xd400_0001, // svc #0
    ]),
  },
}

/** Writes `launcher` for this machine into a folder. */
export async function writeLauncher(folder: string): Promise<void> {
  const { arch } = process
  if (arch !== 'x64' && arch !== 'arm64')
    throw new Error(`the plugin is for x64 and arm64, not for ${arch}`)
  await writeFile(path.join(folder, 'launcher'), launcher(arch), { mode: 0o755 })
}

/** The launcher as an ELF file: `launcher PROGRAM ARGUMENTS…`. */
export function launcher(architecture: Architecture): Buffer {
  const machine = machines[architecture]
  const filter = seccompFilter(architecture, deniedGroups)
  // The code's length does not depend on addresses.
  const codeBytes = code(machine, 0n).length
  const data = base + headerBytes + codeBytes
  const program = code(machine, BigInt(data))
  const constants = constantsOf(filter, BigInt(data))
  return Buffer.concat([
    header(machine.elf, headerBytes + codeBytes + constants.length),
    program,
    constants,
  ])
}

/** Offsets of the constants behind the code. */
const offsets = { capHeader: 0n, capSets: 8n, noCore: 32n, maxData: 48n, program: 64n, filter: 80n }

function constantsOf(filter: Buffer, at: bigint): Buffer {
  const kept = Number(capabilitySet(Object.values(neededCapabilities)))
  const program = Buffer.alloc(16)
  program.writeUInt16LE(filter.length / 8, 0)
  program.writeBigUInt64LE(at + offsets.filter, 8)
  return Buffer.concat([
    words([capabilityVersion3, 0]),
    // Effective, permitted, inheritable; the lower words first.
    words([kept, kept, 0, 0, 0, 0]),
    longs([0n, 0n]),
    longs([maxMemoryBytes, maxMemoryBytes]),
    program,
    filter,
  ])
}

function code(machine: Machine, at: bigint): Buffer {
  const { numbers } = machine
  const call = (name: SystemCall, ...args: readonly (number | bigint)[]): Buffer =>
    machine.call(numbers[name], args.map(BigInt))
  const needed = new Set<number>(Object.values(neededCapabilities))
  const dropped = Array.from({ length: maxCapabilities }, (_, n) => n).filter((n) => !needed.has(n))
  return Buffer.concat([
    call('setrlimit', RLIMIT_DATA, at + offsets.maxData),
    // Keys are in memory.
    call('setrlimit', RLIMIT_CORE, at + offsets.noCore),
    ...dropped.map((capability) => call('prctl', PR_CAPBSET_DROP, capability, 0, 0, 0)),
    call('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
    call('capset', at + offsets.capHeader, at + offsets.capSets),
    call('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    call('seccomp', SECCOMP_SET_MODE_FILTER, 0, at + offsets.program),
    machine.executeArguments,
    call('exit_group', cannotExecute),
  ])
}

function callX64(number: number, args: readonly bigint[]): Buffer {
  // mov rdi, rsi, rdx, r10, r8, r9 with 64 bits; mov eax; syscall.
  const moves = ['48bf', '48be', '48ba', '49ba', '49b8', '49b9']
  const loads = args.flatMap((value, i) => [Buffer.from(moves[i]!, 'hex'), longs([value])])
  return Buffer.concat([...loads, Buffer.of(0xb8), words([number]), Buffer.of(0x0f, 0x05)])
}

function callArm64(number: number, args: readonly bigint[]): Buffer {
  const register = 8
  const loads = args.flatMap((value, i) => moveArm64(i, value))
  return words([...loads, ...moveArm64(register, BigInt(number)), 0xd400_0001])
}

/** movz, then movk for the upper 16 bits of 32: no constant is longer. */
function moveArm64(register: number, value: bigint): number[] {
  const [low, high] = [Number(value & 0xffffn), Number(value >> 16n)]
  return [0xd280_0000 + low * 32 + register, 0xf2a0_0000 + high * 32 + register]
}

/** The headers of a file that is one segment, read-only and executable. */
function header(machine: number, size: number): Buffer {
  const PT_LOAD = 1
  const PT_GNU_STACK = 0x6474_e551
  const identity = Buffer.from('7f454c46020101000000000000000000', 'hex')
  return Buffer.concat([
    identity,
    // ET_EXEC, machine; EV_CURRENT.
    words([(machine << 16) | 2, 1]),
    longs([BigInt(base + headerBytes), 64n, 0n]),
    // Flags; sizes of this header, of a program header; two of these; no sections.
    words([0, (56 << 16) | 64, (64 << 16) | 2, 0]),
    words([PT_LOAD, 5]),
    longs([0n, BigInt(base), BigInt(base), BigInt(size), BigInt(size), 0x1_0000n]),
    words([PT_GNU_STACK, 6]),
    longs([0n, 0n, 0n, 0n, 0n, 16n]),
  ])
}

function words(values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer)
}

function longs(values: readonly bigint[]): Buffer {
  return Buffer.from(BigUint64Array.from(values).buffer)
}
