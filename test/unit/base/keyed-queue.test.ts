import { expect } from 'chai'
import { KeyedQueue } from '../../../src/base/keyed-queue.ts'

describe('base/keyed-queue', () => {
  it('runs tasks of one key in order, also after a failure, and keys side by side', async () => {
    const queue = new KeyedQueue()
    const log: string[] = []
    let open: () => void = () => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    const first = queue.run('a', async () => {
      await gate
      log.push('a1')
      throw new Error('a1 failed')
    })
    const second = queue.run('a', async () => void log.push('a2'))
    await queue.run('b', async () => void log.push('b1'))
    expect(log).to.deep.equal(['b1'])
    open()
    expect(await first.catch((error: Error) => error.message)).to.equal('a1 failed')
    await second
    expect(log).to.deep.equal(['b1', 'a1', 'a2'])
    await queue.idle()
    expect(queue.size).to.equal(0)
  })
})
