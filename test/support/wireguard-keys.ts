import { generateKeyPairSync } from 'node:crypto'

/** A key pair of WireGuard's, base64. */
export function wireguardKeys(): { privateKey: string; publicKey: string } {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64')
  return { privateKey: base64(d!), publicKey: base64(x!) }
}
