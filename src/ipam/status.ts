import type { Conflict } from './addresses/conflicts.ts'
import { addressAt, usableCount } from '../net/pool-geometry.ts'
import type { HeldPool } from './pools/held-pool.ts'
import type { Context } from './context.ts'
import { usage } from './refusals.ts'
import type { Voter } from './voting/roster.ts'

/** The room's state, as plain JSON for `/status`. */
export type IpamStatus = ReturnType<typeof statusOf>

export function statusOf(context: Context, conflicts: readonly Conflict[]) {
  const { claims, giveBack, seat, shelf } = context
  return {
    voter: { ...seat.voter, seated: seat.seated },
    roster: seat.roster && {
      number: seat.roster.number,
      cluster: seat.roster.root,
      voters: shown(context, seat.roster.voters),
      /** Dead for too long to have a vote; what they have stays theirs. */
      absent: shown(context, seat.roster.absent),
      changing: seat.sealed,
    },
    votes: {
      /** Items that we gave our vote for. */
      given: seat.book.size,
      /** Items that we are asking votes for, and items whose votes we are giving back. */
      claiming: claims.pending,
      releasing: giveBack.pending,
    },
    pools: shelf.allHeld().map((pool) => poolStatus(context, pool)),
    conflicts,
  }
}

/** Who is on the roster, with a seat or without. */
export function membersOf(context: Context): { name: string; state: string; seated: boolean }[] {
  const { roster } = context.seat
  const list = (voters: readonly Voter[], seated: boolean) =>
    shown(context, voters).map((member) => ({ ...member, seated }))
  return roster === null ? [] : [...list(roster.voters, true), ...list(roster.absent, false)]
}

/** How the cluster sees them. */
function shown({ wire }: Context, voters: readonly Voter[]): { name: string; state: string }[] {
  const states = wire.states()
  return voters.map(({ name }) => ({ name, state: states.get(name) ?? 'gone' }))
}

/** One pool of this host, for people. */
function poolStatus(context: Context, pool: HeldPool) {
  const { gateway, reserved, subPool, auto, networkId } = pool.row!
  const leases = [...pool.leases.entries()].sort((a, b) => a[0] - b[0])
  return {
    poolKey: pool.key,
    networkId,
    gateway,
    reserved,
    ipRange: subPool,
    auto,
    blockSize: pool.geometry.blockSize,
    blocks: {
      total: pool.geometry.blockCount,
      mine: [...pool.blocks().keys()].sort((a, b) => a - b),
      owners: usage(context, pool),
    },
    addresses: {
      /** That hosts may have at all, in use here, free here at once. */
      usable: usableCount(pool.geometry),
      used: leases.length,
      free: Math.max(0, pool.fresh(context.clock.now())),
      /** Used ones that other members lent. */
      borrowed: leases.filter(([, { loan }]) => loan).length,
    },
    leases: leases.map(([offset, { kind, since, loan }]) => ({
      ip: addressAt(pool.geometry, offset),
      kind,
      since: new Date(since).toISOString(),
      borrowed: loan,
    })),
  }
}
