import { expect } from 'chai'
import { oidOfName } from '../../../../src/cluster/log/digest.ts'
import type { MemberState } from '../../../../src/cluster/gossip/gossip-transport.ts'
import type { Delta } from '../../../../src/cluster/log/origin-log.ts'
import { type Origin, visibleRecords } from '../../../../src/cluster/log/origin.ts'
import type { ReplicaLimits } from '../../../../src/cluster/log/origin.ts'
import { Replica } from '../../../../src/cluster/log/replica.ts'
import type { Ip } from '../../../../src/net/ip.ts'

const limits: ReplicaLimits = {
  pendingEpochMs: 5000,
  hiddenHoldMs: 600_000,
  epochTombstoneMs: 86_400_000,
  tombstoneMs: 600_000,
  maxTombstones: 4096,
}
const host = 'host-2'
const oid = oidOfName(host)
const address = '10.0.0.2' as Ip

/** A delta with one record a version: `a@1`, `b@2` … */
function delta(
  epoch: number,
  keys: string,
  { from = 0, head }: { from?: number; head?: number } = {},
): Delta {
  const entries = Array.from(keys, (id, i) => ({
    id,
    version: from + i + 1,
    value: `${id}@${from + i + 1} of ${epoch}`,
  }))
  const range = { from, to: from + keys.length, entries }
  const bare = { oid, epoch, floor: 0, head: head ?? range.to }
  return { ...bare, reset: null, repair: false, ranges: [range] }
}

class TransitionsFixture {
  readonly marked: string[] = []
  readonly replica = new Replica(
    { name: 'host-1', address: '10.0.0.1' as Ip, epoch: 1 },
    limits,
    (origin, id, previous) => this.marked.push(`${origin.name} ${id} ${previous}`),
  )
  now = 0

  member(state: MemberState, epoch: number, at: Ip = address): void {
    this.replica.member({ name: host, state, address: at, epoch }, this.now)
  }

  apply(each: Delta): string {
    return this.replica.apply(each, this.now).kind
  }

  get origin(): Origin | undefined {
    return this.replica.origin(oid)
  }

  /** What is visible of the host, keys with values. */
  get visible(): string[] {
    return this.origin === undefined
      ? []
      : Array.from(visibleRecords(this.origin), ([, value]) => value)
  }
}

