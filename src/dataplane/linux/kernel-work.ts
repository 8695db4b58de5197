import { failure, isSystemError, messageOf } from '../../base/errors.ts'

/**
 * Runs work whose system errors become KERNEL failures that name its subject. Others are thrown on.
 */
export function kernelWork<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw kernelFailure(what, error)
  }
}

/** A KERNEL failure for a system error; any other error as it is. */
function kernelFailure(what: string, error: unknown): unknown {
  if (!isSystemError(error)) return error
  return failure('KERNEL', `${what}: ${messageOf(error)}`, error)
}

/** Runs work on the kernel; says what it was when it fails. */
export async function named<T>(what: string, work: () => T | Promise<T>): Promise<Awaited<T>> {
  try {
    return await work()
  } catch (error) {
    throw kernelFailure(what, error)
  }
}
