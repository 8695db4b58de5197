import { parsePoolKey } from '../../../src/net/pool-key.ts'
import { expect } from 'chai'
import { failure } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Conflicts } from '../../../src/ipam/addresses/conflicts.ts'
import type { Context } from '../../../src/ipam/context.ts'
import { HeldPool } from '../../../src/ipam/pools/held-pool.ts'
import { auditVotes } from '../../../src/ipam/voting/audit.ts'
import { Enrolment } from '../../../src/ipam/voting/enrolment.ts'
import { GiveBack } from '../../../src/ipam/voting/give-back.ts'
import { blockItem } from '../../../src/ipam/voting/items.ts'
import type { Holder } from '../../../src/ipam/voting/roster.ts'
import type { RosterChange } from '../../../src/ipam/voting/roster-change.ts'
import type { Seat } from '../../../src/ipam/voting/seat.ts'
import { VoteBook } from '../../../src/ipam/voting/vote-book.ts'
import type { Wire } from '../../../src/ipam/voting/wire.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const poolKey = '10.0.0.0/24'
const holder = 'a#1'

/** Questions to other members all end so. */
function wireThatFails(error: Error): Wire {
  const wire: Partial<Wire> = {
    ask: () => Promise.reject(error),
    states: () => new Map([['b', 'alive']]),
    others: () => ['b'],
  }
  return wire as Wire
}

function emptySeat(): Seat {
  const voter = { name: 'a', id: '1' }
  const book = new VoteBook()
  return { voter, holder, book, roster: null, free: () => Promise.resolve() } as unknown as Seat
}

/** The loops that try again what failed. */
const loops: Record<string, (error: Error) => Promise<unknown>> = {
  'getting a seat': (error) => {
    const ports = { clock: new VirtualClock(), random: seededRandom(1), logger: silentLogger }
    const change = { found: () => Promise.reject(error) } as unknown as RosterChange
    const wire = { states: () => new Map(), others: () => [] } as unknown as Wire
    const enrolment = new Enrolment(emptySeat(), wire, change, ports, () => true)
    ports.clock.now = () => 10_000
    return enrolment.step()
  },
  'giving back': (error) => {
    const store = new MemoryStore()
    const giveBack = new GiveBack(emptySeat(), wireThatFails(error), store, silentLogger)
    giveBack.note([blockItem(poolKey, 1)], 1)
    return giveBack.send()
  },
  'asking after votes that nobody seems to use': (error) => {
    const seat = emptySeat()
    seat.book.add({ item: blockItem(poolKey, 1), holder: 'b#2' as Holder, claim: 1 })
    const never = (): boolean => false
    return auditVotes(seat, wireThatFails(error), never, never)
  },
  'asking about conflicts': (error) => {
    const row = { since: 0, auto: false, gateway: null, reserved: [], subPool: null }
    const pool = new HeldPool(parsePoolKey(poolKey)!, { ...row, networkId: 'n1' })
    const lease = { since: 0, kind: 'container', loan: false } as const
    pool.lease(7, lease)
    const conflicts = new Conflicts({
      shelf: { held: () => pool, allHeld: () => [pool] },
      seat: emptySeat(),
      wire: wireThatFails(error),
      logger: silentLogger,
      clock: new VirtualClock(),
    } as unknown as Context)
    conflicts.doubt(pool, 7, lease, 'b')
    return conflicts.step()
  },
}

describe('a loop that tries again what failed', () => {
  for (const [name, run] of Object.entries(loops)) {
    it(`${name}: goes on after a failure, and not after a bug`, async () => {
      await run(failure('MEMBER_AWAY', 'b is away'))
      const bug = await run(new TypeError('a bug of ours')).then(
        () => 'nothing was thrown',
        (error: Error) => error.message,
      )
      expect(bug).to.equal('a bug of ours')
    })
  }
})
