import type { MemberState } from './ports.ts'
import { type ClusterView, memberOf } from './requests.ts'

/** Who does not answer, and what to do: every voter that is dead, gone or silent, by name. */
export function whyNoQuorum(
  { clusterId, voters }: ClusterView,
  silent: ReadonlySet<string>,
  members: readonly MemberState[],
): string {
  if (clusterId === '')
    return 'this member has not found a cluster yet; check that the hosts in JOIN run and reach each other'
  const names = voters.map(memberOf).toSorted()
  const stateOf = (name: string): string => members.find((m) => m.name === name)?.state ?? 'unknown'
  const missing = names.filter((name) => silent.has(name) || !/alive|suspect/.test(stateOf(name)))
  const all = `${names.length} voters (${names.join(', ')})`
  const away = `${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not`
  if (missing.length === 0)
    return `the ${all} answer but have not agreed on a leader yet; try again in a few seconds`
  if (missing.length < names.length / 2)
    return `a majority of the ${all} answers, ${away}, but none leads yet; try again in a few seconds`
  return (
    `no majority of the ${all} answers: ${away}. ` +
    'Start them again; if they are gone for good, run `ts-overlay recover` on a voter that is left'
  )
}
