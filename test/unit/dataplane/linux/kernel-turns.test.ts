import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'chai'
import { KernelTurns } from '../../../../src/dataplane/linux/kernel-turns.ts'

describe('turns of work on the kernel', () => {
  it('are one a turn of the event loop, in order', async () => {
    const turns = new KernelTurns()
    const seen: string[] = []
    const works = [1, 2, 3].map((n) => turns.run(() => seen.push(`work ${n}`)))
    for (let turn = 1; turn <= 4; turn++) {
      await nextTurn()
      seen.push('turn')
    }
    await Promise.all(works)
    expect(seen.indexOf('work 2')).to.be.above(seen.indexOf('turn') - 1)
    expect(seen.filter((what) => what !== 'turn')).to.deep.equal(['work 1', 'work 2', 'work 3'])
    for (let i = 1; i < seen.length; i++)
      expect([seen[i - 1], seen[i]].every((what) => what!.startsWith('work'))).to.equal(false)
  })

  it('wait while links are removed, and go before the next removal', async () => {
    const turns = new KernelTurns()
    const seen: string[] = []
    const removal = (n: number) => async (): Promise<void> => {
      seen.push(`removing ${n}`)
      for (let turn = 0; turn < 5; turn++) await nextTurn()
      seen.push(`removed ${n}`)
    }
    const removals = [1, 2].map((n) => turns.alone(removal(n)))
    await nextTurn()
    const works = [1, 2].map((n) => turns.run(() => seen.push(`work ${n}`)))
    await Promise.all([...removals, ...works])
    const [first, second] = ['removing 1 removed 1', 'removing 2 removed 2']
    expect(seen.join(' ')).to.equal(`${first} work 1 work 2 ${second}`)
  })

  it('let no removal begin while work goes on over several turns', async () => {
    const turns = new KernelTurns()
    const seen: string[] = []
    const reading = turns.run(async () => {
      for (let turn = 0; turn < 5; turn++) await nextTurn()
      seen.push('read')
    })
    const removal = turns.alone(async () => void seen.push('removed'))
    await nextTurn()
    const work = turns.run(() => seen.push('work'))
    await Promise.all([reading, removal, work])
    expect(seen).to.deep.equal(['read', 'removed', 'work'])
  })

  it('go on after work that failed, whose failure its caller gets', async () => {
    const turns = new KernelTurns()
    const fail = (): never => {
      throw new Error('made up')
    }
    const failures = [turns.run(fail), turns.alone(async () => fail())]
    for (const failure of failures)
      expect(await failure.catch((error: unknown) => (error as Error).message)).to.equal('made up')
    expect(await turns.run(() => 1)).to.equal(1)
  })
})
