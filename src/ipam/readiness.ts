import { sleep } from '../base/clock.ts'
import { attempt } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Holdings } from './holdings.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { IpamPorts } from './ports.ts'

/** After a start the first other member has this long to appear, ms. */
const appearMs = 200
/** A member that has appeared has this long to lead us to the voters, ms. */
const verifyMs = 1500
const pollMs = 20

/**
 * What a request waits for after a start. This host answers with what is on its disk, but it may
 * have been evicted by hand while it was off. So before the first address it asks the voters what
 * is its own, if there is a member to be reached, and again when another appears; when the voters
 * are away, the addresses are given: an operator who evicts a host says that it is gone.
 */
export class Readiness {
  readonly #holdings: Holdings
  readonly #ports: IpamPorts
  #startedAt = 0
  /** Whether the voters have said in this run what is ours. */
  isVerified = false
  #running: Promise<boolean> | null = null
  /** Members that were there at the last attempt. */
  #tried = new Set<string>()

  constructor(holdings: Holdings, ports: IpamPorts) {
    this.#holdings = holdings
    this.#ports = ports
  }

  start(): void {
    this.#startedAt = this.#ports.clock.now()
  }

  /** This member came to belong to another cluster. */
  forget(): void {
    this.isVerified = false
    this.#tried.clear()
  }

  /** Asks the voters for all that is ours; whether they answered. Calls while one runs share it. */
  verify(): Promise<boolean> {
    const { membership } = this.#holdings
    const ask = async (): Promise<boolean> => {
      if (!membership.isRegistered && !(await membership.renew(verifyMs))) return false
      await this.#holdings.sync(verifyMs)
      return (this.isVerified = true)
    }
    this.#running ??= attempt(ask, () => false).finally(() => (this.#running = null))
    return this.#running
  }

  /** Before an address is given that this host does not have yet. Fails with QUORUM. */
  async trust(pool: LocalPool, ip: Ip | null): Promise<void> {
    const offset = ip === null ? null : pool.offset(ip)
    if (offset !== null && pool.leases.get(offset) !== undefined) return
    if (!this.isVerified) await this.#waitForVoters()
    const { membership } = this.#holdings
    if (membership.isLapsed) await membership.renew(verifyMs)
    membership.checkLease(`an address of pool ${pool.key}`)
  }

  async #waitForVoters(): Promise<void> {
    const { clock } = this.#ports
    const until = this.#startedAt + appearMs
    while (!this.isVerified && this.#untried().length === 0 && clock.now() < until) {
      const others = this.#others()
      if (others.length > 0 && others.every(({ state }) => state === 'dead')) break
      await sleep(clock, pollMs)
    }
    const untried = this.#untried()
    if (this.isVerified || untried.length === 0) return
    await Promise.race([this.verify(), sleep(clock, verifyMs)])
    for (const name of untried) this.#tried.add(name)
  }

  #others() {
    const { cluster } = this.#ports
    return [...cluster.members()].filter(({ name }) => name !== cluster.self)
  }

  /** Live members that were not there at an earlier attempt. */
  #untried(): string[] {
    return this.#others()
      .filter(({ name, state }) => state !== 'dead' && !this.#tried.has(name))
      .map(({ name }) => name)
  }
}
