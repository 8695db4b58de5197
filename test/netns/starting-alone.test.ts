import { expect } from 'chai'
import { EngineStory } from '../support/engine-story.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'

/*
 * One of three hosts starts again while the other two are off: three plugins as processes. What it
 * has on its disk it answers with; what it cannot have without the others it refuses. That neither
 * waits is asserted in virtual time (test/unit/ipam).
 */

const obstacle = NetnsLab.obstacle()
const starts = 2

/** How the others are gone. */
const absences: Record<string, (all: PluginHosts, others: PluginHost[]) => Promise<void>> = {
  'whose plugins are down': async () => {},
  'that are off': async (all, others) => {
    for (const host of others) await all.cable(host, 'down')
  },
}

/** A member is made a voter when it has been alive for 10 s, one at a time, ms. */
const votersMs = 60_000

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

  /** Restarts the host; containers begin right away, as with an engine that restores its own. */
  async function restore(host: PluginHost): Promise<void> {
    await host.kill()
    await host.start('no-such-host.invalid,192.0.2.77')
    const started = await Promise.all(['a', 'b', 'c'].map((name) => host.story.start(name)))
    for (const { endpointId } of started) await host.story.stop(endpointId)
  }

  const refusalOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'succeeded',
      (error: Error) => error.message,
    )

  for (const [how, takeAway] of Object.entries(absences)) {
    it(`${how}: has what is on its disk, and refuses the rest`, async () => {
      const [one, two, three] = all.hosts as [PluginHost, PluginHost, PluginHost]
      const given: string[] = []
      for (const { story } of all.hosts) {
        await story.createNetwork()
        given.push(story.containers.get((await story.start('stays')).endpointId)!)
      }
      for (const host of all.hosts)
        await until(
          () => host.hasStored('heard'),
          `${host.name}: a note that it has heard the others`,
        )
      const vote = async (): Promise<boolean> => (await one.voters()).length === 3
      await until(vote, 'all three vote', votersMs, 200)
      for (const host of all.hosts) await host.kill()
      await takeAway(all, [two, three])

      for (let n = 0; n < starts; n++) await restore(one)

      const other = new EngineStory(one.engine, '10.71.0.0/24')
      const message = await refusalOf(other.createNetwork())
      expect(message).to.contain('host-2').and.contain('host-3').and.contain('recover')

      for (const host of [two, three]) {
        await all.cable(host, 'up')
        await host.start('192.0.2.1')
      }
      await all.together()
      await other.createNetwork()
      await other.start('has them again')
      for (const { story } of all.hosts) {
        for (const name of ['d', 'e', 'f'])
          given.push(story.containers.get((await story.start(name)).endpointId)!)
      }
      expect(new Set(given).size).to.equal(given.length)
    })
  }
})
