import { expect } from 'chai'
import fc from 'fast-check'
import { BroadcastQueue } from '../../../../src/core/messaging/broadcast-queue.ts'
import { bytes, text } from '../../../support/cluster.ts'

function queue(members = 1, mult = 2, capacity = Infinity) {
  const made = new BroadcastQueue(mult, () => members, capacity)
  const finished: string[] = []
  const add = (message: string, name?: string) =>
    made.add({
      message: bytes(message),
      name,
      onFinished: (sent) => finished.push(`${message} ${sent}`),
    })
  const take = (limit: number, count = 100) => made.take(2, limit, count).map(text)
  return { made, add, take, finished }
}

describe('the broadcast queue', () => {
  it('prefers what was sent least, then the longest, then the newest', () => {
    const { add, take } = queue(1, 10)
    for (const message of ['old', 'a', 'lengthy', 'new']) add(message)
    expect(take(1000)).to.deep.equal(['lengthy', 'new', 'old', 'a'])
    add('fresh')
    expect(take(1000)).to.deep.equal(['fresh', 'lengthy', 'new', 'old', 'a'])
  })

  it('fills what room there is, with the overhead of each', () => {
    const { add, take } = queue(1, 10)
    for (const message of ['12345', '1234', '12']) add(message)
    expect(take(6)).to.deep.equal(['1234'])
    expect(take(11)).to.deep.equal(['12345', '12'])
    expect(take(3)).to.deep.equal([])
  })

  it('takes no more than asked for', () => {
    const { add, take } = queue(1, 10)
    for (const message of ['a', 'b', 'c']) add(message)
    expect(take(1000, 2)).to.deep.equal(['c', 'b'])
  })

  it('ends after as many sendings as the cluster needs', () => {
    const { add, take, finished, made } = queue(9, 2)
    add('x')
    expect([take(100), take(100), take(100)]).to.deep.equal([['x'], ['x'], []])
    expect(finished).to.deep.equal(['x true'])
    expect(made.size).to.equal(0)
  })

  it('a later one of the same name replaces, also one that was sent before', () => {
    const { add, take, finished } = queue(1, 10)
    add('first', 'n')
    take(100)
    add('second', 'n')
    expect(finished).to.deep.equal(['first false'])
    expect(take(100)).to.deep.equal(['second'])
  })

  it('beyond its capacity drops what was sent most, the oldest first', () => {
    const { add, take, finished } = queue(1, 10, 3)
    for (const message of ['a', 'b', 'c']) add(message)
    take(100, 2)
    add('d')
    expect(finished).to.deep.equal(['b false'])
    add('e')
    expect(finished).to.deep.equal(['b false', 'c false'])
  })

  it('tells all when it is cleared', () => {
    const { add, finished, made } = queue()
    add('a')
    add('b', 'n')
    made.clear()
    expect(finished.sort()).to.deep.equal(['a false', 'b false'])
    expect(made.size).to.equal(0)
  })

  it('sends each exactly as often as it should, within each limit, whatever the packets', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 })
    const limits = fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(sizes, limits, (lengths, rooms) => {
        const { made, add, take, finished } = queue(50, 2)
        lengths.forEach((length, i) => add(`${i}`.padEnd(length + 2, '.')))
        const sent = new Map<string, number>()
        for (const room of [...rooms, ...Array<number>(10 * lengths.length).fill(200)]) {
          const messages = take(room)
          expect(messages.reduce((sum, m) => sum + m.length + 2, 0)).to.be.at.most(room)
          for (const message of messages) sent.set(message, (sent.get(message) ?? 0) + 1)
        }
        expect([...sent.values()].every((count) => count === 4)).to.equal(true)
        expect([sent.size, finished.length, made.size]).to.deep.equal([
          lengths.length,
          lengths.length,
          0,
        ])
      }),
      { numRuns: 100 },
    )
  })
})
