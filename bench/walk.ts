/**
 * Which files of src and of memberlist-js the code of a call or of a packet runs through, by V8's
 * precise coverage of functions:
 *
 *     node --conditions=source bench/walk.ts
 *
 * The calls are those of one container, through the engine's protocol, with store and kernel in
 * memory. The packet is the one that brings an endpoint to another host, from its arrival to the
 * rows in the kernel.
 */
import { Session } from 'node:inspector/promises'
import { join, relative } from 'node:path'
import { endpointRecord } from '../src/cluster/wire/endpoint-record.ts'
import { macOfIp } from '../src/net/mac.ts'
import { parseIp } from '../src/net/ip.ts'
import type { Vni } from '../src/net/vni.ts'
import { WholeHosts } from '../test/simulation/support/whole-hosts.ts'
import { FakeEngine } from '../test/support/fake-engine.ts'
import { startLonePlugin } from '../test/support/lone-plugin.ts'
import { startServer } from '../test/support/plugin-server.ts'
import { addressSpaces } from '../src/ipam/pool-id.ts'

/** One-way delay of the packet, ms: long enough to tell sending from receiving. */
const delayMs = 40
const root = join(import.meta.dirname, '..')
const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })

/** The files in which a function ran since the last call of this. */
async function filesSince(): Promise<Set<string>> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const files = result
    .filter(({ functions }) => functions.some(({ ranges }) => ranges[0]!.count > 0))
    .map(({ url }) => relative(root, url.replace('file://', '')))
  return new Set(files.filter((file) => /^(src|packages\/memberlist-js\/src)\//.test(file)))
}

async function walk(name: string, work: () => Promise<unknown>): Promise<void> {
  await filesSince()
  await work()
  print(name, await filesSince())
}

/** Value types and the base kit are used everywhere; they are no step of a walk. */
function print(name: string, files: ReadonlySet<string>): void {
  const steps = [...files].filter((file) => /^src\/(?!base\/|net\/)/.test(file)).sort()
  process.stdout.write(`${name}: ${steps.length} files of src without base and net, `)
  process.stdout.write(`${files.size} with these and memberlist-js\n`)
  for (const file of steps) process.stdout.write(`  ${file}\n`)
}

async function walkCalls(): Promise<void> {
  const { plugin } = await startLonePlugin()
  const server = await startServer({ introduction: { addressSpaces }, handlers: plugin.handlers })
  const engine = new FakeEngine({ socket: server.managed, version: '28.5.2' })
  const call = (method: string, body: object) => engine.call(method, JSON.stringify(body))
  const [NetworkID, EndpointID] = ['a'.repeat(64), 'b'.repeat(64)]
  const { PoolID } = await call('IpamDriver.RequestPool', {
    AddressSpace: addressSpaces.local,
    Pool: '10.10.0.0/16',
  })
  const pool = { AddressSpace: addressSpaces.local, Pool: '10.10.0.0/16', Gateway: '10.10.0.1/16' }
  await call('IpamDriver.RequestAddress', {
    PoolID,
    Address: '10.10.0.1',
    Options: { RequestAddressType: 'com.docker.network.gateway' },
  })
  await call('NetworkDriver.CreateNetwork', { NetworkID, Options: {}, IPv4Data: [pool] })
  const { Address } = await call('IpamDriver.RequestAddress', { PoolID, Address: '' })
  const endpoint = { NetworkID, EndpointID }
  await walk('CreateEndpoint', () =>
    call('NetworkDriver.CreateEndpoint', {
      ...endpoint,
      Interface: { Address, MacAddress: '' },
      Options: {},
    }),
  )
  await walk('Join', () =>
    call('NetworkDriver.Join', { ...endpoint, SandboxKey: '/run/docker/netns/walk', Options: {} }),
  )
  engine.close()
  await server.dispose()
  await plugin.stop()
}

async function walkPacket(): Promise<void> {
  const hosts = new WholeHosts()
  const [sender, receiver] = [await hosts.add(), await hosts.add()]
  const overlayId = 'blue'
  const { vni, ip } = { vni: 7000 as Vni, ip: parseIp('10.10.0.9')! }
  await hosts.done(
    receiver.plugin.reconciler.attachOverlay({
      overlayId,
      vni,
      vtep: parseIp('192.0.2.2')!,
      port: 4789,
      mtu: 1450,
      gateways: [],
    }),
  )
  await hosts.clock.advance(1000)
  const record = { vni, endpointId: 'b'.repeat(16), ips: [ip], mac: macOfIp(ip), claimedAt: 1 }
  hosts.network.conditions = { ...hosts.network.conditions, delayMs: [delayMs, delayMs] }
  sender.plugin.cluster.put(endpointRecord, record)
  // The packet has been sent by then and has not arrived.
  await hosts.clock.advance(delayMs / 2)
  await walk('Gossip packet', async () => {
    while (receiver.neighbours(overlayId).length === 0) await hosts.clock.advance(0.25)
  })
  await hosts.stop()
}

await walkCalls()
await walkPacket()
session.disconnect()
