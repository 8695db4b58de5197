/**
 * This member's own standing: its key, made once for each disk; its certificate, authority and
 * keys, as the last grant had them. All of it is in the store, which only root can read, and
 * nothing of it is ever logged.
 */
import type { X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import { failure } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import { type Certificate, readCertificate, readX509 } from './certificates/certificate.ts'
import {
  type KeyPair,
  generateKeyPair,
  keyDigest,
  keyPairFromPem,
  pemOfKey,
} from './certificates/keys.ts'
import type { Grant } from './enrolment/messages.ts'
import { type GossipKeys, digestOfGrants } from './packets/gossip-keys.ts'
import { tlsContext } from './streams/tls-stream.ts'

/** Rows of one table on this host's disk. */
export interface IdentityStore {
  get(key: string): unknown
  write(rows: readonly { readonly key: string; readonly value: unknown }[]): Promise<void>
}

/** What a member is by its grant. */
export interface Standing {
  readonly certificate: Certificate
  readonly authority: X509Certificate
  readonly authorityPem: string
  readonly context: SecureContext
  readonly keys: GossipKeys
  readonly voters: readonly string[]
  readonly evicted: ReadonlySet<string>
  /** Equal to that of the replicated state while nothing of it is old. */
  readonly digest: string
}

export class MemberIdentity {
  readonly #store: IdentityStore
  #key: KeyPair
  #standing: Standing | null

  private constructor(store: IdentityStore, key: KeyPair) {
    this.#store = store
    this.#key = key
    const grant = store.get('grant') as Grant | undefined
    this.#standing = grant === undefined ? null : standingOf(grant, key)
  }

  /**
   * Reads what is on the disk; makes a key where there is none. Throws STORE when it is damaged.
   */
  static async load(store: IdentityStore): Promise<MemberIdentity> {
    const pem = store.get('key') as string | undefined
    if (pem === undefined) {
      const key = generateKeyPair()
      await store.write([{ key: 'key', value: pemOfKey(key) }])
      return new MemberIdentity(store, key)
    }
    const key = keyPairFromPem(pem)
    if (key === null)
      throw failure('STORE', "this member's key cannot be read: empty its state and join it again")
    return new MemberIdentity(store, key)
  }

  get key(): KeyPair {
    return this.#key
  }

  /** The digest of the key: what the authority knows this host by. */
  get id(): string {
    return keyDigest(this.#key.publicKey)
  }

  /** Null before the member is enrolled. */
  get standing(): Standing | null {
    return this.#standing
  }

  /** Null while there is no certificate for that address: the host is new, or has moved. */
  standingAt(address: Ip): Standing | null {
    return this.#standing?.certificate.address === address ? this.#standing : null
  }

  /** A row beside them that another part keeps here; null when there is none. */
  kept(name: string): unknown {
    return this.#store.get(name) ?? null
  }

  async keep(name: string, value: unknown): Promise<void> {
    await this.#store.write([{ key: name, value }])
  }

  /** Takes over a grant, durably, with the key that it was given for. */
  async adopt(grant: Grant, key = this.#key): Promise<void> {
    const standing = standingOf(grant, key)
    await this.#store.write([
      { key: 'grant', value: grant },
      { key: 'key', value: pemOfKey(key) },
    ])
    this.#key = key
    this.#standing = standing
  }
}

function standingOf(grant: Grant, key: KeyPair): Standing {
  const authority = readX509(grant.authority)
  const certificate = readCertificate(grant.certificate)
  if (authority === null || certificate === null)
    throw failure('STORE', "this member's certificate cannot be read: join it with a token again")
  const keys = {
    current: grant.currentEpoch,
    keys: grant.keys.map(({ epoch, key: bytes }) => {
      return { epoch, key: new Uint8Array(Buffer.from(bytes, 'base64')) }
    }),
  }
  return {
    certificate,
    authority,
    authorityPem: grant.authority,
    context: tlsContext({ key, pem: grant.certificate }),
    keys,
    voters: grant.voters,
    evicted: new Set(grant.evicted),
    digest: digestOfGrants(grant.authority, keys, grant.evicted),
  }
}
