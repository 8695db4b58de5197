import { createHash } from 'node:crypto'
import type { LogSignatures } from '../../src/cluster/log/signed-head.ts'

/** Signatures that anybody could make, as fast as a hash: for members that do not lie. */
export function testSignatures(self: string): LogSignatures {
  return {
    sign: (text) => digestOf(self, text),
    verify: (member, text, signature) => digestOf(member, text).equals(signature),
    certificate: (member) => Buffer.from(member),
    learn: (certificate) => Buffer.from(certificate).toString(),
  }
}

function digestOf(member: string, text: Uint8Array): Buffer {
  return createHash('sha512').update(member).update(text).digest()
}
