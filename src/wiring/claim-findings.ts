import type { RoomFindings } from '../base/findings.ts'
import type { Transition } from '../cluster/cluster.ts'
import type { Network } from '../driver/network-store.ts'
import type { Ip } from '../net/ip.ts'
import { claimFaults } from './claim-validation.ts'

const code = 'CLAIM_IGNORED'
/** A member that makes no more such claims has been repaired, or is gone, ms. */
const lastsMs = 3_600_000

/** For `/status`. */
export interface IgnoredClaims {
  /** Since the start. */
  readonly total: number
  /** By member and kind, those of the last hour. */
  readonly list: readonly {
    readonly who: string
    readonly what: string
    readonly count: number
    readonly last: { readonly at: string; readonly text: string }
  }[]
}

/** What other members claim and what is ignored here, as findings. */
export class ClaimFindings {
  readonly #findings: RoomFindings
  #total = 0

  constructor(findings: RoomFindings) {
    this.#findings = findings
  }

  /** Looks at records that changed. `networks` are this host's, and `vtep` is its address. */
  check(batch: readonly Transition[], networks: readonly Network[], vtep: Ip): void {
    for (const transition of batch)
      for (const { who, what, text } of claimFaults(transition, networks, vtep))
        this.#raise(who, what, text, `look at the plugin of ${who}: its log and its version`)
  }

  /** Gossip found two hosts of one name; the claimant is kept out by all that know the other. */
  nameClash(name: string, known: string, claimant: string): void {
    const text = `hosts ${known} and ${claimant} both call themselves ${name}, and only one is let in`
    const remedy =
      "give one of the two another MEMBER_NAME or, if its disk is a copy of the other's, an empty state"
    this.#raise(name, 'name', text, remedy)
  }

  status(): IgnoredClaims {
    const list = this.#findings
      .list()
      .filter((finding) => finding.code === code)
      .map(({ details, times, lastAt, text, remedy }) => {
        const { member, what } = details as { member: string; what: string }
        return { who: member, what, count: times, last: { at: lastAt, text: `${text}; ${remedy}` } }
      })
    return { total: this.#total, list }
  }

  #raise(member: string, what: string, text: string, remedy: string): void {
    this.#total++
    const details = { member, what }
    this.#findings.raise(
      { code, subject: `member ${member}`, key: what, text, remedy, details },
      lastsMs,
    )
  }
}
