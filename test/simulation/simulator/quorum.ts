import type { Host } from './host.ts'

/**
 * Which voters have lost their disks and are not replaced yet. What is agreed on outlives them as long as they are fewer
 * than half of the voters, so no more may be lost at a time.
 */
export class Quorum {
  readonly #lost = new Set<string>()

  /** To be called now and then: a leader that does not count a host among its voters has replaced it. */
  look(hosts: readonly Host[]): void {
    const voters = votersOf(hosts)
    if (voters === null) return
    for (const name of this.#lost) if (!voters.includes(name)) this.#lost.delete(name)
  }

  /** Whether this host may lose its disk now; then it counts as lost. */
  mayLose(host: Host, hosts: readonly Host[]): boolean {
    this.look(hosts)
    const voters = votersOf(hosts)
    if (voters === null) return false
    const lost = voters.filter((name) => name === host.name || this.#lost.has(name))
    if (2 * lost.length >= voters.length) return false
    if (voters.includes(host.name)) this.#lost.add(host.name)
    return true
  }
}

/** The voters by the leader of the newest term; null when nobody leads. */
export function votersOf(hosts: readonly Host[]): readonly string[] | null {
  const views = hosts.flatMap(({ process }) => process?.plugin?.consensus.status() ?? [])
  const leaders = views.filter(({ role }) => role === 'leader')
  const [newest] = leaders.toSorted((a, b) => b.term - a.term)
  return newest?.voters ?? null
}
