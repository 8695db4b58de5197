import { expect } from 'chai'
import { createLogger } from '../../../src/base/logger.ts'
import { EngineClient } from '../../../src/engine-client/engine-client.ts'
import type { EngineEvent } from '../../../src/engine-client/engine.ts'
import { FakeEngineApi } from '../../support/fake-engine-api.ts'
import { TurnClock } from '../../support/turn-clock.ts'

const spec = {
  Name: 'blue',
  Driver: 'ts-overlay',
  Internal: false,
  Attachable: false,
  EnableIPv4: true,
  EnableIPv6: false,
  Options: {},
  Labels: { a: 'b' },
  IPAM: { Driver: 'ts-overlay', Options: {}, Config: [] },
}

describe("the client of the engine's API", () => {
  let api: FakeEngineApi
  let client: EngineClient
  let log: string[]
  let clock: TurnClock

  beforeEach(async () => {
    api = await FakeEngineApi.start()
    clock = new TurnClock()
    log = []
    const { logger } = createLogger((line) => log.push(line))
    client = new EngineClient({ socketPath: api.socketPath, clock, logger })
  })
  afterEach(async () => {
    client.stop()
    await api.dispose()
  })

  /** Starts, and resolves with the events from then on when the engine is connected. */
  async function connected(): Promise<{ events: EngineEvent[]; next: () => Promise<void> }> {
    const events: EngineEvent[] = []
    let wake = (): void => {}
    const next = (): Promise<void> => new Promise((resolve) => (wake = resolve))
    const event = (one: EngineEvent): void => {
      events.push(one)
      wake()
    }
    client.listen({ connected: () => wake(), event })
    const first = next()
    client.start()
    await first
    return { events, next }
  }

  it('speaks the version of an older engine, and its own with a newer one', async () => {
    api.apiVersion = '1.41'
    await connected()
    expect(api.asked.at(-1)!.path).to.match(/^\/v1\.41\/events/)
    expect(client.status()).to.deep.equal({ connected: true, apiVersion: '1.41', failure: null })
    await api.kill()
    await clock.pass(50)
    api.apiVersion = '1.99'
    await api.listen()
    const again = new Promise<void>((resolve) => client.listen({ connected: resolve }))
    await again
    expect(client.status().apiVersion).to.equal('1.51')
  })

  it('asks for the events of networks and containers alone', async () => {
    await connected()
    const { path } = api.asked.at(-1)!
    const filters = JSON.parse(path.slice(path.indexOf('filters=') + 8)) as { event: string[] }
    expect(filters.event).to.include('destroy').and.not.include('health_status')
  })

  it('hands on events, also those that come in pieces, and skips what it cannot read', async () => {
    const { events, next } = await connected()
    const event = {
      Type: 'network',
      Action: 'create',
      Actor: { ID: 'n1', Attributes: { name: 'blue', type: 'ts-overlay' } },
    }
    const line = JSON.stringify(event)
    const arrived = next()
    api.event('{"Type":"volume"}\nnonsense\n')
    api.event(line.slice(0, 20))
    await clock.pass(5)
    api.event(`${line.slice(20)}\n`)
    await arrived
    expect(events).to.deep.equal([event])
    expect(log.filter((entry) => entry.includes('cannot be read'))).to.have.length(2)
  })

  it('connects again after the engine was killed, and says that events may be lost', async () => {
    const { next } = await connected()
    await api.kill()
    await clock.pass(1000)
    expect(client.status().connected).to.equal(false)
    expect(client.status().failure).to.be.a('string')
    const again = next()
    await api.listen()
    await again
    expect(client.status().connected).to.equal(true)
  })

  it('rejects while the engine is away', async () => {
    await api.kill()
    const failed = await client.networks().catch((error: unknown) => error)
    expect(failed).to.include({ code: 'ENGINE', kind: 'failure' })
  })

  it('reads networks with what an engine leaves out or writes as null', async () => {
    const IPAM = { Driver: 'default', Options: null, Config: null }
    const network = { Id: 'n1', Name: 'blue', Driver: 'bridge', IPAM, Labels: null, Options: null }
    api.answers.set('GET /networks/n1', { status: 200, body: network })
    const read = await client.network('n1')
    expect(read).to.deep.include({ Name: 'blue', Labels: {}, EnableIPv4: true, Containers: {} })
    expect(read!.IPAM.Config).to.deep.equal([])
    expect(await client.network('n2')).to.equal(null)
  })

  it('lists the containers of a network by its name, stopped ones too', async () => {
    api.answers.set('GET /containers/json', { status: 200, body: [{ Id: 'c1', Names: ['/web'] }] })
    const [container] = await client.containers('blue')
    expect(container).to.deep.include({ Id: 'c1', Names: ['/web'], State: '' })
    expect(api.asked.at(-1)!.path).to.contain('all=1').and.contain('{"network":["blue"]}')
  })

  it('creates a network, and has the refusal of one', async () => {
    api.answers.set('POST /networks/create', { status: 201, body: { Id: 'n1' } })
    expect(await client.createNetwork(spec)).to.deep.equal({ id: 'n1' })
    expect(api.asked.at(-1)!.body).to.deep.include({ Name: 'blue', CheckDuplicate: true })
    expect(api.asked.at(-1)!.body).to.not.have.property('EnableIPv4')
    const body = { message: 'network with name blue already exists' }
    api.answers.set('POST /networks/create', { status: 409, body })
    const refused = await client.createNetwork(spec)
    expect(refused).to.deep.equal({ status: 409, message: body.message })
  })

  it('counts a network that is not there as removed', async () => {
    expect(await client.removeNetwork('n1')).to.equal(null)
    api.answers.set('DELETE /networks/n1', { status: 403, body: { message: 'in use' } })
    expect(await client.removeNetwork('n1')).to.deep.equal({ status: 403, message: 'in use' })
  })

  it('fails a call whose answer is larger than any list', async () => {
    api.answers.set('GET /networks', { status: 200, body: ' '.repeat(33 << 20) })
    const failed = await client.networks().catch((error: unknown) => error)
    expect(String(failed)).to.contain('more than')
  })
})
