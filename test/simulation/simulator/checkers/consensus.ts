import type { Host } from '../host.ts'
import type { Checker } from './checker.ts'

/** With so many hosts all voters are there; more than these never vote. */
const maxVoters = 5

/** All hosts are in one cluster with one leader, and as many of them vote as should. */
export const consensus: Checker = {
  name: 'consensus',
  check: (hosts) => {
    const views = hosts.flatMap((host) => viewOf(host))
    const wanted = Math.min(maxVoters, hosts.length)
    const leaders = views.filter(({ role }) => role === 'leader')
    const lines = leaders.length === 1 ? [] : [`there are ${leaders.length} leaders`]
    const [leader] = leaders
    for (const { host, clusterId, role, term, voters, missing } of views) {
      if (clusterId !== leader?.clusterId) lines.push(`${host} is in cluster ${clusterId}`)
      // A client may know voters of long ago: it asks them first, and anybody when they are gone.
      if (role !== 'client' && voters.join() !== leader?.voters.join())
        lines.push(`${host} knows as voters of term ${term}: ${voters.join(' ')}`)
      if (missing.length > 0) lines.push(`${host} misses ${missing.join(' ')}`)
    }
    const known = new Set(hosts.map(({ name }) => name))
    const strange = leader?.voters.filter((name) => !known.has(name)) ?? []
    if (strange.length > 0) lines.push(`nobody is ${strange.join(' ')}`)
    // An even number more adds nothing but another that has to answer.
    if (leader !== undefined && leader.voters.length < wanted - ((wanted + 1) % 2))
      lines.push(`there are ${leader.voters.length} voters, not ${wanted}`)
    return lines
  },
}

function viewOf({ name, process }: Host) {
  const status = process?.plugin?.consensus.status()
  return status === undefined ? [] : [{ host: name, ...status }]
}
