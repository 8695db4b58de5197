import { refusal } from '../../base/errors.ts'
import { Every } from '../../base/timers.ts'
import type { IpamPorts } from '../ports.ts'

/**
 * A leader reports this often how long it leads, at the least, ms; and so often in `forgetAfterMs`.
 */
const maxTickMs = 60_000
const ticksPerEviction = 64
/** One command evicts at most so many. */
const maxEvictions = 64
/** The most characters of a member's name. */
const maxNameLength = 63
/** One command may take this long, ms. */
const commandMs = 3000
/** An operator waits longer, ms. */
const byHandMs = 6000

/**
 * Evicts members that are dead for `forgetAfterMs`, while this member leads. What counts is the
 * time that leaders report on their own monotonic clocks, so time without a leader evicts nobody.
 */
export class Eviction {
  readonly #ports: IpamPorts
  readonly #every: Every
  /** When this member's last tick was, on our clock, ms; null while it does not lead. */
  #tickedAt: number | null = null

  constructor(ports: IpamPorts) {
    this.#ports = ports
    const { clock, logger, settings } = ports
    this.#every = new Every({
      clock,
      intervalMs: Math.min(maxTickMs, settings.forgetAfterMs / ticksPerEviction),
      run: () => this.#step(),
      warn: (failure) => logger.warn(`evicting dead members: ${failure}; trying again`),
    })
  }

  start(): void {
    this.#every.start()
  }

  async stop(): Promise<void> {
    this.#every.stop()
    await this.#every.idle()
  }

  async #step(): Promise<void> {
    const { agreement, clock, cluster, consensus, logger, settings } = this.#ports
    const now = clock.now()
    const before = this.#tickedAt
    this.#tickedAt = consensus.isLeader() ? now : null
    if (before === null || this.#tickedAt === null) return
    await agreement.tick(now - before, commandMs)
    const states = new Map(Array.from(cluster.members(), ({ name, state }) => [name, state]))
    const lapsed = (await agreement.members(commandMs))
      .filter(({ name, silentMs }) => {
        const isDead = (states.get(name) ?? 'dead') === 'dead'
        return isDead && silentMs >= settings.forgetAfterMs
      })
      .slice(0, maxEvictions)
    if (lapsed.length === 0) return
    const ids = lapsed.map(({ id }) => id)
    const outcome = await agreement.evict(ids, settings.forgetAfterMs, commandMs)
    if ('refused' in outcome) return
    const after = `${Math.round(settings.forgetAfterMs / 1000)} s`
    logger.warn(`evicted after ${after}: ${lapsed.map(({ name }) => name).join(', ')}`, {
      event: 'member-evicted',
    })
  }
}

/**
 * Evicts members on an operator's word that they are gone for good. Refuses with MEMBER_UNKNOWN,
 * and with MEMBER_ALIVE without `force`; fails with QUORUM.
 */
export async function evict(
  { agreement, cluster, logger }: IpamPorts,
  names: readonly string[],
  { force = false }: { readonly force?: boolean } = {},
): Promise<void> {
  const odd = names.find((name) => name === '' || name.length > maxNameLength)
  if (odd !== undefined || names.length > maxEvictions) {
    const shown = (odd ?? names.slice(0, 3).join(', ')).slice(0, maxNameLength)
    throw refusal('MEMBER_UNKNOWN', `the cluster has no members of these names: "${shown}"…`)
  }
  const states = new Map(Array.from(cluster.members(), ({ name, state }) => [name, state]))
  const living = names.filter((name) => (states.get(name) ?? 'dead') !== 'dead')
  if (living.length > 0 && !force) {
    throw refusal(
      'MEMBER_ALIVE',
      `${living.join(', ')} can be reached: stop the plugin there first, or evict with --force`,
    )
  }
  const idOf = new Map((await agreement.members(byHandMs)).map(({ name, id }) => [name, id]))
  const unknown = names.filter((name) => !idOf.has(name))
  if (unknown.length > 0) {
    throw refusal(
      'MEMBER_UNKNOWN',
      `the cluster has no member ${unknown.join(', ')}; "ts-overlay status" lists those it has`,
    )
  }
  const ids = names.map((name) => idOf.get(name)!)
  await agreement.evict(ids, null, byHandMs)
  logger.warn(`evicted by hand: ${names.join(', ')}`, { event: 'member-evicted' })
}
