/** Three members with their logs, requests and messages, and one whose keys somebody else has. */
import { Memberlist, type Transport, seededRandom } from 'memberlist-js'
import { silentLogger } from '../../src/base/logger.ts'
import { Cluster } from '../../src/cluster/cluster.ts'
import { createMemberlistGossip } from '../../src/cluster/gossip/memberlist-gossip.ts'
import { type EndpointRecord, endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { encodeMeta } from '../../src/cluster/wire/piggyback.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Vni } from '../../src/net/vni.ts'
import { startMs } from '../unit/identity/people.ts'
import { type SealedMember, TestCluster } from '../unit/identity/test-cluster.ts'
import { VirtualWorld } from '../unit/identity/virtual-world.ts'

export const label = 'ts-overlay'

export class Members extends VirtualWorld {
  readonly identities = new TestCluster(this.clock())
  readonly clusters: Cluster[] = []
  readonly sealed: SealedMember[] = []
  readonly handled: string[] = []

  async start(): Promise<void> {
    for (const host of [1, 2, 3]) await this.add(host)
    for (const cluster of this.clusters) await this.during(cluster.join(['10.0.0.1']))
    await this.advance(5000)
  }

  async add(host: number): Promise<void> {
    const [name, clock, random] = [`host${host}`, this.clock(), seededRandom(host)]
    const sealed = this.identities.member(name, this.at(host))
    const transport = async (): Promise<Transport> => sealed.transport
    const cluster = new Cluster({
      name,
      clock,
      random,
      logger: silentLogger,
      records: [endpointRecord],
      address: `10.0.0.${host}` as Ip,
      gossip: createMemberlistGossip({ name, clock, random, label, transport }),
      epochStore: { load: () => undefined, save: async () => {} },
      signatures: sealed.transport.signatures,
    })
    cluster.handle('ask', async (from) => {
      this.handled.push(`${name} asked by ${from}`)
      return 'answer'
    })
    cluster.handle('hang', async (from) => {
      this.handled.push(from)
      return await new Promise<never>(() => {})
    })
    cluster.requests.listen('raft', (from) => this.handled.push(`${name} told by ${from}`))
    cluster.put(endpointRecord, endpointOf(host))
    this.clusters.push(cluster)
    this.sealed.push(sealed)
    await cluster.start()
  }

  /** A member that speaks the library's protocol, and what it likes above it. */
  async evil(): Promise<{ list: Memberlist; sealed: SealedMember }> {
    const sealed = this.identities.member('evil', this.at(9))
    const { transport } = sealed
    const list = new Memberlist({
      name: 'evil',
      transport,
      clock: this.clock(),
      random: seededRandom(9),
      label,
      delegateVersions: [16, 16, 16],
      delegate: { meta: () => encodeMeta({ epoch: startMs, address: '10.0.0.9' as Ip }) },
      config: 'lan',
    })
    list.start()
    await this.during(list.join(['10.0.0.1']))
    await this.advance(3000)
    return { list, sealed }
  }

  /** Each member's view of all records: owner, address, claim. */
  records(): string[] {
    return this.clusters.map((cluster) =>
      Array.from(
        cluster.records(endpointRecord),
        ({ origin, record }) => `${origin} ${record.ips.join()} ${record.claimedAt}`,
      )
        .toSorted()
        .join('; '),
    )
  }

  counted(what: string): number {
    return this.clusters.reduce((sum, each) => sum + (each.status().counters[what] ?? 0), 0)
  }

  async close(): Promise<void> {
    for (const cluster of this.clusters) await this.during(cluster.close())
  }
}

export const claimedAt = Math.floor(startMs / 1000)

export function endpointOf(host: number, at = claimedAt): EndpointRecord {
  const ip = `10.10.0.${host}` as Ip
  const endpointId = `${host}`.repeat(16)
  return {
    kind: 'endpoint',
    vni: 4096 as Vni,
    endpointId,
    ips: [ip],
    mac: macOfIp(ip),
    claimedAt: at,
  }
}

export function summaryOf(cluster: Cluster): { epoch: number; head: number } {
  const { epoch, published } = cluster.status()
  return { epoch, head: published }
}
