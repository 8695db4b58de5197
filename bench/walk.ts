/**
 * Which files of src and of memberlist-js the code of a call or of a packet runs through, by V8's
 * precise coverage of functions:
 *
 *     node --conditions=source bench/walk.ts
 *
 * The calls are those of the first container of an overlay, up to the answer (gossip follows it),
 * through the engine's protocol, with store and kernel in memory. The packet is the one that brings
 * an endpoint to another host, from its arrival to the rows in the kernel.
 */
import { Session } from 'node:inspector/promises'
import { setTimeout } from 'node:timers/promises'
import { join, relative } from 'node:path'
import { endpointRecord } from '../src/cluster/wire/endpoint-record.ts'
import { macOfIp } from '../src/net/mac.ts'
import { parseIp } from '../src/net/ip.ts'
import type { Vni } from '../src/net/vni.ts'
import { WholeHosts } from '../test/simulation/support/whole-hosts.ts'
import { FakeEngine } from '../test/support/fake-engine.ts'
import { startLonePlugin } from '../test/support/lone-plugin.ts'
import { startServer } from '../test/support/plugin-server.ts'
import { addressSpaces } from '../src/net/pool-id.ts'

/** One-way delay of the packet, ms: long enough to tell sending from receiving. */
const delayMs = 40
/** Between two calls, ms. */
const settleMs = 50
/** Calls of each kind. */
const repetitions = 10
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

/** The files of one piece of work. */
async function filesOf(work: () => Promise<unknown>): Promise<Set<string>> {
  // What the call before left to timers is done by then.
  await setTimeout(settleMs)
  await filesSince()
  await work()
  return filesSince()
}

/**
 * Value types and the base kit are used everywhere, and Raft's clock ticks all the time: no steps
 * of a walk.
 */
function print(name: string, files: ReadonlySet<string>): void {
  const steps = [...files].filter((file) => /^src\/(?!base|net|consensus)/.test(file)).sort()
  process.stdout.write(`${name}: ${steps.length} steps, `)
  process.stdout.write(`${files.size} files in all\n`)
  for (const file of steps) process.stdout.write(`  ${file}\n`)
}

/**
 * Several containers, each the first on its overlay: what few of them ran through is background
 * work.
 */
async function walkCalls(): Promise<void> {
  const { plugin } = await startLonePlugin()
  const server = await startServer({ introduction: { addressSpaces }, handlers: plugin.handlers })
  const engine = new FakeEngine({ socket: server.managed, version: '28.5.2' })
  const call = (method: string, body: object) => engine.call(method, JSON.stringify(body))
  const create: Set<string>[] = []
  const join: Set<string>[] = []
  for (let n = 10; n < 10 + repetitions; n++) {
    const endpoint = { NetworkID: `${n}`.repeat(32), EndpointID: `${n}`.repeat(32) }
    const address = await createNetwork(call, endpoint.NetworkID, `10.${n}.0`)
    const created = { ...endpoint, Interface: { Address: address, MacAddress: '' }, Options: {} }
    create.push(await filesOf(() => call('NetworkDriver.CreateEndpoint', created)))
    const joined = { ...endpoint, SandboxKey: `/run/docker/netns/${n}`, Options: {} }
    join.push(await filesOf(() => call('NetworkDriver.Join', joined)))
  }
  print('CreateEndpoint', common(create))
  print('Join', common(join))
  engine.close()
  await server.dispose()
  await plugin.stop()
}

/** A network with a subnet of its own. Resolves with an address of it. */
async function createNetwork(
  call: (method: string, body: object) => Promise<Readonly<Record<string, unknown>>>,
  NetworkID: string,
  prefix: string,
): Promise<unknown> {
  const space = { AddressSpace: addressSpaces.local, Pool: `${prefix}.0/24` }
  const { PoolID } = await call('IpamDriver.RequestPool', space)
  const gateway = { RequestAddressType: 'com.docker.network.gateway' }
  await call('IpamDriver.RequestAddress', { PoolID, Address: `${prefix}.1`, Options: gateway })
  const IPv4Data = [{ ...space, Gateway: `${prefix}.1/24` }]
  await call('NetworkDriver.CreateNetwork', { NetworkID, Options: {}, IPv4Data })
  const { Address } = await call('IpamDriver.RequestAddress', { PoolID, Address: '' })
  return Address
}

/** What most repetitions ran through. */
function common(sets: readonly Set<string>[]): Set<string> {
  const isCommon = (file: string): boolean =>
    sets.filter((files) => files.has(file)).length > sets.length / 2
  return new Set(sets.flatMap((files) => [...files]).filter(isCommon))
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
  await filesSince()
  while (receiver.neighbours(overlayId).length === 0) await hosts.clock.advance(0.25)
  print('Gossip packet', await filesSince())
  await hosts.stop()
}

await walkCalls()
await walkPacket()
session.disconnect()
