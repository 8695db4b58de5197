import { hostname } from 'node:os'
import type { Random } from '../base/random.ts'

/** Two hosts of one name still need two names in the cluster; 32 bits make a clash unlikely. */
const suffixBytes = 4
/** With the suffix that is below the 63 characters that MEMBER_NAME may have. */
const maxHostCharacters = 40

/**
 * This host's name in the cluster: the setting, else the saved one, else the host's name and a
 * random suffix. It is saved, because a host must come back under its name: its votes and blocks go
 * by it.
 */
export async function memberName(
  saved: { load(): string | undefined; save(name: string): Promise<void> },
  random: Random,
  setting: string | null,
  host = hostname(),
): Promise<string> {
  const kept = saved.load()
  const fresh = (): string =>
    `${plainName(host)}-${Buffer.from(random.bytes(suffixBytes)).toString('hex')}`
  const name = setting ?? kept ?? fresh()
  if (name !== kept) await saved.save(name)
  return name
}

/**
 * The first label of a host's name, which the kernel lets be any bytes, as a name in the cluster
 * may be.
 */
function plainName(host: string): string {
  return (
    host
      .split('.')[0]!
      .replaceAll(/[^a-z0-9_-]/gi, '')
      .replace(/^[_-]+/, '')
      .slice(0, maxHostCharacters) || 'host'
  )
}
