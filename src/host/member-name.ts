import { hostname } from 'node:os'
import type { Random } from '../base/random.ts'
import type { Store } from '../store/store.ts'

/** Two hosts of one name still need two names in the cluster; 32 bits make a clash unlikely. */
const suffixBytes = 4
/** So much of the host's name; with the suffix that is below the 63 that MEMBER_NAME may have. */
const hostCharactersMost = 40

/**
 * This host's name in the cluster: the setting, else the one that the store has, else the host's name
 * and a random suffix, which the store then keeps. A host must come back under its name, because its
 * votes and blocks go by it.
 */
export async function memberName(
  store: Store,
  random: Random,
  setting: string | null,
  host = hostname(),
): Promise<string> {
  const kept = store.get<string>('cluster', 'name')
  const fresh = (): string =>
    `${plainName(host)}-${Buffer.from(random.bytes(suffixBytes)).toString('hex')}`
  const name = setting ?? kept ?? fresh()
  if (name !== kept) await store.write([{ table: 'cluster', key: 'name', value: name }])
  return name
}

/** The first label of a host's name, which the kernel lets be any bytes, as a name in the cluster may be. */
function plainName(host: string): string {
  return (
    host
      .split('.')[0]!
      .replaceAll(/[^a-z0-9_-]/gi, '')
      .replace(/^[_-]+/, '')
      .slice(0, hostCharactersMost) || 'host'
  )
}
