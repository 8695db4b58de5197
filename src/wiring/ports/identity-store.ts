import type { IdentityStore } from '../../identity/member-identity.ts'
import type { Store } from '../../store/store.ts'

const table = 'identity'

/** One table of the store, which only root can read. */
export function identityStore(store: Store): IdentityStore {
  return {
    get: (key) => store.get(table, key) ?? undefined,
    write: (rows) => store.write(rows.map((row) => ({ table, ...row }))),
  }
}
