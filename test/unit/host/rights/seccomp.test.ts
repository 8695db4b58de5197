import { constants } from 'node:os'
import { expect } from 'chai'
import { type Architecture, seccompFilter } from '../../../../src/host/rights/seccomp.ts'
import {
  checkedCalls,
  deniedGroups,
  highestKnownSyscall,
  programs,
} from '../../../../src/host/rights/syscall-policy.ts'

const architectures = { x64: 0xc000_003e, arm64: 0xc000_00b7 } as const
const allowed = 0x7fff_0000
const killed = 0x8000_0000
const failsWith = (errno: number): number => 0x0005_0000 | errno
const { EPERM, ENOSYS, EAFNOSUPPORT } = constants.errno

/** Runs a filter as the kernel does; returns its answer, an unsigned number. */
function run(filter: Buffer, data: Buffer): number {
  let word = 0
  for (let at = 0; at < filter.length / 8; at++) {
    const code = filter.readUInt16LE(8 * at)
    const [ifTrue, ifFalse] = [filter.readUInt8(8 * at + 2), filter.readUInt8(8 * at + 3)]
    const k = filter.readUInt32LE(8 * at + 4)
    const branch = (holds: boolean): void => void (at += holds ? ifTrue : ifFalse)
    if (code === 0x20) word = data.readUInt32LE(k)
    else if (code === 0x15) branch(word === k)
    else if (code === 0x35) branch(word >= k)
    else if (code === 0x45) branch((word & k) !== 0)
    else if (code === 0x06) return k
    else throw new Error(`instruction ${at} has code ${code}`)
  }
  throw new Error('the filter has no end')
}

function call(
  number: number,
  values: readonly number[] = [],
  architecture: number = architectures.x64,
) {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(number, 0)
  data.writeUInt32LE(architecture, 4)
  for (const [i, value] of values.entries()) data.writeBigUInt64LE(BigInt(value), 16 + 8 * i)
  return data
}

describe('the filter of system calls', () => {
  const x64 = seccompFilter('x64', deniedGroups, checkedCalls)
  const answer = (number: number, ...values: number[]): number => run(x64, call(number, values))

  for (const architecture of ['x64', 'arm64'] as const)
    it(`denies each call of each group on ${architecture}, and no call twice`, () => {
      const filter = seccompFilter(architecture, deniedGroups, checkedCalls)
      const seen = new Set<number>()
      const index = architecture === 'x64' ? 0 : 1
      for (const { calls, error } of deniedGroups)
        for (const [name, numbers] of Object.entries(calls)) {
          const number = numbers[index]
          if (number === null) continue
          const result = run(filter, call(number, [], architectures[architecture as Architecture]))
          expect(result, name).to.equal(failsWith(constants.errno[error]))
          expect(seen.has(number), name).to.equal(false)
          seen.add(number)
        }
      expect(seen.size).to.be.greaterThan(50)
    })

  it('ends the process at a call of another architecture', () => {
    // The 32-bit calls of the same processor.
    expect(run(x64, call(0, [], 0x4000_0003))).to.equal(killed)
    expect(run(x64, call(0, [], architectures.arm64))).to.equal(killed)
  })

  it('has no call that is newer than the policy, nor one of x32', () => {
    expect(answer(highestKnownSyscall)).to.equal(allowed)
    expect(answer(highestKnownSyscall + 1)).to.equal(failsWith(ENOSYS))
    expect(answer(0x4000_0000)).to.equal(failsWith(ENOSYS))
  })

  it('allows what JavaScript does all day', () => {
    const names = { read: 0, write: 1, openat: 257, mmap: 9, futex: 202, epoll_wait: 232 }
    for (const [name, number] of Object.entries(names))
      expect(answer(number), name).to.equal(allowed)
  })

  it('allows network namespaces, and none of another kind', () => {
    const [setns, unshare, clone] = [308, 272, 56]
    const kinds = { time: 0x80, mount: 0x2_0000, user: 0x1000_0000, pid: 0x2000_0000 }
    const network = 0x4000_0000
    expect(answer(setns, 5, network)).to.equal(allowed)
    expect(answer(setns, 5, 0)).to.equal(failsWith(EPERM))
    expect(answer(unshare, network)).to.equal(allowed)
    for (const kind of Object.values(kinds)) {
      expect(answer(setns, 5, kind)).to.equal(failsWith(EPERM))
      expect(answer(unshare, network | kind)).to.equal(failsWith(EPERM))
      // To clone, 0x80 is a part of the signal's number.
      if (kind > 0x80) expect(answer(clone, kind | 17)).to.equal(failsWith(EPERM))
    }
    // A thread, as the C library makes it.
    expect(answer(clone, 0x3d_0f00)).to.equal(allowed)
  })

  it('allows bind mounts, and no other mount', () => {
    const [mount, umount] = [165, 166]
    expect(answer(mount, 1, 2, 3, 4096)).to.equal(allowed)
    expect(answer(mount, 1, 2, 3, 4143)).to.equal(allowed)
    for (const flags of [0, 32, 8192, 4096 | 16_384, 1 << 20])
      expect(answer(mount, 1, 2, 3, flags), String(flags)).to.equal(failsWith(EPERM))
    expect(answer(umount, 1, 2)).to.equal(allowed)
    expect(answer(umount, 1, 0)).to.equal(failsWith(EPERM))
  })

  it('allows four families of sockets', () => {
    for (let family = 0; family < 48; family++)
      expect(answer(41, family)).to.equal(
        [1, 2, 10, 16].includes(family) ? allowed : failsWith(EAFNOSUPPORT),
      )
  })

  it('allows maps and programs of eBPF, and no attaching to the kernel', () => {
    const [create, load, tracepoint, link, token] = [0, 5, 17, 28, 36]
    for (const command of [create, load]) expect(answer(321, command)).to.equal(allowed)
    for (const command of [tracepoint, link, token])
      expect(answer(321, command)).to.equal(failsWith(EPERM))
  })

  it('denies programs by a filter of their own', () => {
    const [execve, execveat] = [59, 322]
    expect(answer(execve)).to.equal(allowed)
    const last = seccompFilter('x64', [programs])
    for (const number of [execve, execveat])
      expect(run(last, call(number))).to.equal(failsWith(EPERM))
    expect(run(last, call(0))).to.equal(allowed)
  })
})
