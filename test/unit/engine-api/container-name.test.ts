import { expect } from 'chai'
import { FakeEngine } from '../../support/fake-engine.ts'
import { startServer } from '../../support/plugin-server.ts'
import { type HandledCall, recordingHandlers } from '../../support/recording-handlers.ts'

describe("a container's name in RequestAddress", () => {
  it('is handed on where the engine tells it, as 29 does', async () => {
    const handled: HandledCall[] = []
    const subject = await startServer({ handlers: recordingHandlers(handled) })
    const engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
    const named = { 'com.docker.network.endpoint.name': 'web' }
    for (const Options of [named, { 'com.docker.network.endpoint.name': '' }, null]) {
      const body = { PoolID: 'here 10.99.0.0/24', Address: '', Options }
      await engine.call('IpamDriver.RequestAddress', JSON.stringify(body))
    }
    engine.close()
    await subject.dispose()
    const names = handled.map(({ args: [wish] }) => (wish as { name: string | null }).name)
    expect(names).to.deep.equal(['web', null, null])
  })
})
