/** Whole plugins in virtual time: names come with endpoints, and go with them and with their hosts. */
import { expect } from 'chai'
import { decode } from 'dns-packet'
import { silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import { MemoryResolvers } from '../../src/dataplane/memory/memory-resolvers.ts'
import type { Engine, EngineContainer, EngineListener } from '../../src/engine-client/engine.ts'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { ResolverService } from '../../src/wiring/names/resolver-service.ts'
import { answerOf, queryOf, textOf } from '../netns/sandbox-dns.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!
const network = 'uber-net'
/** By now everything is known everywhere. */
const soonMs = 1000

/** An engine that knows the containers which a test says are started. */
class NamesOfEngine implements Omit<Engine, 'createNetwork' | 'removeNetwork'> {
  readonly #containers = new Map<string, EngineContainer>()
  readonly #listeners = new Set<EngineListener>()

  async network(id: string) {
    const containers = [...this.#containers].map(([containerId, { Name, NetworkSettings }]) => {
      const { EndpointID } = NetworkSettings.Networks[network]!
      return [containerId, { Name: Name.slice(1), EndpointID }]
    })
    const found = { Id: id, Name: network, Containers: Object.fromEntries(containers) as object }
    return found as Awaited<ReturnType<Engine['network']>>
  }
  /** The networks of this test are its own business. */
  async networks() {
    return []
  }
  async containers() {
    return []
  }
  async container(id: string) {
    return this.#containers.get(id) ?? null
  }
  listen(listener: EngineListener): void {
    this.#listeners.add(listener)
    listener.connected?.()
  }
  status() {
    return { connected: true, apiVersion: null, failure: null }
  }

  /** A container is attached, or gets another name. */
  call(id: string, endpointId: string, name: string, alias: string): void {
    const isNew = !this.#containers.has(id)
    const attachment = { NetworkID: 'n1', EndpointID: endpointId, Aliases: [alias], DNSNames: [] }
    this.#containers.set(id, {
      Id: id,
      Name: `/${name}`,
      State: { Status: 'running', Running: true },
      Config: { Hostname: 'a-host', Labels: {} },
      NetworkSettings: { Networks: { [network]: attachment } },
    })
    const Attributes = { container: id }
    if (isNew) this.#event('network', 'connect', 'n1', Attributes)
    else this.#event('container', 'rename', id, {})
  }

  #event(Type: 'network' | 'container', Action: string, ID: string, Attributes: object): void {
    const attributes = Attributes as Record<string, string>
    const event = { Type, Action, Actor: { ID, Attributes: attributes } }
    for (const listener of this.#listeners) listener.event?.(event)
  }
}

interface NamedHost extends WholeHost {
  readonly engine: NamesOfEngine
  readonly resolvers: MemoryResolvers
}

