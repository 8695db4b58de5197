import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { EngineStory } from '../support/engine-story.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts, type TimedCall } from './plugin-hosts.ts'

/*
 * One of three hosts starts again while the other two are off: three plugins as processes. What it has on its disk it answers
 * with at once; what it cannot have without the others it says within the deadline.
 */

const obstacle = NetnsLab.obstacle()
/** No call that needs nobody else takes longer. The machine may be busy: the best of so many starts counts. */
const atOnceMs = 300
const starts = 5
/** What the plugin gives a call, ms; the engine would wait for 30 s. */
const maxAnswerMs = 8000
/** A member notes within this time that it has heard the others, ms. */
const heardMs = 3000

/** How the others are gone. */
const absences: Record<string, (all: PluginHosts, others: PluginHost[]) => Promise<void>> = {
  'whose plugins are down': async () => {},
  'that are off': async (all, others) => {
    for (const host of others) await all.cable(host, 'down')
  },
}

describe('one of three hosts that starts without the others,', function () {
  this.timeout(120_000)
  let all: PluginHosts

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`starting alone skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    all = await PluginHosts.create(3, '10.70.0.0/24')
  })
  afterEach(() => all?.close())

  /** Restarts the host; the calls for containers that begin right away, as an engine makes them that restores its own. */
  async function restore(host: PluginHost): Promise<readonly TimedCall[]> {
    await host.kill()
    await host.start('no-such-host.invalid,192.0.2.77')
    const started = await Promise.all(['a', 'b', 'c'].map((name) => host.story.start(name)))
    for (const { endpointId } of started) await host.story.stop(endpointId)
    return host.engine.calls
  }

  const refusalOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'succeeded',
      (error: Error) => error.message,
    )

  for (const [how, takeAway] of Object.entries(absences)) {
    it(`${how}: no call waits for them`, async () => {
      const [one, two, three] = all.hosts as [PluginHost, PluginHost, PluginHost]
      const given: string[] = []
      for (const { story } of all.hosts) {
        await story.createNetwork()
        given.push(story.containers.get((await story.start('stays')).endpointId)!)
      }
      await sleep(heardMs)
      for (const host of all.hosts) await host.kill()
      await takeAway(all, [two, three])

      let slowest = Infinity
      for (let n = 0; n < starts && slowest > atOnceMs; n++) {
        const calls = await restore(one)
        slowest = Math.max(...calls.map(({ ms }) => ms))
        const texts = calls.map(({ name, ms }) => `${name.split('.')[1]} ${ms}`)
        process.stdout.write(`    calls in ms: ${texts.join(', ')}\n`)
      }
      expect(slowest).to.be.at.most(atOnceMs)

      const other = new EngineStory(one.engine, '10.71.0.0/24')
      const before = one.engine.calls.length
      await other.createNetwork()
      const message = await refusalOf(other.start('in vain'))
      expect(message).to.contain('2 are needed').and.contain('host-2, host-3')
      const waiting = one.engine.calls.slice(before)
      expect(Math.max(...waiting.map(({ ms }) => ms))).to.be.lessThan(maxAnswerMs)

      for (const host of [two, three]) {
        await all.cable(host, 'up')
        await host.start('192.0.2.1')
      }
      await all.together()
      await other.start('has them again')
      for (const { story } of all.hosts) {
        for (const name of ['d', 'e', 'f'])
          given.push(story.containers.get((await story.start(name)).endpointId)!)
      }
      expect(new Set(given).size).to.equal(given.length)
    })
  }
})
