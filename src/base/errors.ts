import type { ErrorCode } from './codes.ts'

export type { ErrorCode } from './codes.ts'

/**
 * Three kinds of error. A **refusal** is the caller's fault: it is answered and nothing changes. A
 * **failure** is the environment's (kernel, disk, another member): it is answered, and the owner of
 * the work retries. A **bug** is ours: nothing catches it, the process ends and the engine starts
 * it again.
 *
 * An OverlayError is one of the first two. Its message is for the operator: what failed, which one,
 * and what to do about it.
 */
export class OverlayError extends Error {
  override readonly name = 'OverlayError'
  readonly code: ErrorCode
  readonly kind: 'refusal' | 'failure'

  constructor(
    kind: 'refusal' | 'failure',
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
    this.kind = kind
    this.code = code
  }
}

/** The caller asked for something that cannot be; nothing was changed. */
export function refusal(code: ErrorCode, message: string): OverlayError {
  return new OverlayError('refusal', code, message)
}

/** The environment failed; a retry may succeed. */
export function failure(code: ErrorCode, message: string, cause?: unknown): OverlayError {
  return new OverlayError('failure', code, message, cause === undefined ? undefined : { cause })
}

/** A broken invariant. Never caught. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws when an invariant does not hold: that is a bug. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The name of a system call's error, such as ENOENT; empty for anything else that was thrown. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/**
 * Whether this came from the system: its errors have a code such as `ENOSPC`, or of Node's such as
 * `ERR_FS_EISDIR`.
 */
export function isSystemError(error: unknown): boolean {
  return /^(E[A-Z0-9]+$|ERR_FS_|errno )/.test(errnoOf(error))
}

/** Whether this is a bug: neither an OverlayError nor an error of the system. */
export function isBug(error: unknown): boolean {
  return !(error instanceof OverlayError) && !isSystemError(error)
}

/** The code of anything thrown: `BUG` for what is not ours. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof OverlayError ? error.code : 'BUG'
}

/** The message of anything thrown, for a log line or an answer. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * What `work` returns or resolves to; when it fails, what `recover` returns. A bug is rethrown.
 * Work that returns no promise is done in the same turn.
 */
export function attempt<T, U>(
  work: () => Promise<T>,
  recover: (message: string, error: unknown) => U,
): Promise<T | U>
export function attempt<T, U>(
  work: () => T | Promise<T>,
  recover: (message: string, error: unknown) => U,
): T | U | Promise<T | U>
export function attempt<T, U>(
  work: () => T | Promise<T>,
  recover: (message: string, error: unknown) => U,
): T | U | Promise<T | U> {
  const handle = (error: unknown): U => {
    if (isBug(error)) throw error
    return recover(messageOf(error), error)
  }
  try {
    const result = work()
    return result instanceof Promise ? result.catch(handle) : result
  } catch (error) {
    return handle(error)
  }
}
