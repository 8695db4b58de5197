/**
 * This member's own standing: its key, made once for each disk; its certificate, authority and
 * keys, as the last grant had them. All of it is in the store, which only root can read, and
 * nothing of it is ever logged.
 */
import type { X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import { failure } from '../base/errors.ts'
import { Every } from '../base/timers.ts'
import { type Certificate, readCertificate, readX509 } from './certificates/certificate.ts'
import { durationText, isRenewalDue } from './certificates/rules.ts'
import {
  type KeyPair,
  generateKeyPair,
  keyDigest,
  keyPairFromPem,
  pemOfKey,
} from './certificates/keys.ts'
import type { Grant } from './enrolment/messages.ts'
import type { GossipKeys } from './packets/gossip-keys.ts'
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
}

/** How often it is looked whether the certificate is to be renewed. */
const renewalLookMs = 3_600_000

export class MemberIdentity {
  readonly key: KeyPair
  /** The digest of the key: what the registry knows this host by. */
  readonly id: string
  readonly #store: IdentityStore
  #standing: Standing | null

  private constructor(store: IdentityStore, key: KeyPair) {
    this.#store = store
    this.key = key
    this.id = keyDigest(key.publicKey)
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

  /** Null before the member is enrolled. */
  get standing(): Standing | null {
    return this.#standing
  }

  /** A row beside them that another part keeps here; null when there is none. */
  kept(name: string): unknown {
    return this.#store.get(name) ?? null
  }

  async keep(name: string, value: unknown): Promise<void> {
    await this.#store.write([{ key: name, value }])
  }

  /** Takes over a grant, durably. */
  async adopt(grant: Grant): Promise<void> {
    await this.#store.write([{ key: 'grant', value: grant }])
    this.#standing = standingOf(grant, this.key)
  }
}

function standingOf(grant: Grant, key: KeyPair): Standing {
  const authority = readX509(grant.authority)
  const certificate = readCertificate(grant.certificate)
  if (authority === null || certificate === null)
    throw failure('STORE', "this member's certificate cannot be read: join it with a token again")
  return {
    certificate,
    authority,
    authorityPem: grant.authority,
    context: tlsContext({ key, pem: grant.certificate }),
    keys: {
      current: grant.currentEpoch,
      keys: grant.keys.map(({ epoch, key }) => {
        return { epoch, key: new Uint8Array(Buffer.from(key, 'base64')) }
      }),
    },
    voters: grant.voters,
    evicted: new Set(grant.evicted),
  }
}

/**
 * Renews the certificate when two thirds of its validity are over, and goes on trying. `warn` says
 * how much time is left.
 */
export function certificateRenewal(parts: {
  readonly clock: Clock
  readonly identity: MemberIdentity
  readonly renew: () => Promise<void>
  readonly warn: (text: string) => void
}): Every {
  const { clock, identity, renew, warn } = parts
  return new Every({
    clock,
    intervalMs: renewalLookMs,
    run: async () => {
      const certificate = identity.standing?.certificate
      if (certificate !== undefined && isRenewalDue(certificate, clock.wall())) await renew()
    },
    warn: (reason) => {
      const leftMs = (identity.standing?.certificate.notAfter ?? 0) - clock.wall()
      const left = leftMs > 0 ? `expires in ${durationText(leftMs)}` : 'has expired'
      warn(`this host's certificate ${left} and could not be renewed: ${reason}`)
    },
  })
}
