import { readFileSync } from 'node:fs'
import { messageOf } from '../../base/errors.ts'
import { capabilitiesIn, capabilitySet, neededCapabilities } from './capabilities.ts'
import { loadSeccompFilter } from './libc.ts'
import { type RunMounts, narrowRun } from './mounts.ts'
import { type Architecture, seccompFilter } from './seccomp.ts'
import { checkedCalls, programs } from './syscall-policy.ts'

/*
 * What the process gives up before the plugin's code is read. Capabilities belong to threads, and
 * Node has some before any script runs; those, and the system calls that are denied without a look
 * at their arguments, are gone before Node starts (plugin/launcher.ts). What is here counts for all
 * threads of a process: its mounts, and a filter that the kernel gives to each of them.
 */

/** Told what could not be given up, such as on a kernel without seccomp. */
type Warn = (message: string) => void

/** Detaches what is mounted of the host and not needed. */
export function narrowMounts(mounts: RunMounts, warn: Warn): void {
  attempt(warn, 'mounts', () => narrowRun(mounts))
}

/** From here on no program can be executed, and mounts and namespaces are those of our own use. */
export function denySystemCalls(warn: Warn): void {
  attempt(warn, 'system calls', () => {
    loadSeccompFilter(seccompFilter(architecture(), [programs], checkedCalls))
  })
}

/** What is left that should be gone, from a text as /proc/self/status; the main thread's. */
export function excessRights(status = readFileSync('/proc/self/status', 'latin1')): string[] {
  const field = (name: string, base: string): bigint =>
    BigInt(`${base}${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`)
  const needed = capabilitySet(Object.values(neededCapabilities))
  const bounding = field('CapBnd', '0x') | field('CapPrm', '0x')
  const excess = capabilitiesIn((bounding & ~needed) | field('CapInh', '0x')).map(
    (number) => `capability ${number}`,
  )
  if (field('NoNewPrivs', '') === 0n) excess.push('privileges of programs it executes')
  return excess
}

function architecture(): Architecture {
  const { arch } = process
  if (arch === 'x64' || arch === 'arm64') return arch
  throw new Error(`there is no filter for ${arch}`)
}

/** A host that cannot do without a right still gets its network. */
function attempt(warn: Warn, what: string, reduce: () => void): void {
  try {
    reduce()
  } catch (error) {
    warn(`${what}: this process keeps more rights than it needs: ${messageOf(error)}`)
  }
}
