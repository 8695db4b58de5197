/** From the join secret, which people choose, to the key that gossip encrypts with. */
import { scrypt } from 'node:crypto'

/** AES-256. */
const keyBytes = 32
/**
 * The same on all hosts, so it cannot be random; it only keeps this use apart from others of the
 * secret.
 */
const salt = 'ts-overlay gossip key, version 1'
/** RFC 7914's figures for interactive use: about 50 ms and 16 MiB, once at the start. */
const cost = { N: 16_384, r: 8, p: 1 }

/** A 32-byte key; the same secret gives the same key on every host. Runs off the event loop. */
export function gossipKey(secret: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(Buffer.from(secret, 'utf8'), salt, keyBytes, cost, (error, key) => {
      if (error === null) resolve(new Uint8Array(key))
      else reject(error)
    })
  })
}
