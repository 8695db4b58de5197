/**
 * Five hosts that vote, apart from the lab that the other end-to-end tests share: here hosts lose
 * their power, their disks and their majority.
 */
import { rm } from 'node:fs/promises'
import { expect } from 'chai'
import type { ConsensusStatus } from '../../src/consensus/ports.ts'
import { unreachedPairs } from '../support/lab/all-pairs.ts'
import {
  type Placed,
  containersOn,
  createContainer,
  startContainer,
} from '../support/lab/containers.ts'
import { type EngineVersion, parseEngineVersion } from '../support/lab/engines.ts'
import type { Host } from '../support/lab/host.ts'
import { Lab } from '../support/lab/lab.ts'
import { until } from '../support/lab/processes.ts'
import { ours } from './cluster.ts'

const count = 5
/** Servers are replaced within a minute, members found within seconds. */
const patienceMs = 90_000
/** A host that other hosts look for has been gone for a few seconds. */
const pollMs = 100

/** Which engine runs where: as in the other lab, but with a second host of another engine. */
function engines(): EngineVersion[] {
  const wanted = process.env['ENGINE'] || '28.5'
  if (wanted === 'mixed') return ['28.5', '26.1', '20.10', '28.5', '26.1']
  const main = parseEngineVersion(wanted)
  return [main, main, main === '28.5' ? '20.10' : '28.5', main, main]
}

export class FiveHosts {
  readonly #lab: Lab
  /** Those with power. */
  readonly #on = new Set<Host>()
  /** Names of containers are used once. */
  #containers = 0

  private constructor(lab: Lab) {
    this.#lab = lab
  }

  /** Five engines; nobody has the plugin yet. */
  static async create(): Promise<FiveHosts> {
    const report = (line: string): void => void process.stdout.write(`  ${line}\n`)
    return new FiveHosts(await Lab.create({ hosts: count, engine: engines(), report }))
  }

  /** By number, from 1. */
  host(index: number): Host {
    return this.#lab.host(index)
  }

  /** Those with power and the plugin. */
  get running(): Host[] {
    return this.#lab.hosts.filter((host) => this.#on.has(host))
  }

  async destroy(): Promise<void> {
    await this.#lab.destroy()
  }

  /** Installs the plugin. Members have the names of their hosts, so that a replaced one is known. */
  async install(...hosts: readonly Host[]): Promise<void> {
    await Promise.all(
      hosts.map(async (host) => {
        const [seed] = this.running
        const join = seed === undefined ? {} : { JOIN: seed.address }
        await host.installPlugin({ MEMBER_NAME: host.name, ...join })
      }),
    )
    for (const host of hosts) this.#on.add(host)
  }

  /** Pulls their plugs at once. */
  async powerOff(...hosts: readonly Host[]): Promise<void> {
    for (const host of hosts) this.#on.delete(host)
    await Promise.all(hosts.map((host) => host.powerOff()))
  }

  async boot(...hosts: readonly Host[]): Promise<void> {
    await Promise.all(hosts.map((host) => host.boot()))
    for (const host of hosts) this.#on.add(host)
  }

  /** A new machine with the name and the address of one that has no power. */
  async replace(host: Host): Promise<void> {
    for (const folder of ['upper', 'docker', 'containerd'])
      await rm(`${host.machine.dir}/${folder}`, { recursive: true })
    await host.boot()
    await host.importImage('image.tar')
    await this.install(host)
  }

  async consensusOf(host: Host): Promise<ConsensusStatus> {
    return (await host.pluginStatus()).consensus
  }

  /** Waits until the hosts that run are one cluster with these voters, all of which answer. */
  async untilVoters(...voters: readonly Host[]): Promise<void> {
    const names = voters.map(({ name }) => name).join()
    let last: ConsensusStatus[] = []
    const isSo = async (): Promise<boolean> => {
      const asked = await Promise.allSettled(this.running.map((host) => this.consensusOf(host)))
      last = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      const [leader, ...more] = last.filter(({ role }) => role === 'leader')
      return (
        leader !== undefined &&
        more.length === 0 &&
        last.length === this.running.length &&
        last.every(({ clusterId }) => clusterId === leader.clusterId) &&
        leader.voters.toSorted().join() === names &&
        leader.missing.length === 0
      )
    }
    await until(isSo, `voters ${names}`, patienceMs, pollMs).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}`)
    })
  }

  /** Waits until one of the hosts that run leads, and returns it. */
  async leader(): Promise<Host> {
    let found: Host | undefined
    const isLed = async (): Promise<boolean> => {
      for (const host of this.running)
        if ((await this.consensusOf(host).catch(() => null))?.role === 'leader') found = host
      return found !== undefined
    }
    await until(isLed, 'a leader', patienceMs, pollMs)
    return found!
  }

  /** Waits until that host sees the running hosts alive, and no suspect. */
  async untilSeen(by: Host): Promise<void> {
    const isSo = async (): Promise<boolean> => {
      const { members } = await by.pluginStatus()
      const seen = members.filter(({ state }) => state === 'alive' || state === 'suspect')
      return seen.length === this.running.length
    }
    await until(isSo, `${by.name}: ${this.running.length} are alive`, patienceMs, pollMs)
  }

  /** `docker network create` on one host after the other, as a person does. */
  async createNetwork(hosts: readonly Host[], name: string, subnet: string): Promise<void> {
    for (const host of hosts)
      await host.docker(['network', 'create', ...ours, '--subnet', subnet, name])
  }

  /** Starts a container on each of these hosts at once; returns their names. */
  async startOn(hosts: readonly Host[], network: string): Promise<string[]> {
    return Promise.all(
      hosts.map(async (host) => {
        const name = `c${++this.#containers}`
        await createContainer(host, network, name)
        await startContainer(host, name)
        return name
      }),
    )
  }

  /**
   * A container starts on each host that runs. All on the network have addresses of their own, and
   * the new ones reach each other.
   */
  async expectService(network: string): Promise<void> {
    const names = await this.startOn(this.running, network)
    const all = await this.containers(network)
    const addresses = all.map(({ ip }) => ip)
    expect(new Set(addresses).size, addresses.join(' ')).to.equal(addresses.length)
    const started = all.filter(({ name }) => names.includes(name))
    expect(started).to.have.length(this.running.length)
    // The kernels of hosts that were away need a moment until they ask for each other again.
    let left: string[] = []
    const isWhole = async (): Promise<boolean> =>
      (left = await unreachedPairs(network, started)).length === 0
    await until(isWhole, 'all pairs', patienceMs, pollMs).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${left.join(', ')}`)
    })
  }

  /** What runs on the network, by the engines of the hosts that run. */
  async containers(network: string): Promise<Placed[]> {
    const each = await Promise.all(this.running.map((host) => containersOn(host, network)))
    return each.flat()
  }

  /** What the operator's command line asks of the plugin; the answer's JSON. */
  async admin(on: Host, method: string, path: string): Promise<Record<string, unknown>> {
    const { body } = await on.pluginCall(method, path)
    return body as Record<string, unknown>
  }
}
