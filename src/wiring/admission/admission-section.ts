/**
 * The part of the replicated state by which hosts are admitted: the authority with its key, join
 * tokens, gossip keys, and who was enrolled with which key and address. Only voters hold it, and
 * its secrets leave it by no question: `authorityState` is for the voter's own process.
 */
import * as v from 'valibot'
import { count, id, list, name } from '../../consensus/state/fields.ts'
import type { Members } from '../../consensus/state/members.ts'
import { type Section, Refused, openOperation, question } from '../../consensus/state/section.ts'
import { keyPairFromPem } from '../../identity/certificates/keys.ts'
import type { AuthorityState, RegisteredMember } from '../../identity/enrolment/authority.ts'
import {
  type IssuedToken,
  afterUse,
  tokenFault,
  tokenId,
} from '../../identity/enrolment/join-token.ts'
import {
  type GossipKeys,
  type RotationStep,
  digestOfGrants,
  firstGossipKeys,
  installGossipKey,
  removeGossipKeys,
  rotationDue,
  useGossipKey,
} from '../../identity/packets/gossip-keys.ts'

/** Tokens that hold at one time; some operators make one for each group of hosts. */
const maxTokens = 64
/** Members of a cluster, those that were enrolled and have not come or have left included. */
const maxEnrolled = 8192
/** Evicted keys that are remembered; the oldest is dropped first. */
const maxEvicted = 4096

const hex = (bytes: number) => v.pipe(v.string(), v.regex(/^[0-9a-f]*$/), v.length(2 * bytes))
const text = (most: number) => v.pipe(v.string(), v.maxLength(most))

const token = v.object({
  token: v.object({ authority: v.nullable(hex(32)), secret: text(256) }),
  notAfter: v.nullable(count),
  usesLeft: v.nullable(count),
})

interface Authority {
  readonly keyPem: string
  readonly pem: string
}

interface Snapshot {
  readonly authority: Authority | null
  readonly tokens: readonly IssuedToken[]
  readonly gossip: { readonly current: number; readonly keys: readonly [number, string][] } | null
  readonly steppedAtMs: number
  readonly rotateAgain: boolean
  readonly enrolled: readonly RegisteredMember[]
  readonly evicted: readonly string[]
}

export class AdmissionSection implements Section {
  readonly #members: Pick<Members, 'named'>
  #authority: Authority | null = null
  readonly #tokens = new Map<string, IssuedToken>()
  #gossip: GossipKeys | null = null
  /** When the last step of a rotation was agreed on, by the log's clock. */
  #steppedAtMs = 0
  /** The keys as they are now are to be replaced: somebody has them who should not. */
  #rotateAgain = false
  /** By the digests of their keys, the oldest first. */
  readonly #enrolled = new Map<string, RegisteredMember>()
  readonly #evicted = new Set<string>()
  /** Null when it has to be computed. */
  #digest: string | null = null

  constructor(members: Pick<Members, 'named'>) {
    this.#members = members
  }

