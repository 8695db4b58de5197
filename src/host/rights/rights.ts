import { messageOf } from '../../base/errors.ts'
import {
  capabilitiesIn,
  capabilitySet,
  neededCapabilities,
  readBoundingSet,
} from './capabilities.ts'
import {
  dropFromBoundingSet,
  limitResource,
  loadSeccompFilter,
  resources,
  setCapabilities,
  setNoNewPrivileges,
} from './libc.ts'
import { type RunMounts, narrowRun } from './mounts.ts'
import { type Architecture, seccompFilter } from './seccomp.ts'
import { checkedCalls, deniedGroups, programs } from './syscall-policy.ts'

/**
 * What the process gives up before the plugin's code is read: mounts, capabilities, system calls,
 * memory. Capabilities belong to threads, and V8 has started some before any script runs; therefore
 * this one drops them and executes Node again.
 */
interface RightsOptions {
  readonly mounts: RunMounts
  /** Bytes of writable memory; what needs more ends, and the engine starts it again. */
  readonly maxMemoryBytes: bigint
  /** What could not be given up, such as on a kernel without seccomp. */
  readonly warn: (message: string) => void
}

const kept = capabilitySet(Object.values(neededCapabilities))

/** Gives up all of it but one: this program may still be executed again, which the caller does. */
export function reduceRights({ mounts, maxMemoryBytes, warn }: RightsOptions): void {
  attempt(warn, 'mounts', () => narrowRun(mounts))
  attempt(warn, 'memory', () => {
    limitResource(resources.DATA, maxMemoryBytes)
    // Keys are in memory.
    limitResource(resources.CORE, 0n)
  })
  attempt(warn, 'capabilities', () => {
    const bounding = readBoundingSet()
    for (const capability of capabilitiesIn(bounding & ~kept)) dropFromBoundingSet(capability)
    setCapabilities(bounding & kept)
    setNoNewPrivileges()
  })
  attempt(warn, 'system calls', () => {
    loadSeccompFilter(seccompFilter(architecture(), deniedGroups, checkedCalls))
  })
}

/** No program can be executed from here on. */
export function denyExecution(warn: RightsOptions['warn']): void {
  attempt(warn, 'system calls', () => {
    loadSeccompFilter(seccompFilter(architecture(), [programs]))
  })
}

function architecture(): Architecture {
  const { arch } = process
  if (arch === 'x64' || arch === 'arm64') return arch
  throw new Error(`there is no filter for ${arch}`)
}

/** A host that cannot do without a right still gets its network. */
function attempt(warn: RightsOptions['warn'], what: string, reduce: () => void): void {
  try {
    reduce()
  } catch (error) {
    warn(`${what}: this process keeps more rights than it needs: ${messageOf(error)}`)
  }
}
