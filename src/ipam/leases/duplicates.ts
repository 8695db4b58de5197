import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Holdings } from '../holdings.ts'
import type { IpamPorts } from '../ports.ts'

/** An address that a container of this host and one of another member have. */
export interface Duplicate {
  readonly poolKey: string
  readonly ip: Ip
  readonly member: string
}

const maxNamed = 5
/** Who the members are: the question takes at most this, ms. */
const membersMs = 3000

/**
 * Addresses that two hosts use. That happens to members that were evicted while their containers
 * ran, and to clusters that lived apart; nothing is taken from either. Both sides see it, each from
 * the other's endpoints, and report it: in their state, once in their logs, and once in the error
 * of the next request for an address of the pool.
 */
export class Duplicates {
  readonly #ports: IpamPorts
  readonly #holdings: Holdings
  /** By key, and whether an error has named it. */
  #current = new Map<string, { readonly duplicate: Duplicate; isRaised: boolean }>()

  constructor(ports: IpamPorts, holdings: Holdings) {
    this.#ports = ports
    this.#holdings = holdings
  }

  current(): Duplicate[] {
    return Array.from(this.#current.values(), ({ duplicate }) => duplicate)
  }

  /** Looks for them. One with a dead member stands until that is evicted: its container may run. */
  async step(): Promise<void> {
    const found = this.#find()
    const isAway = found.some(({ live }) => !live)
    const members = isAway ? await this.#holdings.agreement.members()(membersMs) : []
    const registered = new Set(members.map(({ name }) => name))
    const before = this.#current
    this.#current = new Map()
    for (const { live, ...duplicate } of found) {
      const key = Object.values(duplicate).join(' ')
      const known = before.get(key)
      if (!live && (known === undefined || !registered.has(duplicate.member))) continue
      this.#current.set(key, known ?? { duplicate, isRaised: false })
      if (known !== undefined) continue
      const what = 'a container here and one of another member have the same address'
      this.#ports.logger.warn(what, { ...duplicate })
    }
  }

  /** Throws ADDRESS_CONFLICT with those of the pool that no error has named yet. */
  raise(poolKey: string): void {
    const unsaid = [...this.#current.values()].filter(
      ({ duplicate, isRaised }) => duplicate.poolKey === poolKey && !isRaised,
    )
    if (unsaid.length === 0) return
    for (const each of unsaid) each.isRaised = true
    const named = unsaid.map(({ duplicate: { ip, member } }) => `${ip} (also on ${member})`)
    const more = named.length > maxNamed ? ` and ${named.length - maxNamed} more` : ''
    throw refusal(
      'ADDRESS_CONFLICT',
      `containers of ${this.#ports.cluster.self} and of other members have the same addresses of pool ` +
        `${poolKey}: ${named.slice(0, maxNamed).join(', ')}${more}. Restart one of each two to give it ` +
        'another address. This request was not served, so that somebody reads this; it is said once, try again',
    )
  }

  #find(): (Duplicate & { live: boolean })[] {
    const { cluster } = this.#ports
    const shared = [...this.#holdings.pools.values()].filter(({ name }) => name.kind === 'shared')
    return shared.flatMap((pool) =>
      Array.from(pool.leases.entries(), ([offset]) => pool.addressAt(offset)).flatMap((ip) =>
        cluster
          .claimants(pool.key, ip)
          .map(({ member, live }) => ({ poolKey: pool.key, ip, member, live })),
      ),
    )
  }
}
