import { expect } from 'chai'
import type { IpamStore, StoreChange } from '../../../src/ipam/ports.ts'
import type { Decision } from '../../../src/ipam/voting/ballot.ts'
import { addressItem, blockItem, type Item } from '../../../src/ipam/voting/items.ts'
import { noVotes, packVotes } from '../../../src/ipam/voting/packed-votes.ts'
import { holderOf, type Roster, type Voter } from '../../../src/ipam/voting/roster.ts'
import { Seat, type SeatAdvice } from '../../../src/ipam/voting/seat.ts'

const pool = '10.0.0.0/24'
const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name, id: `id-${name}` })) as [
  Voter,
  Voter,
  Voter,
]
const block = blockItem(pool, 3)

/** A disk whose writes take effect when the test says so. */
class HeldDisk implements IpamStore {
  readonly rows = new Map<string, unknown>()
  readonly waiting: (() => void)[] = []
  hold = false

  get<T>(table: string, key: string): T | undefined {
    return this.rows.get(`${table} ${key}`) as T | undefined
  }

  entries<T>(table: string): [string, T][] {
    const prefix = `${table} `
    return [...this.rows]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value as T])
  }

  write(changes: readonly StoreChange[]): Promise<void> {
    return new Promise((resolve) => {
      const apply = (): void => {
        for (const { table, key, value } of changes) {
          if (value === null) this.rows.delete(`${table} ${key}`)
          else this.rows.set(`${table} ${key}`, structuredClone(value))
        }
        resolve()
      }
      if (this.hold) this.waiting.push(apply)
      else apply()
    })
  }
}

const advice: SeatAdvice = {
  publishedOwner: () => null,
  lend: () => 'not ours',
  mayFound: () => true,
  newId: () => 'id-new',
  installed: () => {},
}

function rosterOf(number: number, voters: readonly Voter[]): Roster {
  return { root: 'r', founded: 1, number, tag: `t${number}`, voters, absent: [] }
}

async function seatOf(disk: HeldDisk, more: Partial<SeatAdvice> = {}): Promise<Seat> {
  const seat = new Seat(a, disk, { ...advice, ...more })
  if (seat.roster === null) await seat.install({ roster: rosterOf(1, [a, b, c]), votes: noVotes })
  return seat
}

function ask(
  seat: Seat,
  voter: Voter,
  item: Item,
  claim = 1,
  tag = 't1',
): ReturnType<Seat['vote']> {
  return seat.vote(voter, { kind: 'vote', tag, claim, exclusive: false, items: [item] })
}

async function grants(
  seat: Seat,
  voter: Voter,
  item: Item,
  claim = 1,
  tag = 't1',
): Promise<boolean> {
  const reply = await ask(seat, voter, item, claim, tag)
  return reply.kind === 'votes' && reply.refused[0] === null
}

const ballot = { counter: 1, id: 'id-b' }

