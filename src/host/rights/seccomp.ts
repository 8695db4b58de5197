import { constants } from 'node:os'
import { type CheckedCall, type DeniedGroup, highestKnownSyscall } from './syscall-policy.ts'

/**
 * The policy as a program of classic BPF (<linux/filter.h>) over struct seccomp_data
 * (<linux/seccomp.h>): number, architecture, instruction pointer, six arguments of 64 bits.
 */
export type Architecture = 'x64' | 'arm64'

const LD_W_ABS = 0x20
const JMP_JEQ_K = 0x15
const JMP_JGE_K = 0x35
const JMP_JSET_K = 0x45
const RET_K = 0x06

const numberOffset = 0
const architectureOffset = 4
const argumentsOffset = 16

const SECCOMP_RET_ALLOW = 0x7fff_0000
const SECCOMP_RET_ERRNO = 0x0005_0000
const SECCOMP_RET_KILL_PROCESS = 0x8000_0000
/** From <linux/audit.h>. */
const auditArchitectures = { x64: 0xc000_003e, arm64: 0xc000_00b7 } as const

interface Instruction {
  readonly code: number
  /** Instructions to skip when a comparison holds, and when it does not. */
  readonly ifTrue?: number
  readonly ifFalse?: number
  readonly k: number
}

const load = (offset: number): Instruction => ({ code: LD_W_ABS, k: offset })
const allow: Instruction = { code: RET_K, k: SECCOMP_RET_ALLOW }
const fail = (error: keyof typeof constants.errno): Instruction => ({
  code: RET_K,
  k: SECCOMP_RET_ERRNO | constants.errno[error],
})
/** Skips `count` instructions unless the loaded word is `k`. */
const unlessEqual = (k: number, count: number): Instruction => ({
  code: JMP_JEQ_K,
  ifFalse: count,
  k,
})

/**
 * A filter for an architecture; a call of another one ends the process. Of several filters of a
 * process the strictest answer counts.
 */
export function seccompFilter(
  architecture: Architecture,
  denied: readonly DeniedGroup[],
  checked: readonly CheckedCall[] = [],
): Buffer {
  const numberOf = ([x64, arm64]: CheckedCall['call']): number | null =>
    architecture === 'x64' ? x64 : arm64
  const instructions: Instruction[] = [
    load(architectureOffset),
    { code: JMP_JEQ_K, ifTrue: 1, k: auditArchitectures[architecture] },
    { code: RET_K, k: SECCOMP_RET_KILL_PROCESS },
    load(numberOffset),
    { code: JMP_JGE_K, ifFalse: 1, k: highestKnownSyscall + 1 },
    fail('ENOSYS'),
    ...denied.flatMap((group) => denials(group, numberOf)),
    ...checked.flatMap((call) => checks(call, numberOf)),
    allow,
  ]
  return encode(instructions)
}

function denials(
  { calls, error }: DeniedGroup,
  numberOf: (call: CheckedCall['call']) => number | null,
): Instruction[] {
  return Object.values(calls)
    .map(numberOf)
    .filter((number) => number !== null)
    .flatMap((number) => [unlessEqual(number, 1), fail(error)])
}

/** Each block returns, so that the number stays loaded for the next. */
function checks(
  { call, argument, allowed, error }: CheckedCall,
  numberOf: (call: CheckedCall['call']) => number | null,
): Instruction[] {
  const number = numberOf(call)
  if (number === null) return []
  const tests =
    'values' in allowed
      ? allowed.values.flatMap((value) => [unlessEqual(value, 1), allow])
      : [{ code: JMP_JSET_K, ifTrue: 1, k: allowed.withoutBits }, allow]
  const block = [load(argumentsOffset + 8 * argument), ...tests, fail(error)]
  return [unlessEqual(number, block.length), ...block]
}

function encode(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(8 * instructions.length)
  for (const [i, { code, ifTrue = 0, ifFalse = 0, k }] of instructions.entries()) {
    bytes.writeUInt16LE(code, 8 * i)
    bytes.writeUInt8(ifTrue, 8 * i + 2)
    bytes.writeUInt8(ifFalse, 8 * i + 3)
    bytes.writeUInt32LE(k >>> 0, 8 * i + 4)
  }
  return bytes
}
