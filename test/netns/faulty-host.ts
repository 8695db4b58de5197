import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { isBug } from '../../src/base/errors.ts'
import { portNameOf, sourceNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import { isPinned } from '../../src/dataplane/linux/netns/pin.ts'
import type { Peer } from '../../src/net/endpoint.ts'
import { PeeredReconciler } from '../support/peered-reconciler.ts'
import { Driver } from '../../src/driver/driver.ts'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import { type DriverWorld, createDriverWorld, driverPartsOf } from '../support/fake-driver-parts.ts'
import { type BeforeCall, type Layer, watchCalls } from './kernel-calls.ts'
import { LabHost } from './lab-host.ts'
import { scaled } from '../support/time.ts'
import { NetnsLab } from './netns-lab.ts'

/** The overlay of the one network on a faulty host. */
export const overlayId = '10.30.0.0/16'
export const gateway = parseIpInCidr('10.30.0.1/16')!
/** Longer than a network keeps its overlay after its last container, ms. */
const teardownDelayMs = 1500

/** What came of work during which something happened before one call. */
export interface Outcome {
  /** Whether there was a call of that number. */
  readonly reached: boolean
  readonly failed: boolean
  /** The call, for messages. */
  readonly call: string
}

/** A new host for each test of the present `describe`, which is skipped where the kernel cannot. */
export function useFaultyHost(what: string): () => FaultyHost {
  let faulty: FaultyHost | null = null
  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`${what} skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    faulty = await FaultyHost.create()
  })
  afterEach(async () => {
    await faulty?.close()
    faulty = null
  })
  return () => faulty!
}

/**
 * A host of the lab with one network and one peer: the driver, the reconciler and the Linux data plane are the real
 * ones. Time stands still but where a test moves it, so nothing is tried again while a test looks.
 */
export class FaultyHost {
  readonly lab: NetnsLab
  readonly host: LabHost
  readonly world: DriverWorld = createDriverWorld()
  reconciler!: PeeredReconciler
  driver!: Driver
  peer!: Peer
  readonly #descriptorsBefore: number

  private constructor(lab: NetnsLab, host: LabHost, descriptorsBefore: number) {
    this.lab = lab
    this.host = host
    this.#descriptorsBefore = descriptorsBefore
  }

  static async create(): Promise<FaultyHost> {
    const before = descriptors()
    const lab = await NetnsLab.create()
    const faulty = new FaultyHost(lab, await LabHost.alone(lab), before)
    faulty.restart()
    const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
    await faulty.driver.createNetwork({ networkId: 'n', options: {}, internal: false, pools })
    const { vni } = faulty.driver.networksWithEndpoints()[0]!.network
    const address = { ips: ['10.30.0.9' as Ip], mac: '02:42:0a:1e:00:09' as Mac }
    const claim = { vni, origin: 'b', endpointId: 'p', live: true, claimedAt: 1 }
    faulty.peer = { ...claim, ...address, vtep: '192.168.200.9' as Ip }
    faulty.reconciler.applyPeers([{ previous: null, next: faulty.peer }])
    return faulty
  }

  /** Nothing of it is left, no descriptor either. */
  async close(): Promise<void> {
    await this.driver.stop()
    await this.reconciler.stop()
    await this.host.close()
    this.lab.close()
    // Those of commands that have ended are closed within moments.
    for (let wait = 0; wait < scaled(100) && descriptors() > this.#descriptorsBefore; wait++)
      await sleep(20)
    expect(descriptors(), 'descriptors').to.be.at.most(this.#descriptorsBefore)
  }

  /** What a start of the process builds: the kernel and the disk stay. */
  restart(): void {
    const { dataplane, vtep } = this.host
    const { clock, logger } = this.world
    this.reconciler = new PeeredReconciler({ dataplane, clock, logger })
    this.driver = new Driver({
      ...driverPartsOf(this.world),
      peers: this.reconciler.peers,
      dataplane: this.reconciler,
      vtep,
    })
  }

  /** @returns the name that the engine gets. */
  async join(id: string, ip: string, sandboxKey: string | null = null): Promise<string> {
    const addresses = [parseIpInCidr(`${ip}/16`)!]
    const endpoint = { networkId: 'n', endpointId: id }
    await this.driver.createEndpoint({ ...endpoint, addresses, mac: null })
    return (await this.driver.join({ ...endpoint, sandboxKey })).sourceName
  }

  async remove(id: string): Promise<void> {
    await this.driver.leave('n', id)
    await this.driver.deleteEndpoint('n', id)
  }

  /** Advances the clock until the overlay of a network without containers is removed. */
  async waitForTeardown(): Promise<void> {
    await this.world.clock.advance(teardownDelayMs)
  }

  /** Whether all rows are in the kernel, as far as is known. */
  get isSettled(): boolean {
    const [overlay] = this.reconciler.status().overlays
    return overlay !== undefined && overlay.endpoints === 1 && overlay.settled
  }

  /** Lets time pass until `isSo`, and the machine have turns. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (let wait = 0; wait < scaled(50) && !(await isSo()); wait++) {
      await this.waitForTeardown()
      await sleep(20)
    }
  }

  async expectNothing(note: string): Promise<void> {
    await this.until(async () => (await this.host.leftovers()).length === 0)
    expect(await this.host.leftovers(), note).to.deep.equal([])
  }

  async expectNoLinkOf(id: string, note: string): Promise<void> {
    const left = await this.host.leftovers()
    for (const link of [sourceNameOf(overlayId, id), portNameOf(overlayId, id)])
      expect(left, note).to.not.include(link)
  }

  /** Everything of an overlay with these endpoints, and nothing else; the audit has nothing to repair. */
  async expectWhole(note: string, ...ids: string[]): Promise<void> {
    const actual = await this.host.dataplane.dump(overlayId)
    const endpoints = actual?.endpoints.map(
      ({ endpointId, portConfigured }) => `${endpointId} ${portConfigured}`,
    )
    expect(endpoints?.toSorted(), note).to.deep.equal(ids.map((id) => `${id} true`))
    expect([actual!.fdb.length, actual!.neighbours.length], note).to.deep.equal([1, 1])
    const [report] = await this.reconciler.audit()
    const nothing = { links: 0, endpoints: 0, fdb: 0, neighbours: 0, sources: 0 }
    expect(report, note).to.deep.include({ drift: nothing, missing: [] })
  }

  /** Runs `work` with `happens` before its `nth` call of a layer, which may have the call fail. */
  async disturbed(
    { layer, happens }: Disturbance,
    nth: number,
    work: () => Promise<unknown>,
  ): Promise<Outcome> {
    let calls = 0
    let call = 'none'
    const unwatch = watchCalls(layer, (name) => {
      if (++calls !== nth) return null
      call = name
      return happens(name)
    })
    let failed = false
    try {
      await work()
    } catch (error) {
      if (isBug(error)) throw error
      failed = true
    } finally {
      unwatch()
    }
    return { reached: calls >= nth, failed, call }
  }
}

export interface Disturbance {
  readonly layer: Layer
  readonly happens: BeforeCall
}

/** How many sockets and namespaces this process holds. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    const path = `/proc/self/fd/${fd}`
    try {
      return isPinned(path) || readlinkSync(path).startsWith('socket:')
    } catch {
      return false
    }
  }).length
}
