import { Refused } from './admin-socket.ts'
import type { Status } from './status-view.ts'

/**
 * The member that a word names: its whole name, or `host3` of `host3-fc9d0ea4`. A word that names
 * none is answered as it is, for the plugin to refuse. Throws Refused when it names several.
 */
export function memberNamed({ members }: Pick<Status, 'members'>, word: string): string {
  const names = members.map(({ name }) => name)
  if (names.includes(word)) return word
  const candidates = names.filter((name) => name.replace(/-[0-9a-f]{8}$/, '') === word)
  if (candidates.length > 1)
    throw new Refused(`${word} is one of ${candidates.join(', ')}; give the whole name`)
  return candidates[0] ?? word
}
