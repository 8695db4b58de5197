/** Why bytes from the network were refused. Each is also the name of a counter. */
export type WireErrorCode =
  | 'truncated'
  | 'malformed'
  | 'too-large'
  | 'too-deep'
  | 'overload'
  | 'unknown-type'
  | 'bad-crc'
  | 'bad-label'
  | 'wrong-key'
  | 'replayed'
  | 'plaintext-refused'
  | 'encrypted-unexpected'

/**
 * Thrown by every decoder here, and nothing else is: bytes from the network never raise an untyped
 * error.
 */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code: WireErrorCode

  constructor(code: WireErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
