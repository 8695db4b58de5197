import { type Configuration, type ServerId, limits } from './types.ts'

export const noConfiguration: Configuration = { voters: [], learners: [] }

/** How many voters are a majority. */
export function quorum({ voters }: Configuration): number {
  return Math.floor(voters.length / 2) + 1
}

/** Whether those that `has` accepts are a majority of the voters. */
export function isQuorum(configuration: Configuration, has: (id: ServerId) => boolean): boolean {
  return configuration.voters.filter(has).length >= quorum(configuration)
}

/** The greatest value that a majority of the voters has reached. */
export function quorumValue(
  configuration: Configuration,
  valueOf: (id: ServerId) => number,
): number {
  const values = configuration.voters.map(valueOf).toSorted((a, b) => b - a)
  return values[quorum(configuration) - 1] ?? 0
}

/** Voters and learners. */
export function serversOf({ voters, learners }: Configuration): ServerId[] {
  return [...voters, ...learners]
}

/**
 * Whether `to` may follow `from`: at most one voter more or less, so that each majority of one has
 * a member in each majority of the other (thesis 4.1). Learners are free.
 */
export function isSingleChange(from: Configuration, to: Configuration): boolean {
  const servers = serversOf(to)
  if (to.voters.length === 0 || servers.length > limits.maxServers) return false
  if (new Set(servers).size !== servers.length) return false
  const added = to.voters.filter((id) => !from.voters.includes(id)).length
  const removed = from.voters.filter((id) => !to.voters.includes(id)).length
  return added + removed <= 1
}
