import { expect } from 'chai'
import type { Delegate } from 'memberlist-js'
import { bytes, Cluster, present, text } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'
import { catchingUncaught } from '../../support/uncaught.ts'

describe(`the delegate (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('exchanges its state on a join and later, both ways', async () => {
    const merged: string[] = []
    const delegate = (name: string): Delegate => ({
      localState: (join) => bytes(`${name} ${join}`),
      mergeState: (state, join) => merged.push(`${name}: ${text(state)}, ${join}`),
    })
    cluster.add({ delegate: delegate('a'), config: { pushPullIntervalMs: 1000 } })
    cluster.add({ delegate: delegate('b'), config: { pushPullIntervalMs: 0 } })
    await cluster.run(cluster.joinFirst())
    expect(merged).to.deep.equal(['a: b true, true', 'b: a true, true'])
    merged.length = 0
    await cluster.until(() => merged.length === 2, 3000)
    expect(merged).to.deep.equal(['b: a false, false', 'a: b false, false'])
  })

  it('an empty state is not handed over', async () => {
    const merged: Uint8Array[] = []
    cluster.add({ delegate: { mergeState: (state) => merged.push(state) } })
    cluster.add()
    await cluster.run(cluster.joinFirst())
    expect(merged).to.deep.equal([])
  })

  it('adds to the answers to probes, and hears the answers', async () => {
    const heard: string[] = []
    cluster.add({
      delegate: {
        onAck: ({ name }, rttMs, payload) => {
          expect(rttMs).to.be.within(0.4, 2)
          heard.push(`${name} ${text(payload)}`)
        },
      },
    })
    cluster.add({ delegate: { ackPayload: () => bytes('root') } })
    await cluster.run(cluster.joinFirst())
    await cluster.until(() => heard.length > 0, 3000)
    expect(heard[0]).to.equal('m1 root')
  })

  it('may refuse members, and clusters', async () => {
    const picky = cluster.add({
      delegate: { acceptAlive: ({ name }) => name !== 'm1' || 'not m1' },
    })
    cluster.add()
    cluster.add()
    await cluster.run(cluster.joinFirst())
    await cluster.clock.advance(2000)
    expect(present(picky)).to.deep.equal(['m0', 'm2'])
    expect(picky.counters).to.have.property('alive-refused')

    const closed = cluster.add({
      delegate: { acceptMerge: (members) => `${members.length} outsiders` },
    })
    const { errors } = await cluster.run(closed.join(['10.0.0.3']))
    expect(errors[0]!.message).to.match(/we refuse it: \d outsiders/)
    expect(present(closed)).to.deep.equal(['m3'])
  })

  it('may throw: that is raised apart, and the cluster goes on', async () => {
    const failing = () => {
      throw new Error('mine')
    }
    const caught: string[] = []
    await catchingUncaught(caught, async () => {
      cluster.add({
        delegate: { mergeState: failing, ackPayload: failing, onMessage: failing, onAck: failing },
      })
      cluster.add({
        delegate: { localState: () => bytes('x'), drain: () => [new Uint8Array(5000)] },
      })
      const { contacted } = await cluster.run(cluster.lists[1]!.join(['10.0.0.1']))
      expect(contacted).to.equal(1)
      await cluster.run(cluster.lists[1]!.send('m0', bytes('x'), { reliable: true }))
      await cluster.clock.advance(5000)
    })
    expect(cluster.lists.map((list) => list.numberOfMembers)).to.deep.equal([2, 2])
    expect(caught.filter((message) => message === 'mine').length).to.be.greaterThan(5)
    expect(caught.some((message) => /drain\(\) returned 5003 bytes/.test(message))).to.equal(true)
  })

  it('must keep meta to 512 bytes', () => {
    expect(() => cluster.add({ delegate: { meta: () => new Uint8Array(513) } }))
      .to.throw()
      .with.property('code', 'payload-too-large')
  })

  it('applications of other versions stay apart', async () => {
    const a = cluster.add({ delegateVersions: [16, 16, 16] })
    const b = cluster.add()
    const { errors } = await cluster.run(b.join(['10.0.0.1']))
    expect(errors[0]!.message).to.match(/speaks delegate version/)
    expect([present(a), present(b)]).to.deep.equal([['m0'], ['m1']])
    expect(a.counters).to.have.property('push-pull-refused', 1)
  })
})
