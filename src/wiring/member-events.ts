import type { EventKind } from '../base/codes.ts'
import type { Logger } from '../base/logger.ts'
import { durationText } from '../base/printable.ts'
import type { MemberView } from '../cluster/members/member-table.ts'

interface MemberEventsParts {
  readonly logger: Logger
  /** Whether gossip has found the members that there are. */
  readonly isSynced: () => boolean
  /** Id of the cluster; empty while none is known. */
  readonly clusterId: () => string
  readonly members: () => readonly MemberView[]
  /** What of JOIN may be a mistake, for the line that tells of a new cluster; else empty. */
  readonly joinText: string
}

type Known = Pick<MemberView, 'state' | 'sinceMs' | 'address'>

/**
 * Logs once what becomes of members: which cluster this host is in, then who joins, leaves, dies
 * and returns, and after how long. Suspicion is no event: most of it is refuted within a second.
 */
export class MemberEvents {
  readonly #parts: MemberEventsParts
  readonly #known = new Map<string, Known>()
  /** Of the cluster that was logged. */
  #clusterId = ''
  /** Of the cluster that is on the disk. */
  #before = ''

  constructor(parts: MemberEventsParts) {
    this.#parts = parts
  }

  /** The rooms have started: what is known now comes from the disk. */
  started(): void {
    this.#before = this.#parts.clusterId()
  }

  /** Members or the cluster changed, or the first exchange is done. */
  changed(): void {
    const { isSynced, clusterId, logger, members } = this.#parts
    const others = members().filter(({ self }) => !self)
    const isIn = this.#clusterId !== ''
    for (const { name, state, sinceMs, address } of others) {
      const known = this.#known.get(name)
      const isMoved = known !== undefined && known.address !== address
      if (!isMoved && (state === 'suspect' || state === known?.state)) continue
      const next = { state: state === 'suspect' ? 'alive' : state, sinceMs, address } as const
      const event = isIn ? eventOf(name, known, next) : null
      if (event !== null) logger.info(event.text, { event: event.kind, member: name })
      this.#known.set(name, next)
    }
    // Members beyond the cluster's bound are forgotten there, too.
    const names = new Set(others.map(({ name }) => name))
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
    const id = clusterId()
    if (id === '' || id === this.#clusterId || !isSynced()) return
    this.#clusterId = id
    const present = others.filter(({ state }) => state === 'alive' || state === 'suspect').length
    logger.info(this.#joinedText(id, present), { event: 'cluster-joined', cluster: id })
  }

  #joinedText(id: string, others: number): string {
    const company = `with ${others + 1} member${others === 0 ? '' : 's'}`
    if (id === this.#before) return `back in cluster ${id} ${company}`
    if (others > 0) return `joined cluster ${id} ${company}`
    return `${this.#parts.joinText}founded cluster ${id}`
  }
}

/** What became of a member whose state changed; null when that is nothing to log. */
function eventOf(
  name: string,
  before: Known | undefined,
  next: Known,
): { readonly kind: EventKind; readonly text: string } | null {
  if (before === undefined)
    return next.state === 'alive' ? { kind: 'member-joined', text: `${name} joined` } : null
  if (before.address !== next.address)
    return {
      kind: 'member-moved',
      text: `${name} has moved from ${before.address} to ${next.address}`,
    }
  const lasted = durationText(next.sinceMs - before.sinceMs)
  if (next.state === 'left') return { kind: 'member-left', text: `${name} left, after ${lasted}` }
  if (next.state === 'dead')
    return { kind: 'member-dead', text: `${name} does not answer any more, after ${lasted}` }
  if (before.state === 'dead')
    return { kind: 'member-back', text: `${name} is back, after ${lasted}` }
  return { kind: 'member-joined', text: `${name} joined` }
}

/**
 * Why this host founds a cluster, from `JOIN`: seeds are `host`, `host:port` or `[host]:port`. A
 * name is this host's when it is `localhost` or the member's, with or without its suffix.
 */
export function joinText(options: {
  readonly seeds: readonly string[]
  readonly vtep: string
  readonly member: string
}): string {
  const { seeds, vtep, member } = options
  if (seeds.length === 0) return 'no JOIN: '
  const own = new Set([vtep, '::1', 'localhost', member, member.replace(/-[0-9a-f]{8}$/, '')])
  const isOwn = (seed: string): boolean => {
    const [, inBrackets, beforePort] = /^(?:\[(.*)\]|([^:]*))(?::\d+)?$/.exec(seed) ?? []
    const host = (inBrackets ?? beforePort ?? seed).toLowerCase()
    return own.has(host) || /^127(\.\d+){3}$/.test(host)
  }
  return seeds.every(isOwn) ? 'JOIN names only this host: ' : ''
}
