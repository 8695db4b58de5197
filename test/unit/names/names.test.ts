import { expect } from 'chai'
import { failure } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { NamesEngine } from '../../../src/names/engine-names.ts'
import { NameTable, type TableChange } from '../../../src/names/name-table.ts'
import { type LocalEndpoint, Names, type Resolvers } from '../../../src/names/names.ts'
import { publishable } from '../../../src/names/record.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const vni = 7 as Vni
const containerId = '0123456789abcdef'.repeat(4)

function endpoint(endpointId: string, ip: string, sandboxKey: string | null): LocalEndpoint {
  return { endpointId, vni, ips: [ip as Ip], sandboxKey }
}

class FakeResolvers implements Resolvers {
  readonly table = new NameTable()
  readonly attached = new Set<string>()
  readonly engineNames = new Map<string, string>()
  failure: Error | null = null

  obstacle: string | null = null

  async start(): Promise<string | null> {
    return this.obstacle
  }
  async close(): Promise<void> {}
  apply(changes: readonly TableChange[]): void {
    this.table.apply(changes)
  }
  async attach(sandbox: string): Promise<void> {
    if (this.failure !== null) throw this.failure
    this.attached.add(sandbox)
  }
  async detach(sandbox: string): Promise<void> {
    this.attached.delete(sandbox)
  }
  async attachedCount(): Promise<number> {
    return this.attached.size
  }
  async engineNameOf(_sandbox: string, ip: Ip): Promise<string | null> {
    return this.engineNames.get(ip) ?? null
  }
}

type Listener = Parameters<NamesEngine['listen']>[0]
type Container = NonNullable<Awaited<ReturnType<NamesEngine['container']>>>

/** An engine with one network and what a test puts on it. */
class FakeApi implements NamesEngine {
  readonly containers = new Map<string, Container>()
  readonly asked: string[] = []
  isAway = false
  listener: Listener | null = null

  async network(id: string) {
    this.asked.push(id)
    if (this.isAway) throw failure('SOCKET', 'the engine is away')
    const containers = [...this.containers.values()].map(({ id: one, name, networks }) => {
      return { containerId: one, name, endpointId: networks[0]!.endpointId }
    })
    return id === 'network' ? { name: 'net', containers } : null
  }
  async container(id: string) {
    this.asked.push(id)
    return this.containers.get(id) ?? null
  }
  listen(listener: Listener): void {
    this.listener = listener
  }
  add(id: string, endpointId: string, names: Partial<Container> & { aliases?: string[] }): void {
    const { aliases = [], ...rest } = names
    const network = { name: 'net', endpointId, aliases, dnsNames: [] }
    this.containers.set(id, { id, name: 'web', hostname: 'host', networks: [network], ...rest })
  }
  event(type: string, action: string, id: string, container = ''): void {
    this.listener!.event({ type, action, id, containerId: container })
  }
}

