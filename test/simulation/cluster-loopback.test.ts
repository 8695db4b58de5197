import { expect } from 'chai'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Cluster } from '../../src/cluster/cluster.ts'
import {
  createMemberlistGossip,
  gossipSockets,
} from '../../src/cluster/gossip/memberlist-gossip.ts'
import { type EndpointRecord, endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { blockRecord, recordTypes } from '../../src/wiring/records.ts'
import type { Ip } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import { scaled } from '../support/time.ts'
import { long } from './support/seeds.ts'

/*
 * The same cluster on real sockets of this machine, encrypted, in real time: that what holds in
 * virtual time is not an effect of it.
 */

const port = 27_946
const endpoints = long ? 100_000 : 5000

function member(index: number, label = 'loopback'): Cluster {
  const address = `127.0.0.${100 + index}` as Ip
  const name = `host-${index}`
  const gossip = createMemberlistGossip({
    name,
    clock: systemClock,
    random: systemRandom,
    label,
    transport: gossipSockets({ bindAddress: address, port, advertise: { address } }),
  })
  let epoch: number | undefined
  return new Cluster({
    name,
    address,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    gossip,
    records: recordTypes,
    epochStore: { load: () => epoch, save: async (value) => void (epoch = value) },
  })
}

function endpoint(i: number, claimedAt = 1_790_000_000): EndpointRecord {
  const ip = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` as Ip
  const endpointId = i.toString(16).padStart(16, '0')
  return { kind: 'endpoint', vni: 5000 as Vni, endpointId, ips: [ip], mac: macOfIp(ip), claimedAt }
}

async function until(done: () => boolean, ms = 8000): Promise<number> {
  const start = systemClock.now()
  while (!done()) {
    if (systemClock.now() - start > scaled(ms)) throw new Error(`not within ${scaled(ms)} ms`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return systemClock.now() - start
}

const countOf = (cluster: Cluster): number => [...cluster.records(endpointRecord)].length

describe('simulation/cluster on loopback', function () {
  this.timeout(long ? 120_000 : 30_000)
  const running: Cluster[] = []
  const seed = [`127.0.0.101:${port}`]

  async function up(index: number, seeds: readonly string[] = seed): Promise<Cluster> {
    const cluster = member(index)
    running.push(cluster)
    await cluster.start()
    await cluster.join(seeds)
    return cluster
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((cluster) => cluster.close()))
  })

  it('three members share records, ask one another, and forget who leaves', async () => {
    const first = await up(1, [])
    const second = await up(2)
    const third = await up(3)
    first.put(endpointRecord, endpoint(1))
    second.put(blockRecord, { poolKey: '10.0.0.0/8', index: 3, since: 5 })
    await until(() => countOf(third) === 1 && [...third.records(blockRecord)].length === 1)
    expect([...third.records(blockRecord)][0]).to.deep.include({ origin: 'host-2', visible: true })

    first.handle('echo', async (from, body) => ({ from, body }))
    const long = 'x'.repeat(200_000)
    for (const body of ['short', long]) {
      const answer = await third.request('host-1', 'echo', body, { timeoutMs: scaled(3000) })
      expect(answer).to.deep.equal({ from: 'host-3', body })
    }

    first.remove(endpointRecord, '5000/0000000000000001')
    await until(() => countOf(third) === 0 && countOf(second) === 0)
    await second.leave()
    await until(() => [...third.records(blockRecord), ...first.records(blockRecord)].length === 0)
    expect(third.members().find(({ name }) => name === 'host-2')?.state).to.equal('left')
    await until(() => first.status().root === third.status().root)
  })

  it('hides the records of a member that crashed, and shows those of its next run', async () => {
    const first = await up(1, [])
    const second = await up(2)
    second.put(endpointRecord, endpoint(7, 1))
    await until(() => countOf(first) === 1)
    await second.close()
    await until(() => countOf(first) === 0)
    expect([...first.records(endpointRecord, { hidden: true })]).to.have.length(1)
    await expectAway(first.request('host-2', 'echo', null, { timeoutMs: 1000 }))
    const again = member(2)
    running.push(again)
    await again.start()
    again.put(endpointRecord, endpoint(7, 2))
    await again.join(seed)
    await until(() =>
      [...first.records(endpointRecord)].some(({ record }) => record.claimedAt === 2),
    )
  })

  it('does not talk to members with another label', async () => {
    const first = await up(1, [])
    const stranger = member(2, 'another')
    running.push(stranger)
    await stranger.start()
    const joining = stranger.join(seed).catch((error: Error) => error)
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(first.members()).to.have.length(1)
    expect(stranger.synced()).to.equal(false)
    await stranger.close()
    void joining
  })

  it(`a joiner gets ${endpoints} endpoints without the event loop standing still`, async () => {
    const first = member(1)
    running.push(first)
    await first.start()
    for (let i = 0; i < endpoints; i++) first.put(endpointRecord, endpoint(i))
    await first.join([])
    const second = member(2)
    running.push(second)
    let told = 0
    second.onTransitions((batch) => (told += batch.length))
    await second.start()
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const start = systemClock.now()
    await second.join(seed)
    await until(() => told === endpoints, 60_000)
    const ms = systemClock.now() - start
    delay.disable()
    const p99 = delay.percentile(99) / 1e6
    process.stdout.write(
      `    ${endpoints} endpoints over loopback, encrypted: ${Math.round(ms)} ms; ` +
        `event loop late p99 ${p99.toFixed(1)} ms, max ${(delay.max / 1e6).toFixed(1)} ms\n`,
    )
    expect(countOf(second)).to.equal(endpoints)
  })
})

async function expectAway(request: Promise<unknown>): Promise<void> {
  const outcome = await request.catch((error: unknown) => error)
  expect(outcome).to.have.property('code', 'MEMBER_AWAY')
}
