/** What went wrong in a call to this package. */
export type MemberlistErrorCode =
  | 'invalid-option'
  | 'invalid-address'
  | 'unknown-member'
  | 'payload-too-large'
  | 'not-running'
  | 'timed-out'
  | 'refused'
  | 'overloaded'
  | 'unknown-key'
  | 'aborted'

/** Thrown by the public calls; `code` is stable, the message is for people. */
export class MemberlistError extends Error {
  override readonly name = 'MemberlistError'
  /** For programs. */
  readonly code: MemberlistErrorCode

  constructor(code: MemberlistErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
