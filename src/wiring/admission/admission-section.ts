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
  firstGossipKeys,
  installGossipKey,
  removeGossipKeys,
  rotationDue,
  useGossipKey,
} from '../../identity/packets/gossip-keys.ts'

/** Tokens that hold at one time; some operators make one for each group of hosts. */
const maxTokens = 64
/** Members of a cluster, those that were enrolled and have not come yet included. */
const maxEnrolled = 8192

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
}

/** What a member compares its grant with. */
export interface AdmissionView {
  readonly current: number
  readonly epochs: readonly number[]
  /** How many identities are remembered as evicted. */
  readonly evicted: number
}

export class AdmissionSection implements Section {
  readonly #members: Pick<Members, 'get' | 'isEvicted' | 'evicted'>
  #authority: Authority | null = null
  readonly #tokens = new Map<string, IssuedToken>()
  #gossip: GossipKeys | null = null
  /** When the last step of a rotation was agreed on, by the log's clock. */
  #steppedAtMs = 0
  /** A member was evicted that has the keys as they are now. */
  #rotateAgain = false
  readonly #enrolled = new Map<string, RegisteredMember>()

  constructor(members: Pick<Members, 'get' | 'isEvicted' | 'evicted'>) {
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
    /** By which a member sees that its grant is old. The keys themselves come with a grant. */
    admission: question(v.object({}), (): AdmissionView => {
      const { current = 0, keys = [] } = this.#gossip ?? {}
      const epochs = keys.map(({ epoch }) => epoch)
      return { current, epochs, evicted: this.#members.evicted().length }
    }),
  }

  /** For the authority in this process; null before a cluster was founded. */
  authorityState(voters: readonly string[]): AuthorityState | null {
    if (this.#authority === null || this.#gossip === null) return null
    return {
      key: keyPairFromPem(this.#authority.keyPem)!,
      pem: this.#authority.pem,
      keys: this.#gossip,
      voters,
      evicted: this.#members.evicted(),
      token: (wanted) => this.#tokens.get(wanted),
      enrolled: (identity) => this.#enrolled.get(identity),
      members: () => this.#present(),
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
    }
  }

  restore(snapshot: unknown): void {
    const { authority, tokens, gossip, enrolled, ...rest } = snapshot as Snapshot
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
  }

  /** The name and the address of an evicted identity are free, and it gets no further key. */
  memberGone(): void {
    for (const identity of this.#enrolled.keys())
      if (this.#members.isEvicted(identity)) {
        this.#enrolled.delete(identity)
        this.#rotateAgain = true
      }
  }

  #enrol(newcomer: RegisteredMember, used: string | null, timeMs: number): object {
    const { identity } = newcomer
    if (this.#members.isEvicted(identity)) throw new Refused('EVICTED')
    const taken = this.#present().some(
      (each) =>
        each.identity !== identity &&
        (each.name === newcomer.name || each.address === newcomer.address),
    )
    if (taken) throw new Refused('NAME_TAKEN', { member: newcomer.name })
    if (!this.#enrolled.has(identity) && this.#enrolled.size >= maxEnrolled)
      throw new Refused('QUOTA')
    if (used === null && !this.#enrolled.has(identity)) throw new Refused('UNKNOWN_MEMBER')
    if (used !== null) {
      const issued = this.#tokens.get(used)
      const isEnrolled = this.#enrolled.has(identity)
      if (tokenFault(issued, timeMs, isEnrolled) !== null) throw new Refused('NOT_HELD')
      if (!isEnrolled) this.#tokens.set(used, afterUse(issued!))
    }
    this.#enrolled.set(identity, newcomer)
    return {}
  }

  /**
   * Those that have come. A host that was enrolled and never came, because its install failed,
   * keeps its name from nobody.
   */
  #present(): RegisteredMember[] {
    return [...this.#enrolled.values()].filter(
      ({ identity }) => this.#members.get(identity) !== undefined,
    )
  }

  #step(current: number, step: string, key: string | null, timeMs: number): object {
    const before = this.#gossip
    if (before === null) throw new Refused('BAD_COMMAND')
    if (before.current !== current) return { current: before.current }
    if (step === 'install' && key === null) throw new Refused('BAD_COMMAND')
    if (step === 'install') this.#gossip = installGossipKey(before, Buffer.from(key!, 'hex'))
    else this.#gossip = step === 'use' ? useGossipKey(before) : removeGossipKeys(before)
    if (this.#gossip === before) return { current }
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
