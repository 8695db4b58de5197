import { expect } from 'chai'
import { LoadLimit } from '../../support/load-limit.ts'

/** Starts work of these loads, and lets a test end each by its index. */
function begin(limit: number, loads: readonly number[]) {
  const subject = new LoadLimit(limit)
  const running: number[] = []
  const all = loads.map((load, index) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const ended = subject.run(load, () => {
      running.push(index)
      return promise
    })
    return { end: resolve, ended }
  })
  const end = async (index: number): Promise<void> => {
    running.splice(running.indexOf(index), 1)
    all[index]!.end()
    await all[index]!.ended
    await new Promise(setImmediate)
  }
  return { running, end, settled: () => new Promise(setImmediate) }
}

describe('a limit of load', () => {
  it('runs side by side what fits, and the rest in the order in which it was asked for', async () => {
    const { running, end, settled } = begin(2, [1, 1, 1, 1])
    await settled()
    expect(running).to.deep.equal([0, 1])
    await end(1)
    expect(running).to.deep.equal([0, 2])
    await end(0)
    expect(running).to.deep.equal([2, 3])
  })

  it('lets lighter work go before what has no room yet', async () => {
    const { running, end, settled } = begin(2, [1.5, 1, 0.5])
    await settled()
    expect(running).to.deep.equal([0, 2])
    await end(0)
    expect(running).to.deep.equal([2, 1])
  })

  it('runs alone what is heavier than the limit', async () => {
    const { running, end, settled } = begin(1, [0.6, 3, 0.6])
    await settled()
    expect(running).to.deep.equal([0])
    await end(0)
    expect(running).to.deep.equal([1])
    await end(1)
    expect(running).to.deep.equal([2])
  })
})
