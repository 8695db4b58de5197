import { writeFileSync } from 'node:fs'
import { errnoOf } from '../../../base/errors.ts'
import { remountProc } from '../netlink/syscall.ts'

/** Where the kernel shows each thread the settings of the network namespace that it is in. */
const sysctlRoot = '/proc/sys'

/**
 * Writes a setting below `net/` of the network namespace that this thread is in. A container has the folder
 * read-only; it is writable for that moment then.
 */
export function writeNetSysctl(name: string, value: string): void {
  const write = (): void => writeFileSync(`${sysctlRoot}/net/${name}`, value)
  try {
    write()
  } catch (error) {
    if (errnoOf(error) !== 'EROFS') throw error
    remountProc(sysctlRoot, 'writable')
    try {
      write()
    } finally {
      remountProc(sysctlRoot, 'read-only')
    }
  }
}
