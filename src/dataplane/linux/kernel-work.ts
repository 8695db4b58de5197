import { failure, isSystemError, messageOf } from '../../base/errors.ts'

/**
 * Runs work whose system errors become KERNEL failures that name its subject. Others are thrown on.
 */
export function kernelWork<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw failure('KERNEL', `${what}: ${messageOf(error)}`, error)
  }
}
