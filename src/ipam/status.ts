import type { Conflict } from './addresses/conflicts.ts'
import { addressAt, usableCount } from './pools/pool-geometry.ts'
import type { HeldPool } from './pools/held-pool.ts'
import type { Context } from './context.ts'
import { usage } from './refusals.ts'
import { seats } from './voting/roster.ts'

/** One pool of this host, for people. */
export interface PoolStatus {
  readonly poolKey: string
  readonly networkId: string | null
  readonly gateway: string | null
  readonly reserved: readonly string[]
  readonly ipRange: string | null
  readonly auto: boolean
  readonly blockSize: number
  readonly blocks: {
    readonly total: number
    readonly mine: readonly number[]
    /** By record, ourselves included. */
    readonly owners: readonly { owner: string; alive: boolean; blocks: number; addresses: number }[]
  }
  readonly addresses: {
    /** That hosts may have at all, in our blocks, used here, free here at once. */
    readonly usable: number
    readonly used: number
    readonly free: number
    /** Used ones that other members lent. */
    readonly borrowed: number
  }
  readonly leases: readonly { ip: string; kind: string; since: string; borrowed: boolean }[]
}

/** The room's state, as plain JSON for `/status`. */
export interface IpamStatus {
  readonly voter: { readonly name: string; readonly id: string; readonly seated: boolean }
  readonly roster: {
    readonly number: number
    readonly cluster: string
    readonly voters: readonly { name: string; state: string }[]
    readonly changing: boolean
  } | null
  readonly votes: {
    /** Items that we gave our vote for. */
    readonly given: number
    /** Items that we are asking votes for, and items whose votes we are giving back. */
    readonly claiming: number
    readonly releasing: number
  }
  readonly pools: readonly PoolStatus[]
  readonly conflicts: readonly Conflict[]
}

export function statusOf(context: Context, conflicts: readonly Conflict[]): IpamStatus {
  const { claims, giveBack, seat, shelf, wire } = context
  const { roster } = seat
  const states = wire.states()
  return {
    voter: { ...seat.voter, seated: seats(roster, seat.voter) },
    roster:
      roster === null
        ? null
        : {
            number: roster.number,
            cluster: roster.root,
            voters: roster.voters.map(({ name }) => ({ name, state: states.get(name) ?? 'gone' })),
            changing: seat.sealed,
          },
    votes: { given: seat.book.size, claiming: claims.pending, releasing: giveBack.pending },
    pools: shelf.allHeld().map((pool) => poolStatus(context, pool)),
    conflicts,
  }
}

function poolStatus(context: Context, pool: HeldPool): PoolStatus {
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
      usable: usableCount(pool.geometry),
      used: leases.length,
      free: Math.max(0, pool.fresh(context.clock.now())),
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
