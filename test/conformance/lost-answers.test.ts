import { expect } from 'chai'
import { addressSpaces } from '../../src/net/pool-id.ts'
import { BreakingProxy, type BreakPoint } from '../support/breaking-proxy.ts'
import { EngineStory } from '../support/engine-story.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'

/*
 * A call whose connection breaks, before the plugin has heard of it or after it has done it, is repeated by the
 * engine with an empty body, which is refused; then the engine rolls back and forgets. Nothing that it does not
 * know of may stay longer than the grace period, and nothing that it does know of may go.
 */

const orphanGraceMs = 1200
/** The grace, and two looks a second apart. */
const maxReleaseMs = 8000
/** Of which a container is started, or stopped: what may break in that. */
const starting = ['IpamDriver.RequestAddress', 'NetworkDriver.CreateEndpoint', 'NetworkDriver.Join']
const stopping = [
  'NetworkDriver.Leave',
  'NetworkDriver.DeleteEndpoint',
  'IpamDriver.ReleaseAddress',
]
const creating = [
  'IpamDriver.RequestPool',
  'IpamDriver.RequestAddress',
  'NetworkDriver.CreateNetwork',
]
const removing = [
  'IpamDriver.ReleaseAddress',
  'IpamDriver.ReleasePool',
  'NetworkDriver.DeleteNetwork',
]
const points: readonly BreakPoint[] = ['before', 'after']

/** An engine that may be made to end with the connection that breaks. */
class MortalEngine extends FakeEngine {
  isMortal = false
  readonly #hasBroken: () => boolean

  constructor(socket: string, hasBroken: () => boolean) {
    super({ socket, version: '28.5.2', retryDelaysMs: [5] })
    this.#hasBroken = hasBroken
  }

  override async send(...args: Parameters<FakeEngine['send']>): ReturnType<FakeEngine['send']> {
    if (this.isMortal && this.#hasBroken()) throw new Error('the engine is dead')
    return super.send(...args)
  }
}

describe('calls whose connection breaks', function () {
  this.timeout(30_000)
  let lone: LonePlugin
  let subject: ServerUnderTest
  let proxy: BreakingProxy
  let engine: MortalEngine
  let pools = 0

  beforeEach(async () => {
    lone = await startLonePlugin(undefined, { orphanGraceMs })
    subject = await startServer({ introduction: { addressSpaces }, handlers: lone.plugin.handlers })
    proxy = await BreakingProxy.listen(`${subject.managed}.proxy`, subject.managed)
    engine = new MortalEngine(`${subject.managed}.proxy`, () => proxy.hasBroken)
  })
  afterEach(async () => {
    engine.close()
    await proxy.close()
    await subject.dispose()
    await lone.plugin.stop()
    expect(subject.bugs).to.deep.equal([])
  })

  const newStory = (): EngineStory => new EngineStory(engine, `10.60.${pools++ % 250}.0/24`)

  /** `docker run`, and the engine has moved the link into the container. */
  async function start(story: EngineStory, container: string): Promise<string> {
    const { endpointId } = await story.start(container)
    lone.dataplane.moveEndpoint(story.pool, endpointId, 'sandbox')
    return endpointId
  }

  /** Everything that the plugin keeps for the engine, in words. */
  async function kept(): Promise<string[]> {
    const { network, ipam } = lone.plugin
    const links = await Promise.all(
      (await lone.dataplane.overlays()).map(
        async (id) => (await lone.dataplane.dump(id))!.endpoints,
      ),
    )
    return [
      ...network.networksWithEndpoints().map((each) => `network ${each.network.networkId}`),
      ...network
        .networksWithEndpoints()
        .flatMap(({ endpoints }) => endpoints.map((e) => `endpoint ${e.endpointId}`)),
      ...links.flat().map(({ endpointId }) => `link ${endpointId}`),
      ...ipam.bindings.heldPools().map(({ poolKey }) => `pool ${poolKey}`),
      ...ipam.bindings.leases().map(({ ip }) => `address ${ip}`),
      ...lone.store.entries('endpoints').map(([id]) => `on disk ${id}`),
    ].toSorted()
  }

  /** What an engine knows of that has these networks. */
  function knownTo(...stories: EngineStory[]): string[] {
    return stories
      .flatMap(({ networkId, pool, containers }) => [
        `network ${networkId}`,
        `pool ${pool}`,
        ...[...containers].flatMap(([id, address]) => [
          `endpoint ${id}`,
          `link ${id}`,
          `on disk ${id}`,
          `address ${address.split('/')[0]}`,
        ]),
      ])
      .toSorted()
  }

  async function expectKeptIs(...stories: EngineStory[]): Promise<void> {
    await lone.clock.pass(maxReleaseMs)
    expect(await kept()).to.deep.equal(knownTo(...stories))
  }

  const fails = async (work: Promise<unknown>): Promise<void> => {
    const outcome = await work.then(
      () => 'succeeded',
      () => 'failed',
    )
    expect(outcome).to.equal('failed')
    expect(proxy.hasBroken).to.equal(true)
  }

  it('leave nothing of networks that could not be created', async () => {
    for (const call of creating)
      for (const point of points) {
        proxy.arm(call, point)
        await fails(newStory().createNetwork())
      }
    await expectKeptIs()
  })

  it('leave nothing of containers that could not be started, and others as they are', async () => {
    const stories: EngineStory[] = []
    for (const call of starting)
      for (const point of points) {
        const story = newStory()
        stories.push(story)
        await story.createNetwork()
        await start(story, `before ${story.pool}`)
        proxy.arm(call, point)
        await fails(story.start(`broken ${story.pool}`))
        await start(story, `after ${story.pool}`)
      }
    await expectKeptIs(...stories)
    // The same container, once more.
    for (const story of stories) await start(story, `broken ${story.pool}`)
    await expectKeptIs(...stories)
  })

  it('leave nothing of containers that were stopped, and others as they are', async () => {
    const stories: EngineStory[] = []
    for (const call of stopping)
      for (const point of points) {
        const story = newStory()
        stories.push(story)
        await story.createNetwork()
        await start(story, `stays ${story.pool}`)
        const endpointId = await start(story, `goes ${story.pool}`)
        proxy.arm(call, point)
        // The engine takes the link out of the container, whatever the plugin has answered.
        lone.dataplane.moveEndpoint(story.pool, endpointId, 'hostNetns')
        await story.stop(endpointId)
        expect(proxy.hasBroken).to.equal(true)
      }
    await expectKeptIs(...stories)
  })

  it('leave nothing of networks that were removed', async () => {
    for (const call of removing)
      for (const point of points) {
        const story = newStory()
        await story.createNetwork()
        proxy.arm(call, point)
        await story.removeNetwork()
        expect(proxy.hasBroken).to.equal(true)
      }
    await expectKeptIs()
  })

  it('leave nothing when the engine dies with them', async () => {
    const story = newStory()
    await story.createNetwork()
    for (const call of [...starting, ...stopping])
      for (const point of points) {
        const container = `${call} ${point}`
        const running = starting.includes(call) ? null : await start(story, container)
        proxy.arm(call, point)
        engine.isMortal = true
        await (running === null ? story.start(container) : story.stop(running)).catch(() => {})
        expect(proxy.hasBroken).to.equal(true)
        engine.isMortal = false
        // Its successor knows of no such container, and the container's link went with it.
        if (running !== null) lone.dataplane.overlay(story.pool)?.endpoints.delete(running)
        story.containers.clear()
      }
    await expectKeptIs(story)
  })
})
