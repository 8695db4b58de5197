import { expect } from 'chai'
import { failure } from '../../../src/base/errors.ts'
import { Debounce, Every, Retry, Timeout, backoffMs } from '../../../src/base/timers.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const full = () => failure('STORE', 'disk full')

/** What Node does with a rejection that nobody handles, told to a test instead of ending it. */
async function unhandledIn(work: () => Promise<void>): Promise<unknown[]> {
  const listeners = process.listeners('unhandledRejection')
  const seen: unknown[] = []
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => seen.push(reason))
  try {
    await work()
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
  return seen
}

describe('base/timers Timeout', () => {
  it('fires once, at the last time that was set', async () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    const timeout = new Timeout(clock, () => fired.push(clock.now()))
    timeout.set(10)
    timeout.set(20)
    timeout.setIfIdle(5)
    expect(timeout.isPending).to.equal(true)
    await clock.advance(100)
    expect(fired).to.deep.equal([20])
    expect(timeout.isPending).to.equal(false)
    timeout.setIfIdle(5)
    timeout.stop()
    await clock.advance(100)
    expect(fired).to.deep.equal([20])
  })
})

describe('base/timers Every', () => {
  it('runs an interval after the end of the run before, and never twice at once', async () => {
    const clock = new VirtualClock()
    const began: number[] = []
    const run = () => {
      began.push(clock.now())
      return new Promise<void>((resolve) => clock.setTimeout(resolve, 7))
    }
    const every = new Every({ clock, intervalMs: 10, run })
    every.start()
    await clock.advance(50)
    expect(began).to.deep.equal([10, 27, 44])
    every.stop()
    const idle = every.idle()
    await clock.advance(100)
    await idle
    expect(began).to.have.length(3)
  })

  it('asks for the interval each time, and is not delayed by work that returns at once', async () => {
    const clock = new VirtualClock()
    const intervals = [1, 2, 3, 1000]
    const ran: number[] = []
    const every = new Every({
      clock,
      intervalMs: () => intervals.shift()!,
      run: () => void ran.push(clock.now()),
    })
    every.start()
    await clock.advance(10)
    expect(ran).to.deep.equal([1, 3, 6])
    every.stop()
  })

  it('reports a failure once, goes on, and reports it again when it comes back', async () => {
    const clock = new VirtualClock()
    const warned: string[] = []
    const results = [full(), full(), null, full()]
    const every = new Every({
      clock,
      intervalMs: 10,
      run: async () => {
        const error = results.shift()
        if (error) throw error
      },
      warn: (text) => warned.push(text),
    })
    every.start(0)
    await clock.advance(35)
    every.stop()
    expect(results).to.deep.equal([])
    expect(warned).to.deep.equal(['disk full', 'disk full'])
  })

  it('lets a bug end the process, and does not run again', async () => {
    const clock = new VirtualClock()
    let runs = 0
    const bug = new TypeError('x is undefined')
    const every = new Every({
      clock,
      intervalMs: 10,
      run: async () => {
        runs++
        throw bug
      },
    })
    const seen = await unhandledIn(async () => {
      every.start()
      await clock.advance(100)
    })
    expect(seen).to.deep.equal([bug])
    expect(runs).to.equal(1)
  })

  it('throws the bug of work that returns no promise out of the timer', async () => {
    const clock = new VirtualClock()
    const run = (): void => {
      throw new TypeError('x is undefined')
    }
    new Every({ clock, intervalMs: 10, run }).start()
    const error = await clock.advance(10).catch((thrown: unknown) => thrown)
    expect(error).to.be.instanceOf(TypeError)
  })
})

describe('base/timers Debounce', () => {
  it('runs once for all triggers within the delay of the first', async () => {
    const clock = new VirtualClock()
    const ran: number[] = []
    const debounce = new Debounce({ clock, delayMs: 10, run: () => void ran.push(clock.now()) })
    debounce.trigger()
    await clock.advance(9)
    debounce.trigger()
    await clock.advance(50)
    debounce.trigger()
    debounce.flush()
    await clock.advance(50)
    debounce.trigger()
    debounce.stop()
    await clock.advance(50)
    expect(ran).to.deep.equal([10, 59])
  })

  it('runs again after a run during which it was triggered', async () => {
    const clock = new VirtualClock()
    const began: number[] = []
    const run = () => {
      began.push(clock.now())
      return new Promise<void>((resolve) => clock.setTimeout(resolve, 30))
    }
    const debounce = new Debounce({ clock, delayMs: 10, run })
    debounce.trigger()
    await clock.advance(20)
    debounce.trigger()
    debounce.flush()
    await clock.advance(100)
    expect(began).to.deep.equal([10, 50])
  })
})

describe('base/timers Retry', () => {
  function retrying(results: (Error | null)[]) {
    const clock = new VirtualClock()
    const ran: number[] = []
    const warned: string[] = []
    const retry = new Retry({
      clock,
      backoff: { firstMs: 100, maxMs: 300 },
      run: async () => {
        ran.push(clock.now())
        const error = results.shift()
        if (error) throw error
      },
      warn: (text) => warned.push(text),
    })
    return { clock, ran, warned, retry }
  }

  it('waits longer after each failure, up to the most, and begins again after a success', async () => {
    const { clock, ran, warned, retry } = retrying([full(), full(), full(), full(), null, full()])
    retry.start()
    await clock.advance(2000)
    expect(ran).to.deep.equal([0, 100, 300, 600, 900])
    expect(warned).to.deep.equal(['disk full'])
    expect(retry.lastFailure).to.equal(null)
    retry.start()
    await clock.advance(100)
    expect(ran.slice(5)).to.deep.equal([2000, 2100])
    expect(warned).to.deep.equal(['disk full', 'disk full'])
  })

  it('does not run after it was stopped, also when a run under way fails then', async () => {
    const { clock, ran, retry } = retrying([full(), full()])
    retry.start()
    retry.stop()
    await clock.advance(1000)
    expect(ran).to.deep.equal([0])
    expect(retry.lastFailure).to.equal('disk full')
  })

  it('takes note of work that was done elsewhere', async () => {
    const { clock, ran, warned, retry } = retrying([])
    retry.note('kernel busy')
    retry.note('kernel busy')
    expect(warned).to.deep.equal(['kernel busy'])
    await clock.advance(199)
    expect(ran).to.deep.equal([])
    retry.note(null)
    await clock.advance(1000)
    expect(ran).to.deep.equal([])
  })
})

describe('base/timers backoffMs', () => {
  it('doubles with each failure up to the most, however many there were', () => {
    const backoff = { firstMs: 100, maxMs: 1000 }
    const waits = [0, 1, 2, 3, 4, 5, 5000].map((failures) => backoffMs(backoff, failures))
    expect(waits).to.deep.equal([100, 200, 400, 800, 1000, 1000, 1000])
  })
})
