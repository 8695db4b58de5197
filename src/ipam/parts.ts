import { isUsable } from '../net/pool-geometry.ts'
import { Conflicts } from './addresses/conflicts.ts'
import { dropLostBlocks } from './addresses/reclaim.ts'
import { Shelf } from './pools/shelf.ts'
import { spare } from './blocks/spares.ts'
import { Supply } from './blocks/supply.ts'
import { Surroundings } from './blocks/surroundings.ts'
import type { Context } from './context.ts'
import { Ledger } from './ledger.ts'
import type { IpamPorts } from './ports.ts'
import { tables } from './tables.ts'
import { Claims } from './voting/claims.ts'
import { Enrolment } from './voting/enrolment.ts'
import { Fence } from './voting/fence.ts'
import { GiveBack } from './voting/give-back.ts'
import { geometryOfKey, type Item } from './voting/items.ts'
import { randomHex } from './voting/random-hex.ts'
import { type Respondents, respond } from './voting/requests.ts'
import { RollCall } from './voting/roll-call.ts'
import { memberNamed } from './voting/roster.ts'
import { RosterChange } from './voting/roster-change.ts'
import { identityKey, Seat, type SeatAdvice } from './voting/seat.ts'
import { Vacating } from './voting/vacating.ts'
import { Wire } from './voting/wire.ts'

/** Everything of this room, built and joined together. Nothing runs yet. */
export interface Parts {
  readonly context: Context
  readonly supply: Supply
  readonly conflicts: Conflicts
  readonly enrolment: Enrolment
  readonly vacating: Vacating
  readonly fence: Fence
  readonly rollCall: RollCall
  /** Whether this host owns a block, uses a borrowed address, or holds a pool. */
  readonly wanted: (item: Item) => boolean
}

/** Builds the room from what the store has. */
export function assemble(given: IpamPorts): Parts {
  const { cluster, logger, random } = given
  const store = new Ledger(given.store, logger)
  const ports = { ...given, store }
  const shelf = new Shelf(store)
  const surroundings = new Surroundings(cluster, (member) => {
    const { roster } = seat
    return roster === null || memberNamed(roster, member) !== undefined
  })
  const stored = store.get<{ id: string }>(tables.self, identityKey)
  const voter = { name: cluster.self, id: stored?.id ?? randomHex(random) }
  const seat = new Seat(
    voter,
    store,
    advice(() => context),
  )
  const wire = new Wire(ports, seat, (member) => enrolment.follow(member))
  const giveBack = new GiveBack(seat, wire, store, logger)
  const claims = new Claims(seat, wire, giveBack, ports)
  const context: Context = { ...ports, shelf, surroundings, seat, wire, claims, giveBack }
  const change = new RosterChange(seat, wire, ports)
  const enrolment = new Enrolment(seat, wire, change, ports, () => cluster.synced())
  const { forgetAfterMs, vacateAfterMs } = ports.settings
  const fence = new Fence(seat, wire, { ...ports, forgetAfterMs }, () => enrolment.following)
  return {
    context,
    fence,
    rollCall: new RollCall(seat, wire, fence, ports.clock),
    supply: new Supply(context),
    conflicts: new Conflicts(context),
    enrolment,
    vacating: new Vacating(seat, wire, change, ports, vacateAfterMs),
    wanted: (item) => wants(context, item),
  }
}

/** Writes down who we are, and answers other members from now on. */
export async function open({ context, conflicts, enrolment, wanted }: Parts): Promise<void> {
  const { claims, seat, store, wire } = context
  const value = { id: seat.voter.id }
  // A full disk must not keep a host that is known already from starting again.
  const known = store.get<typeof value>(tables.self, identityKey)?.id === value.id
  if (!known) await store.write([{ table: tables.self, key: identityKey, value }])
  const parts: Respondents = {
    seat,
    claims,
    enrolment,
    wanted,
    spare: (asked) => spare(context, asked),
    conflicts: (member, items) => conflicts.hear(member, items),
  }
  wire.listen((request) => respond(parts, request))
}

/** What the seat must know of blocks and addresses. The context is there by the time anybody asks. */
function advice(context: () => Context): SeatAdvice {
  return {
    publishedOwner: ({ poolKey, number }) =>
      context().surroundings.owners(poolKey).get(number)?.owner ?? null,
    lend: (address) => canLend(context(), address),
    mayFound: () => context().cluster.synced(),
    newId: () => randomHex(context().random),
    installed: () => {
      context().surroundings.changed()
      dropLostBlocks(context())
    },
  }
}

function canLend({ shelf, surroundings }: Context, address: Item): 'lent' | 'leased' | 'not ours' {
  const pool = shelf.held(address.poolKey)
  if (pool === undefined || !pool.ownsOffset(address.number)) return 'not ours'
  const free =
    isUsable(geometryOfKey(address.poolKey), address.number) &&
    pool.leases.get(address.number) === undefined &&
    !pool.wishes.has(address.number) &&
    !surroundings.reserved(pool).has(address.number)
  return free ? 'lent' : 'leased'
}

function wants({ shelf }: Context, item: Item): boolean {
  const pool = shelf.get(item.poolKey)
  if (pool === undefined) return false
  if (item.kind === 'pool') return pool.held
  if (item.kind === 'block') return pool.ownsBlock(item.number)
  return pool.leases.get(item.number)?.loan === true
}