describe('names of this host', () => {
  let clock: VirtualClock
  let resolvers: FakeResolvers
  let api: FakeApi
  let endpoints: LocalEndpoint[]
  let published: Map<string, readonly string[]>
  let obstacles: string[]
  let rows: Map<string, { names: readonly string[]; network: string }>

  beforeEach(() => {
    clock = new VirtualClock()
    resolvers = new FakeResolvers()
    api = new FakeApi()
    endpoints = []
    published = new Map()
    rows = new Map()
    obstacles = []
  })

  async function started(engine: NamesEngine | null = api): Promise<Names> {
    const names = new Names({
      clock,
      logger: silentLogger,
      resolvers,
      engine,
      store: {
        entries: () => [...rows],
        write: async (changes) => {
          for (const { key, value } of changes)
            if (value === null) rows.delete(key)
            else rows.set(key, value)
        },
      },
      endpoints: () => endpoints,
      networks: () => ['network'],
      cannot: (why) => void obstacles.push(why),
      publish: ({ endpointId }, some) => {
        if (some === null) published.delete(endpointId)
        else published.set(endpointId, some)
      },
    })
    await names.start()
    return names
  }

  it('has a resolver in each sandbox with an endpoint, and in no other', async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    const names = await started()
    expect([...resolvers.attached]).to.deep.equal(['/netns/1'])
    endpoints = [
      endpoint('b', '10.0.0.2', '/netns/2'),
      endpoint('c', '10.0.0.3', '/netns/2'),
      endpoint('d', '10.0.0.4', null),
    ]
    await names.endpointsChanged()
    expect([...resolvers.attached]).to.deep.equal(['/netns/2'])
    endpoints = [endpoints[0]!]
    await names.endpointsChanged()
    expect([...resolvers.attached]).to.deep.equal(['/netns/2'])
    await names.stop()
  })

  it('never fails a call, though no resolver can be had', async () => {
    const names = await started()
    resolvers.failure = failure('KERNEL', 'no')
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    await names.endpointsChanged()
    await names.stop()
  })

  it('publishes names though no query can be answered here', async () => {
    resolvers.obstacle = 'no nf_tables'
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    rows.set('a', { names: ['web'], network: 'net' })
    const names = await started()
    expect(obstacles).to.deep.equal(['no nf_tables'])
    expect([...published.keys()]).to.deep.equal(['a'])
    await names.stop()
  })

  it('follows an overlay to another VNI', async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    rows.set('a', { names: ['web'], network: 'net' })
    const names = await started()
    endpoints = [{ ...endpoints[0]!, vni: 8 as Vni }]
    await clock.advance(2000)
    expect([...published]).to.deep.equal([['a', ['web']]])
    const key = { vni: 8 as Vni, endpointId: 'b' }
    const called = { kind: 'names', ...key, names: ['b'] }
    const there = { kind: 'endpoint', ...key, ips: ['10.0.0.2'] }
    names.applyRecords([called, there].map((next) => ({ origin: 'm', previous: null, next })))
    expect(resolvers.table.addressesOf('/netns/1', 'b.net')).to.deep.equal(['10.0.0.2'])
    await names.stop()
  })

  it('publishes the name when a container is attached, and all names when it has started', async () => {
    const names = await started()
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    await names.endpointsChanged()
    const start = Promise.withResolvers<void>()
    const inspect = api.container.bind(api)
    api.container = async (id) => {
      await start.promise
      return inspect(id)
    }
    api.add(containerId, 'a', { aliases: ['alias'] })
    api.event('network', 'connect', 'network', containerId)
    await clock.settled()
    expect(published.get('a')).to.deep.equal(['web', '0123456789ab'])
    start.resolve()
    await clock.settled()
    expect(published.get('a')).to.deep.equal(['web', 'alias', '0123456789ab', 'host'])
    // A list has less than an inspection, and takes nothing away.
    api.listener!.connected()
    await clock.settled()
    expect(published.get('a')).to.have.length(4)
    expect(rows.get('a')?.network).to.equal('net')
    expect(names.namesOf('a')[0]).to.equal('web')
    await names.stop()
  })

  it('follows a rename, and withdraws what has left', async () => {
    const names = await started()
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    await names.endpointsChanged()
    api.add(containerId, 'a', {})
    api.event('network', 'connect', 'network', containerId)
    await clock.settled()
    api.add(containerId, 'a', { name: 'other' })
    api.event('container', 'rename', containerId)
    await clock.settled()
    expect(published.get('a')?.[0]).to.equal('other')
    endpoints = []
    await names.endpointsChanged()
    expect(published.size + rows.size).to.equal(0)
    await names.stop()
  })

  it('asks nothing about containers and networks of others', async () => {
    const names = await started()
    api.event('network', 'connect', 'bridge', containerId)
    api.event('container', 'start', containerId)
    api.event('container', 'rename', containerId)
    await clock.settled()
    expect(api.asked).to.deep.equal([])
    await names.stop()
  })

  it('reads everything when the engine is back', async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    const names = await started()
    api.isAway = true
    api.listener!.connected()
    await clock.settled()
    api.isAway = false
    api.add(containerId, 'a', {})
    api.listener!.connected()
    await clock.settled()
    expect(published.get('a')?.[0]).to.equal('web')
    await names.stop()
  })

  it('has the names of before a restart at once, of endpoints that are still there', async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    rows.set('a', { names: ['web'], network: 'net' })
    rows.set('gone', { names: ['gone'], network: 'net' })
    const names = await started()
    expect([...published]).to.deep.equal([['a', ['web']]])
    expect([...rows.keys()]).to.deep.equal(['a'])
    await names.stop()
  })

  it("asks the engine's resolver where its API is not used, and again after a while", async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1'), endpoint('b', '10.0.0.2', '/netns/2')]
    resolvers.engineNames.set('10.0.0.1', 'web.my.net')
    const names = await started(null)
    await clock.advance(2000)
    expect([...published]).to.deep.equal([['a', ['web']]])
    expect(rows.get('a')?.network).to.equal('my.net')
    resolvers.engineNames.set('10.0.0.1', 'renamed.my.net')
    await clock.advance(60_000)
    expect(published.get('a')).to.deep.equal(['renamed'])
    await names.stop()
  })

  it('puts the records of other members into the table, whatever comes first', async () => {
    endpoints = [endpoint('a', '10.0.0.1', '/netns/1')]
    rows.set('a', { names: ['here'], network: 'net' })
    const names = await started()
    const key = { vni, endpointId: '00000000000000aa' }
    const there = { kind: 'endpoint', ...key, ips: ['10.0.0.9' as Ip] }
    const called = { kind: 'names', ...key, names: ['there'] }
    const other = { kind: 'pool' }
    names.applyRecords([
      { origin: 'm', previous: null, next: called },
      { origin: 'm', previous: null, next: other },
      { origin: 'm', previous: null, next: there },
    ])
    expect(resolvers.table.addressesOf('/netns/1', 'there')).to.deep.equal(['10.0.0.9'])
    expect(resolvers.table.nameOf('/netns/1', '10.0.0.9' as Ip)).to.equal('there.net')
    // Its host dies: both records are hidden.
    names.applyRecords([
      { origin: 'm', previous: there, next: null },
      { origin: 'm', previous: called, next: null },
    ])
    expect(resolvers.table.addressesOf('/netns/1', 'there')).to.equal(null)
    await names.stop()
  })
})

describe('names that are published', () => {
  it('are those that DNS takes, each once', () => {
    const fit = ['web', 'Web', 'my_app.1', 'a'.repeat(63), 'a-b']
    const unfit = ['', '.', '-a', 'a..b', 'ä', 'a b', 'a'.repeat(64), 'a.'.repeat(80)]
    expect(publishable([...fit, ...unfit])).to.deep.equal(fit.filter((name) => name !== 'Web'))
    expect(publishable(Array.from({ length: 99 }, (_, i) => `n${i}`))).to.have.length(32)
  })
})
