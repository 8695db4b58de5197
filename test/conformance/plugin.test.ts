import { expect } from 'chai'
import { addressSpaces } from '../../src/net/pool-id.ts'
import { FakeEngine, engineVersions } from '../support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'
import { replay, scenariosOf } from './recordings.ts'

/** How long the kernel may keep an overlay that has lost its last endpoint. */
const lingerMs = 3_000

describe('the whole plugin', () => {
  let subject: ServerUnderTest
  let lone: LonePlugin

  beforeEach(async () => {
    lone = await startLonePlugin()
    // Whichever plugin is there when the call comes: some tests start another.
    const handlers = {
      get network() {
        return lone.plugin.handlers.network
      },
      get ipam() {
        return lone.plugin.handlers.ipam
      },
    }
    subject = await startServer({ introduction: { addressSpaces }, handlers })
  })
  afterEach(async () => {
    await subject.dispose()
    await lone.plugin.stop()
    expect(subject.bugs).to.deep.equal([])
  })

  /** Nothing is left of what was made, on disk or in the kernel. */
  async function expectNothingLeft(): Promise<void> {
    expect(lone.plugin.network.networksWithEndpoints()).to.deep.equal([])
    for (const table of ['networks', 'endpoints'])
      expect(lone.store.entries(table), table).to.deep.equal([])
    await lone.clock.pass(lingerMs)
    expect(await lone.dataplane.overlays()).to.deep.equal([])
  }

  for (const version of engineVersions)
    describe(`answers ${version} as it expects`, () => {
      for (const [scenario, requests] of scenariosOf(version))
        it(`through ${scenario}, and leaves nothing`, async () => {
          const engine = new FakeEngine({ socket: subject.managed, version })
          let answered = 0
          for await (const { recorded } of replay(engine, requests)) {
            answered++
            if (recorded.call === 'NetworkDriver.Join') {
              expect(await lone.dataplane.overlays()).to.have.length.above(0)
            }
          }
          expect(answered).to.equal(requests.length)
          await expectNothingLeft()
          engine.close()
        })

      it('through restarts in which the plugin starts anew, with its disk and the kernel', async () => {
        const requests = scenariosOf(version).get('restarts')!
        const engine = new FakeEngine({ socket: subject.managed, version })
        const restarted = new Set<string>()
        let sent = 0
        for await (const _ of replay(engine, requests)) {
          const next = requests[++sent]?.call
          if (next !== 'NetworkDriver.GetCapabilities') continue
          restarted.add(requests[sent]!.step)
          await lone.plugin.stop()
          lone = await startLonePlugin(lone)
        }
        expect([...restarted])
          .to.include('kill the plugin')
          .and.include('kill the engine and start it')
        await expectNothingLeft()
        engine.close()
      })
    })
})
