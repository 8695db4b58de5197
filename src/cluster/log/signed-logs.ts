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

/**
 * An owner signs when it publishes: 200 times a second at most, and rarely for long. What is
 * genuine counts for its owner, who alone can sign it, and what is not for the member that sent it.
 */
const checksOfMember = { perSecond: 100, burst: 200 }
/** Names of certificates that came with deltas, and members whose checks are counted. */
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
  admit(delta: Delta, sender: Packed): Delta | null {
    const { replica, signatures } = this.#ports
    if (signatures === null || delta.oid === replica.self.oid) return delta
    const log = replica.origin(delta.oid)?.log
    // It changes nothing, however often it is repeated.
    if (delta.epoch < (log?.epoch ?? 0)) return delta
    const isSameEpoch = log?.epoch === delta.epoch
    const known = isSameEpoch ? log.signed : null
    const isNew = delta.signed !== undefined && delta.signed.version > (known?.version ?? -1)
    if (isNew && !this.#isGenuine(delta, delta.signed, sender)) return null
    const bound = (isNew ? delta.signed : known)?.version ?? -1
    const isBeyond = Math.max(delta.floor, delta.reset ?? 0, delta.ranges.at(-1)?.to ?? 0) > bound
    const isDisputed = isSameEpoch && log.disputed && sender !== delta.oid
    if (isBeyond || isDisputed || bound < 0) {
      this.counters.unsigned++
      return null
    }
    const { signed: _, ...bare } = delta
    const head = Math.min(delta.head, bound)
    return isNew ? { ...delta, head } : { ...bare, head }
  }

  /** Whether the owner has left in that epoch. */
  hasLeft(oid: Packed, epoch: number, signature: Packed, sender: Packed): boolean {
    const { signatures } = this.#ports
    const name = this.#nameOf(oid)
    if (signatures === null) return true
    if (name === undefined || signature === '' || this.#left(sender) < 1) return false
    this.#spend(sender)
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

  #isGenuine(delta: Delta, signed: SignedHead, sender: Packed): boolean {
    if (this.#left(sender) < 1 || this.#left(delta.oid) < 1) {
      this.counters.throttled++
      return false
    }
    const isSigned = this.#isSigned(delta, signed)
    if (isSigned !== null) this.#spend(isSigned ? delta.oid : sender)
    return isSigned === true
  }

  /** Null when nothing could be checked: its owner's key is not known. */
  #isSigned(delta: Delta, { certificate, ...head }: SignedHead): boolean | null {
    const signature = unpack(head.signature)
    const text = headText(delta, head)
    const isSigned = this.#verify(delta.oid, text, signature)
    if (isSigned !== null || certificate === '') return isSigned
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

  /** How many more signatures are checked for a member now: 0.15 ms each. */
  #left(oid: Packed): number {
    const { perSecond, burst } = checksOfMember
    const now = this.#ports.clock.now()
    const { left, atMs } = this.#budgets.get(oid) ?? { left: burst, atMs: now }
    return Math.min(burst, left + ((now - atMs) * perSecond) / 1000)
  }

  #spend(oid: Packed): void {
    const left = this.#left(oid) - 1
    if (this.#budgets.size >= maxRemembered) this.#budgets.clear()
    this.#budgets.set(oid, { left, atMs: this.#ports.clock.now() })
  }
}
