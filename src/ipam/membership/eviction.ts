import { refusal } from '../../base/errors.ts'
import { Every } from '../../base/timers.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { IpamPorts } from '../ports.ts'

/** A leader reports how long it leads at least this often, ms, and this often in FORGET_AFTER. */
const maxTickMs = 60_000
const ticksPerEviction = 64
/** One command evicts at most this many. */
const maxEvictions = 64
/** The most characters of unknown names that an error shows. */
const maxShown = 200
const commandMs = 3000
const byHandMs = 6000

/**
 * Evicts members that are dead for `forgetAfterMs`, while this member leads. What counts is the
 * time that leaders report on their own monotonic clocks, so time without a leader evicts nobody.
 */
export class Eviction {
  readonly #ports: IpamPorts
  readonly #peers: PeerRequests
  readonly every: Every
  /** When this member's last tick was, on our clock, ms; null while it does not lead. */
  #tickedAt: number | null = null

  constructor(ports: IpamPorts, peers: PeerRequests) {
    this.#ports = ports
    this.#peers = peers
    const { clock, logger, settings } = ports
    this.every = new Every({
      clock,
      intervalMs: Math.min(maxTickMs, settings.forgetAfterMs / ticksPerEviction),
      run: () => this.#step(),
      warn: (failure) => logger.warn(`evicting dead members: ${failure}; trying again`),
    })
  }

  /** On an operator's word. Refuses with MEMBER_UNKNOWN, and with MEMBER_ALIVE without `force`. */
  async byHand(names: readonly string[], force: boolean): Promise<void> {
    const living = names.filter((name) => this.#peers.isLive(name))
    if (living.length > 0 && !force) {
      const remedy = 'stop the plugin there first, or evict with --force'
      throw refusal('MEMBER_ALIVE', `${living.join(', ')} can be reached: ${remedy}`)
    }
    const { agreement, logger } = this.#ports
    const members = await agreement.members()(byHandMs)
    const idOf = new Map(members.map(({ name, id }) => [name, id]))
    const unknown = names.filter((name) => !idOf.has(name))
    if (unknown.length > 0 || names.length > maxEvictions) {
      const shown = (unknown.length > 0 ? unknown : names).join(', ').slice(0, maxShown)
      const remedy = '"ts-overlay status" lists those it has'
      throw refusal('MEMBER_UNKNOWN', `the cluster has no member ${shown}; ${remedy}`)
    }
    const ids = names.map((name) => idOf.get(name)!)
    await agreement.evict(ids, null)(byHandMs)
    logger.warn(`evicted by hand: ${names.join(', ')}`, { event: 'member-evicted' })
  }

  async #step(): Promise<void> {
    const { agreement, clock, consensus, logger, settings } = this.#ports
    const now = clock.now()
    const before = this.#tickedAt
    this.#tickedAt = consensus.isLeader() ? now : null
    if (before === null || this.#tickedAt === null) return
    await agreement.tick(now - before)(commandMs)
    const { forgetAfterMs } = settings
    const lapsed = (await agreement.members()(commandMs))
      .filter(({ name, silentMs }) => silentMs >= forgetAfterMs && !this.#peers.isLive(name))
      .slice(0, maxEvictions)
    if (lapsed.length === 0) return
    const ids = lapsed.map(({ id }) => id)
    const outcome = await agreement.evict(ids, forgetAfterMs)(commandMs)
    if ('refused' in outcome) return
    const names = lapsed.map(({ name }) => name).join(', ')
    const after = `evicted after ${Math.round(forgetAfterMs / 1000)} s`
    logger.warn(`${after}: ${names}`, { event: 'member-evicted' })
  }
}
