import type { HeldPool } from './pools/held-pool.ts'
import type { Shelf } from './pools/shelf.ts'
import type { Surroundings } from './blocks/surroundings.ts'
import type { Ledger } from './ledger.ts'
import type { IpamPorts } from './ports.ts'
import type { Claims } from './voting/claims.ts'
import type { GiveBack } from './voting/give-back.ts'
import type { Seat } from './voting/seat.ts'
import type { Wire } from './voting/wire.ts'

/** The parts that the rules about addresses work with; built once by `Ipam`. */
export interface Context extends IpamPorts {
  readonly store: Ledger
  readonly shelf: Shelf
  readonly surroundings: Surroundings
  readonly seat: Seat
  readonly wire: Wire
  readonly claims: Claims
  readonly giveBack: GiveBack
}

/** How many members share a pool, for shares of it: the absent have what they had. */
export function memberCount({ seat }: Context): number {
  const { roster } = seat
  return roster === null ? 1 : roster.voters.length + roster.absent.length
}

/** Tells the others what we hold of a pool now. */
export function publishPool({ cluster, surroundings }: Context, pool: HeldPool): void {
  const { notice } = pool
  if (notice === null) cluster.withdrawPool(pool.key)
  else cluster.publishPool(notice)
  surroundings.changed()
}
