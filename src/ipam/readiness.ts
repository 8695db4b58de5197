import { type Clock, sleep } from '../base/clock.ts'
import { attempt } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Holdings } from './holdings.ts'
import type { PeerRequests } from './peer-requests.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { IpamCluster } from './ports.ts'

/** After a start the first other member has this long to appear, ms. */
const appearMs = 200
/** A member that has appeared has this long to lead us to the voters, ms. */
const verifyMs = 1500
const pollMs = 20

/**
 * What a request waits for after a start. What this host has on its disk it answers with: nobody
 * can say anything to change it. One exception: this member may have been evicted by hand while it
 * was off. So before the first address it asks the voters what is its own, if there is a member to
 * be reached; when none is, or the voters are away, the addresses are given: who evicts a host by
 * hand says that it is gone. Whenever another member appears before that is known, it asks again.
 */
export class Readiness {
  readonly #holdings: Holdings
  readonly #peers: PeerRequests
  readonly #cluster: IpamCluster
  readonly #clock: Clock
  #startedAt = 0
  #isVerified = false
  #running: Promise<boolean> | null = null
  /** Members that were there at the last attempt. */
  #tried = new Set<string>()

  constructor(holdings: Holdings, peers: PeerRequests, cluster: IpamCluster, clock: Clock) {
    this.#holdings = holdings
    this.#peers = peers
    this.#cluster = cluster
    this.#clock = clock
  }

  start(): void {
    this.#startedAt = this.#clock.now()
  }

  /** Whether the voters have said in this run what is ours. */
  get isVerified(): boolean {
    return this.#isVerified
  }

  /** This member came to belong to another cluster. */
  forget(): void {
    this.#isVerified = false
    this.#tried.clear()
  }

  /** Asks the voters for all that is ours; whether they answered. Calls while one runs share it. */
  verify(): Promise<boolean> {
    this.#running ??= this.#verify().finally(() => (this.#running = null))
    return this.#running
  }

  /**
   * Before an address is given that `pool` has already on this host: fails with QUORUM when it may
   * not be.
   */
  async trust(pool: LocalPool, ip: Ip | null): Promise<void> {
    const offset = ip === null ? null : pool.offset(ip)
    if (offset !== null && pool.leases.get(offset) !== undefined) return
    if (!this.#isVerified) await this.#waitForVoters()
    const { lease } = this.#holdings.membership
    if (lease.isLapsed) await this.#holdings.membership.renew(verifyMs)
    lease.check(`an address of pool ${pool.key}`, this.#holdings.membership.failure)
  }

  async #waitForVoters(): Promise<void> {
    const until = this.#startedAt + appearMs
    const mayAppear = (): boolean => this.#clock.now() < until && !this.#isDeserted()
    while (!this.#isVerified && this.#untried().length === 0 && mayAppear()) {
      await this.#within(pollMs, this.#running)
    }
    const untried = this.#untried()
    if (this.#isVerified || untried.length === 0) return
    await this.#within(verifyMs, this.verify())
    for (const name of untried) this.#tried.add(name)
  }

  async #verify(): Promise<boolean> {
    const { membership } = this.#holdings
    return attempt(
      async () => {
        if (!membership.isRegistered && !(await membership.renew(verifyMs))) return false
        await this.#holdings.sync(verifyMs)
        this.#isVerified = true
        return true
      },
      () => false,
    )
  }

  /** Whether there are other members and all are dead. */
  #isDeserted(): boolean {
    const others = [...this.#cluster.members()].filter(({ name }) => name !== this.#cluster.self)
    return others.length > 0 && others.every(({ state }) => state === 'dead')
  }

  /** Live members that were not there at an earlier attempt. */
  #untried(): string[] {
    return Array.from(this.#cluster.members(), ({ name }) => name).filter(
      (name) => name !== this.#cluster.self && this.#peers.isLive(name) && !this.#tried.has(name),
    )
  }

  /** Resolves when `work` does, or after `ms`. */
  async #within(ms: number, work: Promise<unknown> | null): Promise<void> {
    const late = sleep(this.#clock, ms)
    await (work === null ? late : Promise.race([work, late]))
  }
}