describe('cluster/replica', () => {
  it('keeps records that overtake the news that their owner joined, hidden until then', () => {
    const fixture = new TransitionsFixture()
    expect(fixture.apply(delta(5, 'a'))).to.equal('applied')
    expect([fixture.visible, fixture.marked]).to.deep.equal([[], []])
    fixture.member('alive', 5)
    expect(fixture.visible).to.deep.equal(['a@1 of 5'])
    expect(fixture.marked).to.deep.equal(['host-2 a null'])
  })

  it('hides the records of the dead and shows them again at once', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.member('suspect', 5)
    expect(fixture.visible).to.deep.equal(['a@1 of 5'])
    fixture.member('dead', 5)
    expect(fixture.visible).to.deep.equal([])
    expect(fixture.apply(delta(5, 'b', { from: 1 }))).to.equal('applied')
    fixture.member('alive', 5)
    expect(fixture.visible).to.deep.equal(['a@1 of 5', 'b@2 of 5'])
  })

  it('forgets who left, and does not learn it again from those who missed it', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.member('left', 5)
    expect(fixture.origin).to.equal(undefined)
    expect(fixture.apply(delta(5, 'a'))).to.equal('over')
    fixture.member('alive', 5)
    expect(fixture.apply(delta(5, 'a'))).to.equal('over')
    expect(fixture.visible).to.deep.equal([])
    fixture.member('alive', 6)
    expect(fixture.apply(delta(6, 'c'))).to.equal('applied')
    expect(fixture.visible).to.deep.equal(['c@1 of 6'])
  })

  it('does not let a late goodbye of one run take the next one along', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 6)
    fixture.apply(delta(6, 'c'))
    expect(fixture.replica.endEpoch(oid, 5, 0)).to.equal(false)
    expect(fixture.visible).to.deep.equal(['c@1 of 6'])
  })

  it('hides a run whose member is said to have left in an earlier one, until it is heard of again', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 6)
    fixture.apply(delta(6, 'c'))
    fixture.member('left', 5)
    expect(fixture.visible).to.deep.equal([])
    fixture.member('alive', 6)
    expect(fixture.visible).to.deep.equal(['c@1 of 6'])
  })

  it('shows the old records of a restarted member until the new ones are complete', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'ab'))
    fixture.marked.length = 0
    fixture.member('alive', 6)
    fixture.apply(delta(6, 'a', { head: 2 }))
    expect(fixture.visible).to.deep.equal(['a@1 of 5', 'b@2 of 5'])
    expect(fixture.marked).to.deep.equal([])
    fixture.apply(delta(6, 'c', { from: 1 }))
    expect(fixture.visible).to.deep.equal(['a@1 of 6', 'c@2 of 6'])
    expect(fixture.marked).to.deep.equal([
      'host-2 a a@1 of 5',
      'host-2 b b@2 of 5',
      'host-2 c null',
    ])
  })

  it('swaps to an empty log when that is what the new run has', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.member('alive', 6)
    expect(fixture.visible).to.deep.equal(['a@1 of 5'])
    fixture.replica.hearOf({ oid, epoch: 6, prefix: 0, head: 0 }, 0)
    expect(fixture.visible).to.deep.equal([])
  })

  it('waits five seconds for a new run to be complete, not longer', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'ab'))
    fixture.apply(delta(6, 'a', { head: 2 }))
    fixture.replica.expire(4999, 2)
    expect(fixture.visible).to.deep.equal(['a@1 of 5', 'b@2 of 5'])
    fixture.replica.expire(5000, 2)
    expect(fixture.visible).to.deep.equal(['a@1 of 6'])
  })

  it('does not show a dead member its old records when it comes back as a new run', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.member('dead', 5)
    fixture.member('alive', 6)
    expect(fixture.visible).to.deep.equal([])
  })

  it('ignores deltas of an older run', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 6)
    expect(fixture.apply(delta(5, 'a'))).to.equal('stale')
    expect(fixture.visible).to.deep.equal([])
  })

  it('gives up on the dead after the hold, and takes them back as they were', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.member('dead', 5)
    fixture.replica.expire(limits.hiddenHoldMs, 2)
    expect([fixture.origin, fixture.replica.epochTombstones.size]).to.deep.equal([undefined, 1])
    expect(fixture.apply(delta(5, 'a'))).to.equal('over')
    fixture.member('alive', 5)
    expect(fixture.apply(delta(5, 'a'))).to.equal('applied')
    expect(fixture.visible).to.deep.equal(['a@1 of 5'])
  })

  it('forgets after a day that an epoch was over', () => {
    const fixture = new TransitionsFixture()
    fixture.replica.endEpoch(oid, 5, 0)
    fixture.replica.expire(limits.epochTombstoneMs, 1)
    expect(fixture.replica.epochTombstones.size).to.equal(0)
  })

  it('keeps no more strangers than a cluster of this size can have', () => {
    const fixture = new TransitionsFixture()
    for (let i = 0; i < 500; i++) {
      fixture.now = i
      fixture.apply({ ...delta(5, 'a'), oid: oidOfName(`stranger-${i}`) })
    }
    fixture.replica.expire(1000, 3)
    expect([...fixture.replica.origins]).to.have.length(1 + 64)
    expect(fixture.replica.origin(oidOfName('stranger-499'))).to.not.equal(undefined)
  })

  it('marks everything when a member moves to another address', () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive', 5)
    fixture.apply(delta(5, 'a'))
    fixture.marked.length = 0
    fixture.member('alive', 5, '10.0.0.99' as Ip)
    expect(fixture.marked).to.deep.equal(['host-2 a a@1 of 5'])
    expect(fixture.origin?.address).to.equal('10.0.0.99')
  })

  it('has a digest of what was heard of, and of nothing else', () => {
    const one = new TransitionsFixture()
    const other = new TransitionsFixture()
    one.member('alive', 5)
    expect(one.replica.digest.root()).to.deep.equal({ high: 0, low: 0 })
    one.apply(delta(5, 'ab'))
    other.apply(delta(5, 'b', { from: 1 }))
    expect(one.replica.digest.root()).to.not.deep.equal(other.replica.digest.root())
    other.apply(delta(5, 'a', { head: 2 }))
    expect(one.replica.digest.root()).to.deep.equal(other.replica.digest.root())
    one.replica.endEpoch(oid, 5, 0)
    expect(one.replica.digest.root()).to.deep.equal({ high: 0, low: 0 })
  })

  it('lists what is incomplete, until it is not', () => {
    const fixture = new TransitionsFixture()
    fixture.apply(delta(5, 'b', { from: 1 }))
    expect([...fixture.replica.incomplete]).to.deep.equal([[oid, 0]])
    fixture.apply(delta(5, 'a', { head: 2 }))
    expect(fixture.replica.incomplete.size).to.equal(0)
  })

  it('writes its own records again in a new epoch, and tells nobody before it is open', () => {
    const { replica } = new TransitionsFixture()
    expect(replica.summaries(() => true)).to.deep.equal([])
    replica.open()
    replica.write('a', '1', 0)
    replica.write('b', '2', 0)
    replica.write('a', null, 0)
    replica.startEpoch(9, 0)
    expect([...replica.self.log.live()]).to.deep.equal([['b', '2']])
    expect(replica.summaries(() => true)).to.deep.equal([
      { oid: oidOfName('host-1'), epoch: 9, prefix: 1, head: 1 },
    ])
  })

  it('says so when it is told of itself', () => {
    const { replica } = new TransitionsFixture()
    expect(replica.apply({ ...delta(5, 'a'), oid: oidOfName('host-1') }, 0).kind).to.equal('self')
    expect(replica.self.log.size).to.equal(0)
  })
})
