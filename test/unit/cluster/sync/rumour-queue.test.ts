import { expect } from 'chai'
import { RumourQueue, type Rumour } from '../../../../src/cluster/sync/rumour-queue.ts'

function item(id: string, more: Partial<Rumour> = {}): Rumour {
  return {
    kind: 'entry',
    oid: 'origin-1',
    epoch: 1,
    id,
    version: 1,
    signature: '',
    own: false,
    bytes: 10,
    ...more,
  }
}

const ids = (items: readonly Rumour[]): string => items.map(({ id }) => id).join('')

describe('cluster/gossip-queue', () => {
  it('tells everything as often as asked, then no more', () => {
    const queue = new RumourQueue(1000)
    queue.add(item('a'), 6)
    queue.add(item('b'), 3)
    expect(ids(queue.take(1000, 3))).to.equal('ab')
    expect(ids(queue.take(1000, 3))).to.equal('a')
    expect(ids(queue.take(1000, 3))).to.equal('')
    expect([queue.size, queue.bytes]).to.deep.equal([0, 0])
  })

  it('puts a newer version in the place of the older', () => {
    const queue = new RumourQueue(1000)
    queue.add(item('a'), 3)
    queue.add(item('a', { version: 2, bytes: 20 }), 6)
    queue.add(item('a', { oid: 'origin-2' }), 3)
    expect(queue.bytes).to.equal(30)
    expect(queue.take(1000, 3).map(({ version }) => version)).to.deep.equal([2, 1])
    expect(queue.size).to.equal(1)
  })

  it('prefers own news, then the least told, when not all fit', () => {
    const queue = new RumourQueue(1000)
    queue.add(item('a'), 3)
    queue.add(item('b'), 9)
    queue.add(item('c', { own: true }), 3)
    expect(ids(queue.take(20, 1))).to.equal('cb')
    expect(ids(queue.take(20, 1))).to.equal('cb')
    expect(ids(queue.take(5, 1))).to.equal('c')
    expect(ids(queue.take(20, 1))).to.equal('ab')
  })

  it('drops the most told when full, its own last', () => {
    const queue = new RumourQueue(100)
    for (let i = 0; i < 5; i++) queue.add(item(`own${i}`, { own: true }), 3)
    for (let i = 0; i < 5; i++) queue.add(item(`old${i}`), 3)
    queue.add(item('new'), 9)
    expect(queue.bytes).to.be.at.most(75)
    expect(queue.dropped).to.equal(4)
    const left = queue.take(1000, 1).map(({ id }) => id)
    expect(left).to.include('new')
    expect(left.filter((id) => id.startsWith('own'))).to.have.length(5)
    for (let i = 0; i < 50; i++) queue.add(item(`mine${i}`, { own: true }), 9)
    expect(queue.bytes).to.be.at.most(100)
    expect(queue.take(1000, 1).every(({ own }) => own)).to.equal(true)
  })

  it('takes a hundred thousand items in a moment', () => {
    const queue = new RumourQueue(64 * 1024)
    for (let i = 0; i < 100_000; i++) queue.add(item(`mine${i}`, { own: true, bytes: 40 }), 9)
    expect(queue.bytes).to.be.at.most(64 * 1024)
  })
})
