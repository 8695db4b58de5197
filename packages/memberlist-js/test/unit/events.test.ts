import { expect } from 'chai'
import type { MemberlistEvent } from 'memberlist-js'
import { Cluster } from '../support/cluster.ts'
import { SEED } from '../support/seed.ts'
import { catchingUncaught } from '../support/uncaught.ts'

const line = (event: MemberlistEvent) =>
  event.type === 'lagged' ? `lagged ${event.dropped}` : `${event.type} ${event.member.name}`

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

  it('tell a slow reader what it missed', async () => {
    const list = cluster.lists[0]!
    const changes = list.changes()
    const other = list.members.get('m1')!
    for (let i = 0; i < 5000; i++) list.emit('suspect', other)
    expect(line((await changes.next()).value as MemberlistEvent)).to.equal('lagged 4096')
    expect(line((await changes.next()).value as MemberlistEvent)).to.equal('suspect m1')
    await changes.return!()
    expect(await changes.next()).to.deep.equal({ done: true, value: undefined })
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