describe('a seat', () => {
  it('answers only when its vote is on the disk, and knows it after a restart', async () => {
    const disk = new HeldDisk()
    const seat = await seatOf(disk)
    disk.hold = true
    let answered = false
    const asked = grants(seat, b, block).then((granted) => {
      answered = true
      return granted
    })
    await new Promise(setImmediate)
    expect(answered).to.equal(false)
    disk.hold = false
    for (const apply of disk.waiting) apply()
    expect(await asked).to.equal(true)
    const again = await seatOf(disk)
    expect(await grants(again, c, block)).to.equal(false)
    expect(await grants(again, b, block, 2)).to.equal(true)
  })

  it('gives no vote once it has promised something about the next roster, also after a restart', async () => {
    const disk = new HeldDisk()
    const seat = await seatOf(disk)
    const promise = await seat.prepare({ kind: 'prepare', after: 't1', ballot })
    expect(promise.kind).to.equal('promise')
    expect((await ask(seat, b, block)).kind).to.equal('sealed')
    expect((await ask(await seatOf(disk), b, block)).kind).to.equal('sealed')
  })

  it('hands its votes over with the promise, and votes again under the next roster', async () => {
    const disk = new HeldDisk()
    const seat = await seatOf(disk)
    await ask(seat, b, block)
    const promise = await seat.prepare({ kind: 'prepare', after: 't1', ballot })
    expect(promise).to.deep.include({
      votes: packVotes([{ item: block, holder: holderOf(b), claim: 1 }]),
    })
    await seat.install({ roster: rosterOf(2, [a, b, c]), votes: noVotes })
    expect((await ask(seat, c, blockItem(pool, 9))).kind, 'the old roster').to.equal('elsewhere')
    expect(await grants(seat, c, blockItem(pool, 9), 1, 't2')).to.equal(true)
    expect(await grants(seat, c, block, 1, 't2'), 'what it gave before still counts').to.equal(
      false,
    )
  })

  it('votes only for those on the roster, with the id they have there', async () => {
    const seat = await seatOf(new HeldDisk())
    expect((await ask(seat, { name: 'd', id: 'id-d' }, block)).kind).to.equal('elsewhere')
    expect((await ask(seat, { name: 'b', id: 'another disk' }, block)).kind).to.equal('elsewhere')
  })

  it('drops the votes of those who are off the next roster', async () => {
    const seat = await seatOf(new HeldDisk())
    await ask(seat, c, block)
    await seat.install({ roster: rosterOf(2, [a, b]), votes: noVotes })
    expect(await grants(seat, b, block, 1, 't2')).to.equal(true)
  })

  it('honours the votes that come with a roster', async () => {
    const votes = packVotes([{ item: block, holder: holderOf(c), claim: 4 }])
    const seat = await seatOf(new HeldDisk())
    await seat.install({ roster: rosterOf(2, [a, b, c]), votes })
    expect(await grants(seat, b, block, 1, 't2')).to.equal(false)
  })

  it('had no vote to give before it had a seat: what it learnt then may be given back by now', async () => {
    const disk = new HeldDisk()
    const seat = new Seat(a, disk, advice)
    const votes = packVotes([{ item: block, holder: holderOf(b), claim: 1 }])
    await seat.install({ roster: rosterOf(1, [b, c]), votes })
    expect(seat.book.holders(block).size).to.equal(1)
    await seat.install({ roster: rosterOf(2, [a, b, c]), votes: noVotes })
    expect(seat.book.size).to.equal(0)
    expect(disk.entries('ipam.votes')).to.deep.equal([])
  })

  it('keeps what is its own only if the roster’s votes say so', async () => {
    const seat = await seatOf(new HeldDisk())
    await ask(seat, a, block)
    await ask(seat, a, blockItem(pool, 4))
    const votes = packVotes([{ item: block, holder: seat.holder, claim: 1 }])
    await seat.install({ roster: rosterOf(3, [a, b, c]), votes })
    expect(seat.book.holders(block).has(seat.holder)).to.equal(true)
    expect(seat.book.holders(blockItem(pool, 4)).size).to.equal(0)
  })

  it('does not go back to an older roster', async () => {
    const seat = await seatOf(new HeldDisk())
    await seat.install({ roster: rosterOf(3, [a, b]), votes: noVotes })
    await seat.install({ roster: rosterOf(2, [a, b, c]), votes: noVotes })
    expect(seat.roster!.number).to.equal(3)
  })

  it('is another voter after it followed another cluster, whose change made it forget its votes', async () => {
    const disk = new HeldDisk()
    const seat = await seatOf(disk)
    await ask(seat, c, block)
    const was = seat.state()!
    const others = ['w', 'x', 'y', 'z'].map((name) => ({ name, id: `id-${name}` }))
    const theirs = { root: 's', founded: 2, number: 1, tag: 's1', voters: others, absent: [] }
    await seat.install({ roster: theirs, votes: noVotes })
    const fewer = { ...theirs, number: 2, tag: 's2', voters: others.slice(1) }
    await seat.install({ roster: fewer, votes: noVotes })
    await seat.install({ ...was, votes: noVotes }) // the word of one that did not vote for c
    expect(seat.roster!.tag).to.equal('t1')
    expect(seat.voter).to.deep.equal({ name: 'a', id: 'id-new' })
    expect(seat.seated).to.equal(false)
    expect(disk.get('ipam.self', 'identity')).to.deep.equal({ id: 'id-new' })
    await seat.install({ roster: rosterOf(2, [a, b, c]), votes: noVotes })
    expect(seat.voter.id, 'within one cluster it stays').to.equal('id-new')
  })

  it('keeps its promise: a smaller ballot is outbid, an accepted decision is passed on', async () => {
    const seat = await seatOf(new HeldDisk())
    const decision: Decision = { roster: rosterOf(2, [a, b]), votes: noVotes }
    const high = { counter: 5, id: 'id-c' }
    await seat.prepare({ kind: 'prepare', after: 't1', ballot: high })
    const late = await seat.prepare({ kind: 'prepare', after: 't1', ballot })
    expect(late).to.deep.equal({ kind: 'outbid', ballot: high })
    const stale = { kind: 'accept', after: 't1', ballot, decision } as never
    expect((await seat.accept(stale)).kind).to.equal('outbid')
    const fresh = { kind: 'accept', after: 't1', ballot: high, decision } as never
    expect((await seat.accept(fresh)).kind).to.equal('accepted')
    const higher = { counter: 6, id: 'id-b' }
    const promise = await seat.prepare({ kind: 'prepare', after: 't1', ballot: higher })
    expect(promise).to.deep.include({ accepted: { ballot: high, decision } })
  })

  it('takes a vote back on its holder’s word, but not one of a later claim', async () => {
    const seat = await seatOf(new HeldDisk())
    await ask(seat, b, block, 7)
    await seat.release(holderOf(c), [block], 99)
    await seat.release(holderOf(b), [block], 6)
    expect(await grants(seat, c, block), 'a late release of an earlier claim').to.equal(false)
    await seat.release(holderOf(b), [block], 7)
    expect(await grants(seat, c, block)).to.equal(true)
  })

  it('does not vote away a block that another publishes, unless that one just gave it back', async () => {
    const seat = await seatOf(new HeldDisk(), { publishedOwner: () => 'c' })
    expect(await grants(seat, b, block)).to.equal(false)
    await seat.release(holderOf(c), [block], 1)
    expect(await grants(seat, b, block)).to.equal(true)
  })

  it('protects it also from one that gives up a claim for it', async () => {
    const seat = await seatOf(new HeldDisk(), { publishedOwner: () => 'c' })
    expect(await grants(seat, b, block)).to.equal(false)
    await seat.release(holderOf(b), [block], 1)
    expect(await grants(seat, b, block, 2)).to.equal(false)
  })

  it('says of an address in its own block whether it lends it', async () => {
    const answers = { lent: true, leased: false } as const
    for (const [word, granted] of Object.entries(answers)) {
      const lend = (): 'lent' | 'leased' => word as 'lent' | 'leased'
      const seat = await seatOf(new HeldDisk(), { lend })
      const reply = await ask(seat, b, addressItem(pool, 9))
      expect(reply).to.deep.include({ kind: 'votes', lent: [granted] })
    }
  })
})
