import { expect } from 'chai'
import { EngineStory } from '../../../support/engine-story.ts'
import { startLonePlugin } from '../../../support/lone-plugin.ts'
import { startServer } from '../../../support/plugin-server.ts'
import { FakeEngine } from '../../../support/fake-engine.ts'

describe('a diagnosis', () => {
  it('has what the kernel has for an address, and the host’s limits', async () => {
    const { plugin, dataplane } = await startLonePlugin()
    const { diagnosis } = plugin
    const subject = await startServer({ handlers: plugin.handlers })
    const engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
    const story = new EngineStory(engine, '10.9.0.0/24')
    await story.createNetwork()
    const { endpointId } = await story.start('web')
    const ip = story.containers.get(endpointId)!.split('/')[0]!

    const { overlayId } = plugin.status().overlays[0]!
    const { alone } = await diagnosis.snapshots(['alone'], overlayId, [ip, 'no address'])
    expect(alone!.overlay!.endpoints).to.have.length(1)
    expect(alone!.overlay!.endpoints[0]!.port).to.include({ up: true, configured: true })
    expect(alone!.overlay!.endpoints[0]!.port!.allowed).to.deep.equal([ip])
    expect(alone!.overlay!.links!.bridge).to.include({ up: true })
    expect(alone).to.include({ other: null })
    const none = await diagnosis.snapshots(['alone'], 'another', [ip])
    expect(none['alone']!.overlay).to.equal(null)

    const hosts = await diagnosis.hosts()
    expect(hosts['alone']).to.include({
      member: 'alone',
      skewMs: 0,
      underlayMtu: 1500,
      facts: null,
    })
    expect(hosts['alone']!.networks).to.deep.include({
      overlayId,
      mtu: 1450,
      endpoints: 1,
      peers: 0,
    })
    expect(hosts['alone']!.leftovers).to.deep.equal([])
    const links = dataplane.overlay(overlayId)!.links
    await dataplane.ensureOverlay({ ...links, overlayId: 'left', vni: 99 as typeof links.vni })
    expect((await diagnosis.hosts())['alone']!.leftovers).to.deep.equal(['left'])

    for (const name of ['alone', 'nobody']) {
      const error = await diagnosis.ping(name).then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error, name).to.include({ code: 'MEMBER_UNKNOWN' })
    }
    engine.close()
    await subject.dispose()
    await plugin.stop()
  })
})
