import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { type Random, pick, sample } from '../../base/random.ts'
import type { MemberState } from '../ports.ts'
import { isRecoveryOf, prevailing } from './founding.ts'
import { type ClusterView, memberOf } from '../requests.ts'

/** Between two looks at the whole membership before a cluster is merged into another one, ms. */
const secondLookMs = 10_000
const pollsAtOnce = 32
/** Members asked at a time by one that has no cluster. */
const joinSample = 8

interface MembershipParts {
  readonly self: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly members: () => readonly MemberState[]
  readonly founds: () => boolean
  /** What this member knows itself. */
  readonly view: () => ClusterView
  readonly viewOf: (member: string) => Promise<ClusterView | null>
  readonly learn: (from: string, view: ClusterView) => void
  /** Whether a leader of our cluster answers. */
  readonly isServed: () => Promise<boolean>
  readonly isLeader: () => boolean
  readonly found: () => Promise<void>
  /** Belongs to that cluster from now on, without a server. */
  readonly moveTo: (clusterId: string) => Promise<void>
  /** Merges the cluster that this member leads into another. */
  readonly dissolve: (into: string) => Promise<void>
}

/**
 * Which cluster this member belongs to: founds, joins, and finds out when it is another one now.
 */
export class Membership {
  readonly #parts: MembershipParts
  /** The last reason to wait that was logged. */
  #told = ''
  /** A cluster that prevailed at the last look, and when that was. */
  #prevailed: { readonly clusterId: string; readonly atMs: number } | null = null
  /** Another cluster's id was heard. */
  #isForeignHeard = false

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  /** A member said what it knows. */
  heard({ clusterId }: ClusterView): void {
    const own = this.#parts.view().clusterId
    if (own !== '' && clusterId !== '' && clusterId !== own) this.#isForeignHeard = true
  }

  /** Takes the next step. To be called again and again, some seconds apart. */
  async look(): Promise<void> {
    const { view, isLeader, isServed } = this.#parts
    if (view().clusterId === '') return this.#find()
    await this.#askSomebody()
    if (!this.#isForeignHeard) return
    if (isLeader()) await this.#maybeMerge()
    else if (await isServed()) this.#isForeignHeard = false
    else await this.#maybeMove()
  }

  /** The founder of the authority founds; all others join what a member that answers has. */
  async #find(): Promise<void> {
    const { founds, logger, found, moveTo, random } = this.#parts
    if (founds()) {
      logger.info('founds a cluster: this host founded its authority')
      return found()
    }
    const views = await this.#poll(sample(random, this.#others(), joinSample))
    const clusterId = prevailing(views.map((view) => view?.clusterId ?? ''))
    const text = clusterId === null ? 'waits for a member that has a cluster' : 'joins a cluster'
    if (text !== this.#told) logger.info(text)
    this.#told = text
    if (clusterId !== null) await moveTo(clusterId)
  }

  /** Views spread by one question to anybody at a time: of new voters, and of clusters that met. */
  async #askSomebody(): Promise<void> {
    const member = pick(this.#parts.random, this.#others())
    if (member !== undefined) await this.#poll([member])
  }

  /**
   * As leader: when more live members belong to another cluster, at two looks, ours is merged into
   * it. Each member is asked itself and counts once, so none can pretend to be many. The one with
   * the higher id looks first, and the other a second time, so that two never merge into each
   * other.
   */
  async #maybeMerge(): Promise<void> {
    const { view, clock, logger, dissolve } = this.#parts
    const own = view().clusterId
    const views = await this.#poll(this.#others())
    const ids = views.map((other) => other?.clusterId ?? '')
    const winner = prevailing([own, ...ids])
    this.#isForeignHeard = ids.some((id) => id !== '' && id !== own)
    const isServed = views.some((other) => other?.clusterId === winner && other?.leader !== '')
    const now = clock.now()
    if (winner === null || winner === own || !isServed) this.#prevailed = null
    else if (this.#prevailed?.clusterId !== winner)
      this.#prevailed = { clusterId: winner, atMs: now }
    else if (now - this.#prevailed.atMs >= secondLookMs * (own < winner ? 2 : 1)) {
      logger.warn(
        `two clusters met: this one is merged into ${winner}, which more members belong to`,
      )
      await dissolve(winner)
    }
  }

  /**
   * Without a leader: the voters may have moved, or somebody recovered what is left of this
   * cluster.
   */
  async #maybeMove(): Promise<void> {
    const { view, self, moveTo, logger } = this.#parts
    const { clusterId: own, voters } = view()
    const names = voters.map(memberOf).filter((name) => name !== self)
    const moved = (await this.#poll(names)).map((other) => other?.clusterId ?? '')
    const others = (await this.#poll(this.#others())).map((other) => other?.clusterId ?? '')
    const target =
      prevailing(others.filter((id) => isRecoveryOf(id, own))) ??
      prevailing(moved.filter((id) => id !== own))
    this.#isForeignHeard = others.some((id) => id !== '' && id !== own)
    if (target === null) return
    // Without these the rest is no majority.
    const isBlocked = moved.filter((id) => id === target).length >= voters.length / 2
    if (!isBlocked && !isRecoveryOf(target, own)) return
    logger.warn(`this member's cluster is ${target} now; it joins that as a newcomer`)
    await moveTo(target)
  }

  #others(): string[] {
    const { members, self } = this.#parts
    return members()
      .filter(({ name, state }) => state === 'alive' && name !== self)
      .map(({ name }) => name)
  }

  /** Asks members, some at a time. */
  async #poll(names: readonly string[]): Promise<(ClusterView | null)[]> {
    const views: (ClusterView | null)[] = []
    for (let i = 0; i < names.length; i += pollsAtOnce)
      views.push(...(await Promise.all(names.slice(i, i + pollsAtOnce).map(this.#parts.viewOf))))
    views.forEach((view, i) => view !== null && this.#parts.learn(names[i]!, view))
    return views
  }
}
