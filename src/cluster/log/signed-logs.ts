/**
 * What is let in of the logs of others: what their owners have signed. A delta has to come with a
 * signed head above all that it says; the log then holds what came against that head. Somebody in
 * between can be silent or slow, no more.
 */
import type { Clock } from '../../base/clock.ts'
import { type Packed, pack, unpack } from '../../base/bytes.ts'
import { oidOfName } from './digest.ts'
import type { Delta, SignHead } from './origin-log.ts'
import type { Replica } from './replica.ts'
import { type LogSignatures, type SignedHead, headText, leaveText } from './signed-head.ts'

/** An owner signs when it publishes: 200 times a second at most, and rarely for long. */
const checksOfOrigin = { perSecond: 100, burst: 200 }
/** Names of certificates that came with deltas, and origins whose checks are counted. */
const maxRemembered = 8192

interface SignedLogsPorts {
  readonly clock: Clock
  readonly members: { nameOf(oid: Packed): string | undefined }
  readonly replica: Replica
  readonly signatures: LogSignatures | null
}

/** How this member signs its own log; null without keys. */
export function signerOf(signatures: LogSignatures | null): SignHead | null {
  if (signatures === null) return null
  return (text) => ({ signature: pack(signatures.sign(text)), certificate: '' })
}

export class SignedLogs {
  readonly counters = { unsigned: 0, throttled: 0 }
  readonly #ports: SignedLogsPorts
  readonly #learned = new Map<Packed, string>()
  readonly #budgets = new Map<Packed, { left: number; atMs: number }>()

  constructor(ports: SignedLogsPorts) {
    this.#ports = ports
  }

  /** The delta as far as its owner stands by it; null when it does not. */
  admit(delta: Delta, byOwner: boolean): Delta | null {
    const { replica, signatures } = this.#ports
    if (signatures === null || delta.oid === replica.self.oid) return delta
    const log = replica.origin(delta.oid)?.log
    const isSameEpoch = log?.epoch === delta.epoch
    const known = isSameEpoch ? log.signed : null
    const isNew = delta.signed !== undefined && delta.signed.version > (known?.version ?? -1)
    if (isNew && !this.#isGenuine(delta, delta.signed)) return null
    const bound = (isNew ? delta.signed : known)?.version ?? -1
    const isBeyond = Math.max(delta.floor, delta.reset ?? 0, delta.ranges.at(-1)?.to ?? 0) > bound
    const isDisputed = isSameEpoch && log.disputed && !byOwner
    if (isBeyond || isDisputed || bound < 0) {
      this.counters.unsigned++
      return null
    }
    const { signed: _, ...bare } = delta
    const head = Math.min(delta.head, bound)
    return isNew ? { ...delta, head } : { ...bare, head }
  }

  /** Whether the owner has left in that epoch. */
  hasLeft(oid: Packed, epoch: number, signature: Packed): boolean {
    const { signatures } = this.#ports
    const name = this.#nameOf(oid)
    if (signatures === null) return true
    if (name === undefined || signature === '' || !this.#take(oid)) return false
    return signatures.verify(name, leaveText(oid, epoch), unpack(signature)) === true
  }

  /** This member's signature that it leaves. */
  leaving(oid: Packed, epoch: number): Packed {
    const { signatures } = this.#ports
    return signatures === null ? '' : pack(signatures.sign(leaveText(oid, epoch)))
  }

  /** For those that request a log and may not have met its owner. */
  certificateOf(oid: Packed): Packed {
    const name = this.#nameOf(oid)
    const found = name === undefined ? null : (this.#ports.signatures?.certificate(name) ?? null)
    return found === null ? '' : pack(found)
  }

  #isGenuine(delta: Delta, { certificate, ...head }: SignedHead): boolean {
    if (!this.#take(delta.oid)) {
      this.counters.throttled++
      return false
    }
    const signature = unpack(head.signature)
    const text = headText(delta, head)
    const isSigned = this.#verify(delta.oid, text, signature)
    if (isSigned !== null || certificate === '') return isSigned === true
    const signatures = this.#ports.signatures!
    const name = signatures.learn(unpack(certificate))
    if (name === null || oidOfName(name) !== delta.oid) return false
    if (this.#learned.size >= maxRemembered) this.#learned.clear()
    this.#learned.set(delta.oid, name)
    return signatures.verify(name, text, signature) === true
  }

  #verify(oid: Packed, text: Uint8Array, signature: Uint8Array): boolean | null {
    const name = this.#nameOf(oid)
    return name === undefined ? null : this.#ports.signatures!.verify(name, text, signature)
  }

  #nameOf(oid: Packed): string | undefined {
    return this.#ports.members.nameOf(oid) ?? this.#learned.get(oid)
  }

  /** Whether one more signature of an origin is checked: 0.15 ms each. */
  #take(oid: Packed): boolean {
    const { perSecond, burst } = checksOfOrigin
    const now = this.#ports.clock.now()
    const { left, atMs } = this.#budgets.get(oid) ?? { left: burst, atMs: now }
    const filled = Math.min(burst, left + ((now - atMs) * perSecond) / 1000)
    if (this.#budgets.size >= maxRemembered) this.#budgets.clear()
    this.#budgets.set(oid, { left: Math.max(0, filled - 1), atMs: now })
    return filled >= 1
  }
}
