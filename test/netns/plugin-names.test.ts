/**
 * Names with whole plugins as processes, as the image has them: bundled, with reduced rights, the
 * resolvers in a thread. The engine's API is off, so names come from the engine's resolver.
 */
import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'
import { DnsClient, EngineResolver } from './sandbox-dns.ts'

/** A container: its sandbox, the engine's resolver in it, and a program that asks. */
interface Named {
  readonly engine: EngineResolver
  readonly client: DnsClient
}

describe('plugins that are processes', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let started: Named[]
  const sandboxes = new Map<string, string>()

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`names of plugins skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    started = []
    // A plugin sees the mounts of before its start: its mount namespace is private here.
    all = await PluginHosts.create(2, '10.71.0.0/24', async (lab) => {
      for (const name of ['web', 'first', 'second']) sandboxes.set(name, await lab.namespace(name))
      return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off' }
    })
  })
  afterEach(async () => {
    for (const { engine, client } of started) {
      client.close()
      engine.stop()
    }
    await all?.close()
  })

  /** Starts a container; the engine on its host knows its name, and "elsewhere". */
  async function run(host: PluginHost, name: string, ip: string): Promise<Named> {
    const path = sandboxes.get(name)!
    const pointer = `${ip.split('.').toReversed().join('.')}.in-addr.arpa`
    const engine = new EngineResolver(path, {
      [pointer]: `${name}.uber-net`,
      elsewhere: '192.0.2.99',
    })
    await engine.start()
    await host.story.start(name, ip, `/var/run/docker/netns/${name}`)
    const named = { engine, client: new DnsClient(path) }
    started.push(named)
    return named
  }

  const resolves = ({ client }: Named, name: string, answer: string, type = 'A') =>
    until(async () => (await client.ask(name, type)) === answer, `${name} to be ${answer}`, 20_000)

  it('resolve the names of the other host, from the answer to Join on', async () => {
    const [one, two] = all.hosts as [PluginHost, PluginHost]
    for (const { story } of all.hosts) await story.createNetwork()
    const web = await run(one, 'web', '10.71.0.20')
    const first = await run(two, 'first', '10.71.0.30')
    await resolves(first, 'web', '10.71.0.20')
    await resolves(web, 'first.uber-net', '10.71.0.30')
    await resolves(first, '20.0.71.10.in-addr.arpa', 'web.uber-net', 'PTR')
    const second = await run(two, 'second', '10.71.0.31')
    expect(await second.client.ask('web')).to.equal('10.71.0.20')
    expect(await second.client.ask('elsewhere')).to.equal('192.0.2.99')
    expect(await second.client.askOverTcp('web', 'elsewhere')).to.have.members([
      '10.71.0.20',
      '192.0.2.99',
    ])
    const [overlay] = (await two.plugin.status()).overlays
    expect(overlay!.name).to.equal('uber-net')
    expect(overlay!.peers.map(({ names }) => names)).to.deep.equal([['web']])
  })

  for (const signal of ['SIGKILL', 'SIGTERM'] as const)
    it(`leave the engine to answer when they end by ${signal}, and answer again`, async () => {
      const [one, two] = all.hosts as [PluginHost, PluginHost]
      for (const { story } of all.hosts) await story.createNetwork()
      await run(one, 'web', '10.71.0.20')
      const { client, engine } = await run(two, 'first', '10.71.0.30')
      await resolves({ client, engine }, 'web', '10.71.0.20')
      await two.plugin.end(signal)
      expect(await client.ask('elsewhere')).to.equal('192.0.2.99')
      expect(await client.ask('web')).to.equal('NXDOMAIN')
      await two.start('192.0.2.1')
      const second = await run(two, 'second', '10.71.0.31')
      await resolves(second, 'web', '10.71.0.20')
    })
})
