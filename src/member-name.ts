import { hostname } from 'node:os'
import type { Random } from './base/random.ts'
import type { Store } from './store/store.ts'

/** Two hosts of one name still need two names in the cluster; 32 bits make a clash unlikely. */
const suffixBytes = 4

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
    `${host.split('.')[0]!.slice(0, 40)}-${Buffer.from(random.bytes(suffixBytes)).toString('hex')}`
  const name = setting ?? kept ?? fresh()
  if (name !== kept) await store.write([{ table: 'cluster', key: 'name', value: name }])
  return name
}
