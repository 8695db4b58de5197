import { expect } from 'chai'
import type { Member, MemberlistEvent } from 'memberlist-js'
import { Cluster } from '../support/cluster.ts'
import { SEED } from '../support/seed.ts'
import { catchingUncaught } from '../support/uncaught.ts'

const line = (event: MemberlistEvent) =>
  event.type === 'lagged' ? `lagged ${event.dropped}` : `${event.type} ${event.member.name}`

async function take(changes: AsyncIterator<MemberlistEvent>, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) seen.push(line((await changes.next()).value as MemberlistEvent))
  return seen
}

describe('changes as an async iterator', () => {
  let cluster: Cluster

  beforeEach(async () => {
    cluster = new Cluster(SEED)
    await cluster.assemble(3)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('begin with those present, go on with what happens, and end with the signal', async () => {
    const controller = new AbortController()
    const changes = cluster.lists[0]!.changes({ snapshot: true, signal: controller.signal })
    const seen: string[] = []
    const reading = (async () => {
      for await (const event of changes) seen.push(line(event))
    })()
    await cluster.run(cluster.lists[2]!.leave())
    controller.abort()
    await cluster.run(reading)
    expect(seen.slice(0, 2).sort()).to.deep.equal(['join m1', 'join m2'])
    expect(seen.slice(2)).to.deep.equal(['leave m2'])
    expect(cluster.lists[0]!.listenerCount('join')).to.equal(0)
  })

  it('stop listening when the reader stops reading', async () => {
    const list = cluster.lists[0]!
    for await (const event of list.changes({ snapshot: true })) {
      expect(event.type).to.equal('join')
      break
    }
    expect(list.listenerCount('leave')).to.equal(0)
  })

  it('tell a slow reader what it missed, and keep what is newest', async () => {
    const list = cluster.lists[0]!
    const changes = list.changes({ snapshot: true })
    const other = list.members.get('m1')!
    for (let i = 0; i < 5000; i++) list.emit('suspect', { ...other, name: `s${i}` })
    const seen = await take(changes, 4099)
    expect(seen.slice(0, 2).sort()).to.deep.equal(['join m1', 'join m2'])
    expect(seen.slice(2, 4)).to.deep.equal(['lagged 904', 'suspect s904'])
    expect(seen.at(-1)).to.equal('suspect s4999')
    await changes.return!()
    expect(await changes.next()).to.deep.equal({ done: true, value: undefined })
  })

  it('begin with all who are present, however many', async () => {
    const list = cluster.lists[0]!
    const other = list.members.get('m1')!
    const members = list.members as Map<string, Member>
    for (let i = 0; i < 5000; i++) members.set(`x${i}`, { ...other, name: `x${i}` })
    const changes = list.changes({ snapshot: true })
    list.emit('suspect', other)
    const seen = await take(changes, 5003)
    expect(new Set(seen.slice(0, 5002)).size).to.equal(5002)
    expect(seen.every((each, i) => each.startsWith('join') === i < 5002)).to.equal(true)
    for (let i = 0; i < 5000; i++) members.delete(`x${i}`)
  })

  it('end when the list is closed, after what happened until then', async () => {
    const list = cluster.lists[0]!
    const read = async () => {
      const seen: string[] = []
      for await (const event of list.changes({ snapshot: true })) seen.push(line(event))
      return seen.sort()
    }
    const waiting = read()
    await cluster.clock.advance(10)
    const late = list.changes()
    list.emit('suspect', list.members.get('m1')!)
    await list.close()
    expect(await waiting).to.deep.equal(['join m1', 'join m2', 'suspect m1'])
    expect(line((await late.next()).value as MemberlistEvent)).to.equal('suspect m1')
    expect((await late.next()).done).to.equal(true)
    expect((await list.changes().next()).done).to.equal(true)
    expect(list.listenerCount('join')).to.equal(0)
  })

  it('answer each of several who wait, in order, and release them at the end', async () => {
    const list = cluster.lists[0]!
    const changes = list.changes()
    const asked = [changes.next(), changes.next(), changes.next()]
    for (const name of ['m1', 'm2']) list.emit('suspect', list.members.get(name)!)
    await changes.return!()
    const [first, second, third] = await Promise.all(asked)
    expect([first, second].map((each) => line(each!.value as MemberlistEvent))).to.deep.equal([
      'suspect m1',
      'suspect m2',
    ])
    expect(third!.done).to.equal(true)
  })

  it('a listener that throws does not disturb the list', async () => {
    const list = cluster.lists[0]!
    const caught: string[] = []
    await catchingUncaught(caught, async () => {
      list.on('leave', () => {
        throw new Error('mine')
      })
      await cluster.run(cluster.lists[2]!.leave())
      await cluster.clock.advance(1000)
    })
    expect(caught).to.deep.equal(['mine'])
    expect(list.numberOfMembers).to.equal(2)
  })
})
