/**
 * A container on one host reaches one on another by name, from the first instruction of its process;
 * and whatever happens to the plugin, the engine's own names resolve.
 */
import { expect } from 'chai'
import { createNetwork, host, members, ours, runOnce, start } from './cluster.ts'
import type { Host } from '../support/lab/host.ts'
import { pluginName } from '../support/lab/host.ts'
import { until } from '../support/lab/processes.ts'

/** The addresses that a libc gives a container for a name; none when there is no such name. */
async function addressesOf(on: Host, container: string, name: string): Promise<string[]> {
  const words = ['exec', container, 'getent', 'ahostsv4', name]
  const { stdout } = await on.docker(words, { reject: false })
  return linesOf(stdout)
}

function linesOf(stdout: string): string[] {
  const addresses = stdout.split('\n').flatMap((line) => /^\S+/.exec(line)?.[0] ?? [])
  return [...new Set(addresses)].sort()
}

/** The name that a libc gives a container for an address. */
async function nameOf(on: Host, container: string, address: string): Promise<string> {
  const { stdout } = await on.docker(['exec', container, 'getent', 'hosts', address])
  return stdout.trim().split(/\s+/)[1] ?? ''
}

const resolves = (on: Host, container: string, name: string, ...addresses: string[]) =>
  until(
    async () => String(await addressesOf(on, container, name)) === String(addresses.sort()),
    `${name} on ${on.name} to be ${addresses.join(', ') || 'nothing'}`,
    20_000,
    50,
  )

describe('names', () => {
  it('of all kinds resolve on the other hosts, and addresses to names', async () => {
    await createNetwork(members(), 'my-net', [...ours, '--subnet', '10.95.0.0/24'])
    const args = ['--hostname', 'web-host', '--network-alias', 'www']
    const address = await start(host(1), 'my-net', 'web', args)
    const { stdout } = await host(1).docker(['inspect', '--format', '{{.Id}}', 'web'])
    const shortId = stdout.slice(0, 12)
    for (const on of [host(2), host(3)]) {
      await start(on, 'my-net', 'client')
      for (const name of ['web', 'WWW', 'web-host', shortId, 'web.my-net', 'www.my-net'])
        await resolves(on, 'client', name, address)
      expect(await nameOf(on, 'client', address)).to.equal('web.my-net')
      const shared = await runOnce(on, 'container:client', ['getent', 'ahostsv4', 'web'])
      expect(linesOf(shared.stdout), 'in the network of another container').to.deep.equal([address])
      expect(await addressesOf(on, 'client', 'nobody')).to.deep.equal([])
      expect(await addressesOf(on, 'client', 'web.other')).to.deep.equal([])
      const traced = ['exec', 'client', 'traceroute', '-q', '1', '-w', '10', 'web']
      expect((await on.docker(traced)).stdout).to.match(/ web\.my-net \(/)
    }
    const listed = (await host(2).pluginStatus()).overlays.find(({ vni }) => vni > 0)!
    expect(listed.name).to.equal('my-net')
    expect(listed.endpoints.map(({ names }) => names[0])).to.deep.equal(['client'])
    expect(listed.peers.map(({ names }) => names[0])).to.have.members(['web', 'client'])
  })

  it('resolve from the first instruction of a process', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.96.0.0/24'])
    const address = await start(host(1), 'n', 'web')
    await start(host(2), 'n', 'watcher')
    await resolves(host(2), 'watcher', 'web', address)
    for (const on of [host(2), host(3)])
      for (let round = 0; round < 5; round++) {
        const { stdout } = await runOnce(on, 'n', ['getent', 'ahostsv4', 'web'])
        expect(linesOf(stdout), on.name).to.deep.equal([address])
      }
  })

  it('have all addresses of an alias that containers on several hosts have', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.97.0.0/24'])
    const addresses = await Promise.all(
      members().map((on) => start(on, 'n', `web${on.index}`, ['--network-alias', 'web'])),
    )
    for (const on of members()) await resolves(on, `web${on.index}`, 'web', ...addresses)
    await host(2).docker(['rm', '-f', 'web2'])
    for (const on of [host(1), host(3)])
      await resolves(on, `web${on.index}`, 'web', addresses[0]!, addresses[2]!)
  })

  it('follow a rename, a disconnection, a connection and a death', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.98.0.0/24'])
    const address = await start(host(1), 'n', 'web')
    for (const on of [host(2), host(3)]) {
      await start(on, 'n', 'client')
      await resolves(on, 'client', 'web', address)
    }
    await host(1).docker(['rename', 'web', 'renamed'])
    for (const on of [host(2), host(3)]) {
      await resolves(on, 'client', 'renamed', address)
      await resolves(on, 'client', 'web')
    }
    await host(1).docker(['network', 'disconnect', 'n', 'renamed'])
    for (const on of [host(2), host(3)]) await resolves(on, 'client', 'renamed')
    const connect = ['network', 'connect', '--alias', 'again', '--ip', '10.98.0.77', 'n', 'renamed']
    await host(1).docker(connect)
    for (const on of [host(2), host(3)]) {
      await resolves(on, 'client', 'again', '10.98.0.77')
      await resolves(host(1), 'renamed', 'client', ...(await clientsOf(2, 3)))
    }
    await host(1).docker(['kill', 'renamed'])
    for (const on of [host(2), host(3)]) await resolves(on, 'client', 'renamed')
  })

  it('go with their host, and come back with it', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.99.0.0/24'])
    await start(host(3), 'n', 'client')
    const address = await start(host(1), 'n', 'web')
    await resolves(host(3), 'client', 'web', address)
    await host(1).cutCable()
    try {
      await resolves(host(3), 'client', 'web')
    } finally {
      await host(1).mendCable()
    }
    await resolves(host(3), 'client', 'web', address)
  })

  it("leave the engine's own as they are, whether the plugin runs, is killed or is off", async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.100.0.0/24'])
    const far = await start(host(1), 'n', 'far')
    for (const on of [host(2), host(3)]) {
      // Names that no other host has: those that several have are answered with all addresses.
      const [name, alias] = [`near${on.index}`, `alias${on.index}`]
      const near = await start(on, 'n', name, ['--network-alias', alias])
      await start(on, 'n', 'client')
      await resolves(on, 'client', 'far', far)
      const local = async (): Promise<void> => {
        for (const own of [name, alias, `${name}.n`])
          expect(await addressesOf(on, 'client', own), `${own} on ${on.name}`).to.deep.equal([near])
      }
      await local()
      await on.exec(['kill', '-9', String(await on.pluginPid())])
      await local()
      await resolves(on, 'client', 'far', far)
      await on.docker(['plugin', 'disable', '-f', pluginName])
      await local()
      expect(await addressesOf(on, 'client', 'far')).to.deep.equal([])
      await on.docker(['plugin', 'enable', pluginName])
      await resolves(on, 'client', 'far', far)
      await local()
    }
  })
})

/** The addresses of the containers of that name on these hosts. */
async function clientsOf(...hosts: number[]): Promise<string[]> {
  const format = '{{(index .NetworkSettings.Networks "n").IPAddress}}'
  return Promise.all(
    hosts.map(async (index) => {
      const words = ['inspect', '--format', format, 'client']
      return (await host(index).docker(words)).stdout.trim()
    }),
  )
}