describe('names of whole plugins', () => {
  let world: WholeHosts
  let hosts: NamedHost[]

  beforeEach(async () => {
    world = new WholeHosts()
    hosts = []
    for (let i = 0; i < 3; i++) hosts.push(await add())
  })
  afterEach(() => world.stop())

  async function add(): Promise<NamedHost> {
    const engine = new NamesOfEngine()
    let resolvers!: MemoryResolvers
    const host = await world.add({
      ports: (clock) => ({
        engine: engine as unknown as Engine,
        resolvers: new ResolverService({
          clock,
          random: seededRandom(1),
          logger: silentLogger,
          auditIntervalMs: 10_000,
          resolvers: (answer) => {
            const nothing = (_source: unknown, query: Uint8Array): Uint8Array =>
              answerOf(Buffer.from(query), '192.0.2.99')
            return (resolvers = new MemoryResolvers(answer, nothing))
          },
        }),
      }),
    })
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    const options = { overlay: 'blue' }
    const call = { networkId: 'n1', options, internal: false, pools }
    await world.done(host.plugin.network.createNetwork(call))
    return { ...host, engine, resolvers }
  }

  /** Starts a container with that address, and names. */
  async function run(host: NamedHost, ip: string, name: string, alias = name): Promise<void> {
    const endpointId = `endpoint ${ip}`
    const addresses = [parseIpInCidr(`${ip}/16`)!]
    const created = host.plugin.network.createEndpoint({
      networkId: 'n1',
      endpointId,
      addresses,
      mac: null,
    })
    await world.done(created)
    const sandboxKey = `/netns/${ip}`
    host.resolvers.addSandbox(sandboxKey)
    await world.done(host.plugin.network.join({ networkId: 'n1', endpointId, sandboxKey }))
    host.engine.call(`container ${ip}`, endpointId, name, alias)
    await world.clock.advance(soonMs)
  }

  function ask({ resolvers }: NamedHost, ip: string, name: string, type = 'A'): string {
    const source = { sandbox: `/netns/${ip}`, transport: 'udp' } as const
    return textOf(decode(Buffer.from(resolvers.query(source, queryOf(name, type))!)))
  }

  it('resolve on all other hosts, and follow their container', async () => {
    const [a, b, c] = hosts as [NamedHost, NamedHost, NamedHost]
    await run(a, '10.10.0.2', 'web', 'www')
    await run(b, '10.10.0.3', 'client')
    await run(c, '10.10.0.4', 'client')
    for (const [host, ip] of [
      [b, '10.10.0.3'],
      [c, '10.10.0.4'],
    ] as const) {
      for (const name of ['web', 'www', 'a-host', 'web.uber-net'])
        expect(ask(host, ip, name), name).to.match(/^10\.10\.0\./)
      expect(ask(host, ip, 'web')).to.equal('10.10.0.2')
      expect(ask(host, ip, '2.0.10.10.in-addr.arpa', 'PTR')).to.equal('web.uber-net')
      expect(ask(host, ip, 'elsewhere')).to.equal('192.0.2.99')
    }
    // Names of this host alone are the engine's.
    expect(ask(a, '10.10.0.2', 'web')).to.equal('192.0.2.99')
    const { endpoints, peers, name: shown } = b.plugin.status().overlays[0]!
    expect([shown, endpoints[0]!.names[0]]).to.deep.equal([network, 'client'])
    expect(peers.map(({ names }) => names[0])).to.have.members(['web', 'client'])

    a.engine.call('container 10.10.0.2', 'endpoint 10.10.0.2', 'other', 'www')
    await world.clock.advance(soonMs)
    expect(ask(b, '10.10.0.3', 'other')).to.equal('10.10.0.2')
    expect(ask(b, '10.10.0.3', 'web')).to.equal('192.0.2.99')

    await world.done(a.plugin.network.leave('n1', 'endpoint 10.10.0.2'))
    await world.clock.advance(soonMs)
    expect(ask(b, '10.10.0.3', 'other')).to.equal('192.0.2.99')
    expect(await a.resolvers.attached()).to.deep.equal([])
    await world.clock.advance(2000)
    expect(a.plugin.status().names).to.deep.equal({ sandboxes: 0, resolvers: 0 })
    expect(b.plugin.status().names).to.deep.equal({ sandboxes: 1, resolvers: 1 })
  })

  it('go with their host, and come back with it', async () => {
    const [a, b] = hosts as [NamedHost, NamedHost]
    await run(a, '10.10.0.2', 'web')
    await run(b, '10.10.0.3', 'client')
    world.cut()
    await world.clock.advance(15_000)
    expect(ask(b, '10.10.0.3', 'web')).to.equal('192.0.2.99')
    world.heal()
    await world.clock.advance(15_000)
    expect(ask(b, '10.10.0.3', 'web')).to.equal('10.10.0.2')
  })

  it('of several containers are answered together, and shuffled', async () => {
    const [a, b, c] = hosts as [NamedHost, NamedHost, NamedHost]
    await run(a, '10.10.0.2', 'one', 'web')
    await run(b, '10.10.0.3', 'two', 'web')
    await run(c, '10.10.0.4', 'three', 'web')
    const first = Array.from({ length: 60 }, () => ask(b, '10.10.0.3', 'web'))
    expect(new Set(first)).to.deep.equal(new Set(['10.10.0.2', '10.10.0.3', '10.10.0.4']))
  })
})
