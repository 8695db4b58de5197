import { createSecretKey, type KeyObject } from 'node:crypto'
import { MemberlistError } from './errors.ts'

/** AES-128, AES-192 or AES-256. */
const KEY_BYTES: readonly number[] = [16, 24, 32]

/**
 * Every packet may have to be tried with every key, so a ring stays short; a rotation needs two.
 */
const MAX_KEYS = 16

/**
 * The keys a cluster trusts. The first is the primary: we encrypt with it; any opens what arrives.
 * To rotate: `add` the new key on every member, then `use` it on every member, then `remove` the
 * old one. All three may be called while members run.
 */
export class Keyring {
  #keys: KeyObject[]

  /**
   * `keys[0]` becomes the primary. Throws `invalid-option` for keys that are not 16, 24 or 32
   * bytes.
   */
  constructor(keys: readonly Uint8Array[]) {
    if (keys.length === 0) throw new MemberlistError('invalid-option', 'a keyring needs a key')
    this.#keys = []
    for (const key of keys) this.add(key)
  }

  /** The keys, primary first. */
  get keys(): readonly KeyObject[] {
    return this.#keys
  }

  get primary(): KeyObject {
    return this.#keys[0]!
  }

  /** Trusts a further key. Adding one that is there does nothing. */
  add(bytes: Uint8Array): void {
    const key = toKey(bytes)
    if (this.#find(key) >= 0) return
    if (this.#keys.length >= MAX_KEYS) {
      throw new MemberlistError('invalid-option', `a keyring holds ${MAX_KEYS} keys: remove one`)
    }
    this.#keys = [...this.#keys, key]
  }

  /** Makes a key of the ring the primary. Throws `unknown-key`. */
  use(bytes: Uint8Array): void {
    const at = this.#find(toKey(bytes))
    if (at < 0)
      throw new MemberlistError('unknown-key', 'this key is not on the ring: add it first')
    const key = this.#keys[at]!
    this.#keys = [key, ...this.#keys.filter((other) => other !== key)]
  }

  /**
   * Trusts a key no more. Throws `invalid-option` for the primary; removing an unknown key does
   * nothing.
   */
  remove(bytes: Uint8Array): void {
    const at = this.#find(toKey(bytes))
    if (at === 0) {
      throw new MemberlistError('invalid-option', 'the primary key cannot go: use another first')
    }
    if (at > 0) this.#keys = this.#keys.filter((_, i) => i !== at)
  }

  #find(key: KeyObject): number {
    return this.#keys.findIndex((other) => other.equals(key))
  }
}

function toKey(bytes: Uint8Array): KeyObject {
  if (!KEY_BYTES.includes(bytes.length)) {
    throw new MemberlistError(
      'invalid-option',
      `a key has ${KEY_BYTES.join(', ')} bytes, not ${bytes.length}`,
    )
  }
  return createSecretKey(bytes)
}