  readonly operations = {
    /** Founds: the first authority, token, gossip key and member. Once for a cluster. */
    foundAdmission: openOperation(
      1,
      v.object({
        keyPem: text(512),
        pem: text(4096),
        token,
        gossipKey: hex(32),
        founder: member(),
      }),
      ({ keyPem, pem, token: first, gossipKey, founder }, { timeMs }) => {
        if (this.#authority !== null) throw new Refused('IN_USE')
        this.#authority = { keyPem, pem }
        this.#tokens.set(tokenId(first.token), first)
        this.#gossip = firstGossipKeys(Buffer.from(gossipKey, 'hex'))
        this.#steppedAtMs = timeMs
        this.#enrolled.set(founder.identity, founder)
        this.#digest = null
        return {}
      },
    ),
    /** A voter has checked a newcomer's proof; counts a use of the token, if it still holds. */
    enrol: openOperation(
      1,
      v.object({ member: member(), tokenId: v.nullable(hex(8)) }),
      ({ member: newcomer, tokenId: used }, { timeMs }) => this.#enrol(newcomer, used, timeMs),
    ),
    addToken: openOperation(1, token, (issued, { timeMs }) => {
      this.#dropTokens((each) => tokenFault(each, timeMs) !== null)
      if (this.#tokens.size >= maxTokens) throw new Refused('QUOTA')
      this.#tokens.set(tokenId(issued.token), issued)
      return {}
    }),
    /** These tokens admit nobody any more; all when none is named. */
    removeTokens: openOperation(1, v.object({ ids: list(hex(8), maxTokens) }), ({ ids }) => {
      this.#dropTokens((_, name) => ids.length === 0 || ids.includes(name))
      return {}
    }),
    /** By hand: the present key, and one that is installed already, are to be replaced. */
    rotateGossipKey: openOperation(1, v.object({}), () => {
      this.#rotateAgain = true
      return {}
    }),
    /** One step of a rotation from this current epoch; a repeated one changes nothing. */
    stepGossipKey: openOperation(
      1,
      v.object({
        current: count,
        step: v.picklist(['install', 'use', 'remove']),
        key: v.nullable(hex(32)),
      }),
      ({ current, step, key }, { timeMs }) => this.#step(current, step, key, timeMs),
    ),
  }

  readonly questions = {
    /** By which a member sees that its grant is old; empty before a cluster was founded. */
    grants: question(v.object({ identity: v.optional(id) }), ({ identity = '' }) => ({
      digest: this.#digestNow(),
      address: this.#enrolled.get(identity)?.address,
    })),
  }

  /** For the authority in this process; null before a cluster was founded. */
  authorityState(
    voters: readonly string[],
    isAlive: (member: string) => boolean = () => true,
  ): AuthorityState | null {
    if (this.#authority === null || this.#gossip === null) return null
    return {
      key: keyPairFromPem(this.#authority.keyPem)!,
      pem: this.#authority.pem,
      keys: this.#gossip,
      voters,
      evicted: [...this.#evicted],
      token: (wanted) => this.#tokens.get(wanted),
      enrolled: (identity) => this.#enrolled.get(identity),
      members: () => [...this.#enrolled.values()].filter(({ name }) => isAlive(name)),
    }
  }

  /** The step of a rotation that is due; null when none is. `nowMs` is the leader's wall clock. */
  rotationDue(nowMs: number, timing: { everyMs: number; settleMs: number }): RotationStep | null {
    if (this.#gossip === null) return null
    const everyMs = this.#rotateAgain ? 0 : timing.everyMs
    return rotationDue(this.#gossip, nowMs - this.#steppedAtMs, { ...timing, everyMs })
  }

  snapshot(): Snapshot {
    const gossip = this.#gossip && {
      current: this.#gossip.current,
      keys: this.#gossip.keys.map(({ epoch, key }): [number, string] => [
        epoch,
        Buffer.from(key).toString('hex'),
      ]),
    }
    return {
      authority: this.#authority,
      tokens: [...this.#tokens.values()],
      gossip,
      steppedAtMs: this.#steppedAtMs,
      rotateAgain: this.#rotateAgain,
      enrolled: [...this.#enrolled.values()],
      evicted: [...this.#evicted],
    }
  }

  restore(snapshot: unknown): void {
    const { authority, tokens, gossip, enrolled, evicted, ...rest } = snapshot as Snapshot
    this.#authority = authority
    this.#gossip = gossip && {
      current: gossip.current,
      keys: gossip.keys.map(([epoch, key]) => ({ epoch, key: Buffer.from(key, 'hex') })),
    }
    this.#steppedAtMs = rest.steppedAtMs
    this.#rotateAgain = rest.rotateAgain
    this.#tokens.clear()
    for (const issued of tokens) this.#tokens.set(tokenId(issued.token), issued)
    this.#enrolled.clear()
    for (const each of enrolled) this.#enrolled.set(each.identity, each)
    this.#evicted.clear()
    for (const identity of evicted) this.#evicted.add(identity)
    this.#digest = null
  }

  /** The name and the address of an evicted member are free, and its key gets no further grant. */
  memberGone(_: number, evicted: string | null): void {
    if (evicted !== null) this.#retire(evicted)
  }

  #enrol(newcomer: RegisteredMember, used: string | null, timeMs: number): object {
    const { identity } = newcomer
    if (this.#evicted.has(identity)) throw new Refused('EVICTED')
    if (!this.#enrolled.has(identity) && !this.#makeRoom()) throw new Refused('QUOTA')
    if (used === null && !this.#enrolled.has(identity)) throw new Refused('UNKNOWN_MEMBER')
    if (used !== null) {
      const issued = this.#tokens.get(used)
      const isEnrolled = this.#enrolled.has(identity)
      if (tokenFault(issued, timeMs, isEnrolled) !== null) throw new Refused('NOT_HELD')
      if (!isEnrolled) this.#tokens.set(used, afterUse(issued!))
    }
    // The authority has seen to it that no live member has that name: one that lost its disk comes
    // back with another key.
    this.#retire(newcomer.name, identity)
    this.#enrolled.set(identity, newcomer)
    return {}
  }

  /** All keys of that name but `except` count no more. */
  #retire(name: string, except?: string): void {
    for (const [identity, member] of this.#enrolled)
      if (member.name === name && identity !== except) {
        this.#enrolled.delete(identity)
        this.#evicted.add(identity)
        this.#rotateAgain = true
        this.#digest = null
      }
    const [oldest] = this.#evicted
    if (this.#evicted.size > maxEvicted) this.#evicted.delete(oldest!)
  }

  /** Drops the oldest that has not come or has left, when there are too many: it needs a token. */
  #makeRoom(): boolean {
    if (this.#enrolled.size < maxEnrolled) return true
    const away = [...this.#enrolled].find(([, { name }]) => this.#members.named(name) === undefined)
    return away !== undefined && this.#enrolled.delete(away[0])
  }

  #digestNow(): string {
    if (this.#authority === null || this.#gossip === null) return ''
    return (this.#digest ??= digestOfGrants(this.#authority.pem, this.#gossip, this.#evicted))
  }

  #step(current: number, step: string, key: string | null, timeMs: number): object {
    const before = this.#gossip
    if (before === null) throw new Refused('BAD_COMMAND')
    if (before.current !== current) return { current: before.current }
    if (step === 'install' && key === null) throw new Refused('BAD_COMMAND')
    if (step === 'install') this.#gossip = installGossipKey(before, Buffer.from(key!, 'hex'))
    else this.#gossip = step === 'use' ? useGossipKey(before) : removeGossipKeys(before)
    if (this.#gossip === before) return { current }
    this.#digest = null
    this.#steppedAtMs = timeMs
    if (step === 'install') this.#rotateAgain = false
    return { current: this.#gossip.current }
  }

  #dropTokens(isOver: (issued: IssuedToken, name: string) => boolean): void {
    for (const [name, issued] of this.#tokens) if (isOver(issued, name)) this.#tokens.delete(name)
  }
}

function member() {
  return v.object({ name, identity: id, address: text(45) })
}
