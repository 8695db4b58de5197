import { MemoryNetwork, VirtualClock } from 'memberlist-js'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import type { AnyRecord } from '../../../src/cluster/wire/record-type.ts'
import { recordTypes } from '../../../src/wiring/records.ts'
import { AddressChecker } from './checkers/addresses.ts'
import type { Checker } from './checkers/checker.ts'
import { cluster } from './checkers/cluster.ts'
import { consensus } from './checkers/consensus.ts'
import { kernel } from './checkers/kernel.ts'
import { RaftWatch } from './checkers/raft.ts'
import { members } from './checkers/members.ts'
import { watchResurrections } from './checkers/resurrections.ts'
import { subnets } from './checkers/subnets.ts'
import { vnis } from './checkers/vnis.ts'
import { type Fault, type FaultWeights, planFaults } from './faults.ts'
import { History } from './history.ts'
import { Host } from './host.ts'
import { Nemesis } from './nemesis.ts'
import { repair } from './operator.ts'
import { roomySubnet, runningIn, User } from './user.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly hosts: number
  /** How long there are faults, ms. */
  readonly troubleMs: number
  readonly faults: number
  /** Which kinds of faults, with how often each is drawn; all unless given. */
  readonly only?: FaultWeights
  /** Of the planned faults leaves out those with these numbers. */
  readonly without?: ReadonlySet<number>
  /** A user types a command at most so often, ms; of more than 30 hosts all users as often as those of 30. */
  readonly pauseMs?: number
  /** Networks have several subnets, and get more. */
  readonly severalSubnets?: boolean
  readonly isShown?: boolean
}

/** Hosts start one after another, so far apart, ms. */
const startEveryMs = 50
/** After the last fault all must be right within this, ms. Orphans take five graces of 15 s, and an audit. */
const settleMs = 240_000
/** So often it is looked whether all is right, ms. */
const lookEveryMs = 1000

const maxFindings = 10
/** A command that needs others is tried again so often after the faults. */
const maxTries = 10
const betweenTriesMs = 5000

/** Servers of Raft are looked at this often, ms. */
const lookAtRaftMs = 25

/** What a run came to. */
export interface Outcome {
  readonly virtualMs: number
  readonly realMs: number
  readonly packets: number
  readonly commands: number
  readonly failed: number
  readonly addresses: number
  readonly settledMs: number
  readonly faults: ReadonlyMap<string, number>
}

/** The command that shows a run again, with all that happens. */
export function replayOf(options: SimulationOptions): string {
  const { seed, hosts, troubleMs, faults, only = {}, without = new Set() } = options
  const kinds = Object.entries(only).map(([kind, weight]) => `${kind}:${weight}`)
  const drawn = kinds.length === 0 ? '' : ` ONLY=${kinds.join()}`
  const left = `${drawn}${without.size === 0 ? '' : ` WITHOUT=${[...without].join()}`}`
  const several = options.severalSubnets === true ? ' SEVERAL=1' : ''
  const run = 'node --conditions=source test/simulation/simulator/run.ts'
  return `SEED=${seed} HOSTS=${hosts} SECONDS=${troubleMs / 1000} FAULTS=${faults}${several}${left} SHOW=1 ${run}`
}

/** Whole hosts, users on them, faults at random, and then a time without: all from one seed. */
export class Simulation {
  readonly clock = new VirtualClock()
  readonly hosts: Host[] = []
  readonly history: History
  readonly nemesis: Nemesis
  readonly plan: readonly Fault[]
  readonly addresses: AddressChecker
  readonly #network: MemoryNetwork
  readonly #options: SimulationOptions
  readonly #random: Random
  readonly #raft = new RaftWatch()
  #violation: Error | null = null

  constructor(options: SimulationOptions) {
    const { seed, isShown = false, hosts, troubleMs, faults, only } = options
    this.#options = options
    this.#random = seededRandom(seed)
    const { clock } = this
    this.history = new History(() => clock.now(), isShown)
    const note = (line: string): void => this.history.note(line)
    this.#network = new MemoryNetwork({
      clock,
      random: seededRandom(this.#random.uint32()),
      onStreamProgress: () => clock.settle(),
    })
    this.addresses = new AddressChecker((what) => this.#violate(what), note)
    for (let index = 1; index <= hosts; index++) this.#addHost(index, note)
    this.nemesis = new Nemesis({ clock, network: this.#network, hosts: this.hosts, note })
    const planned = planFaults(seededRandom(this.#random.uint32()), {
      hosts,
      count: faults,
      durationMs: troubleMs,
      ...(only === undefined ? {} : { only }),
    })
    this.plan = planned.filter((_, number) => options.without?.has(number) !== true)
  }

  /** Runs to the end. Throws the first thing that does not hold. */
  async run(): Promise<Outcome> {
    const began = performance.now()
    try {
      await this.start()
      await this.suffer()
      const settledMs = await this.settle()
      await this.clear()
      return this.#outcome(performance.now() - began, settledMs)
    } finally {
      this.end()
    }
  }

  /** Ends all hosts. */
  end(): void {
    for (const host of this.hosts) host.destroy()
  }

  #addHost(index: number, note: (line: string) => void): void {
    const seeds = index === 1 ? [] : ['192.168.0.1', '192.168.0.2'].slice(0, index - 1)
    const host: Host = new Host(index, seeds, this.#random.uint32(), {
      clock: this.clock,
      network: this.#network,
      observer: this.addresses,
      note,
      onBug: (where, error) => this.#violate(`bug on ${where}: ${stackOf(error)}`),
      onPlugin: (plugin) =>
        watchResurrections(
          plugin,
          host.name,
          (name) => this.hosts.find((other) => other.name === name),
          (what) => this.#violate(what),
        ),
      isVerbose: true,
    })
    this.hosts.push(host)
  }

  /** Looks at all servers now and then, for as long as the simulation goes on. */
  #watchRaft(): void {
    try {
      this.#raft.look(this.hosts)
    } catch (error) {
      this.#violate((error as Error).message)
    }
    this.clock.setTimeout(() => this.#watchRaft(), lookAtRaftMs)
  }

  /** Starts all hosts, and waits until they are one cluster with all its voters. */
  async start(): Promise<void> {
    this.#watchRaft()
    for (const host of this.hosts) {
      host.start()
      await this.advance(startEveryMs)
    }
    const [first] = this.hosts
    await this.until('all hosts know each other', 120_000, [members, consensus])
    // From now on the first host, too, finds the others when it has lost its disk.
    first!.seeds = this.hosts.slice(1, 3).map(({ address }) => address)
  }

  /** Users work and faults happen, for as long as the options say. */
  async suffer(): Promise<void> {
    const { troubleMs, hosts, severalSubnets } = this.#options
    const { pauseMs = 2000 * Math.max(1, hosts / 30) } = this.#options
    const users = this.hosts.map((host) => {
      const random = seededRandom(this.#random.uint32())
      return new User(this.clock, host, this.hosts, random, pauseMs, severalSubnets)
    })
    for (const user of users) void user.work()
    this.nemesis.schedule(this.plan)
    await this.advance(troubleMs)
    for (const user of users) user.stop()
    this.history.note('the faults are over')
  }

  /** After the faults: until all is right, and every host can start a container. */
  async settle(): Promise<number> {
    const all = [idle, members, consensus, cluster, kernel, vnis, subnets, this.addresses]
    const took = await this.until('all is right', settleMs, all).catch(async (error: unknown) => {
      if (!(await repair(this.hosts))) throw error
      await this.untilIdle()
      return settleMs + (await this.until('all is right after repair', settleMs, all))
    })
    await this.#useAll()
    await this.until('all is right after use', settleMs, all)
    return took
  }

  /** Each host can create a network and start a container, at the latest after some tries. */
  async #useAll(): Promise<void> {
    const subnet = roomySubnet
    const use = async ({ name, engine }: Host): Promise<void> => {
      for (let tries = maxTries; tries > 0; tries--) {
        await engine.createNetwork(subnet)
        if (await engine.run(subnet)) return
        await new Promise<void>((resolve) => {
          this.clock.setTimeout(() => {
            this.clock.settle()
            resolve()
          }, betweenTriesMs)
        })
      }
      this.#violate(`${name} could not start a container in ${subnet}`)
    }
    let left = this.hosts.length
    for (const host of this.hosts) void use(host).finally(() => left--)
    const done: Checker = { name: 'use', check: () => (left > 0 ? [`${left} hosts`] : []) }
    await this.until('all hosts could start a container', settleMs, [done])
  }

  /** Everybody removes everything; nothing may be left anywhere. */
  async clear(): Promise<void> {
    for (const { engine } of this.hosts)
      for (const network of engine.networks.values())
        for (const endpointId of runningIn(network)) void engine.stop(network.subnet, endpointId)
    await this.untilIdle()
    for (const { engine } of this.hosts)
      for (const subnet of engine.networks.keys()) void engine.removeNetwork(subnet)
    await this.untilIdle()
    const empty: Checker = { name: 'empty', check: (hosts) => hosts.flatMap(leftOf) }
    await this.until('nothing is left', settleMs, [
      idle,
      members,
      consensus,
      cluster,
      kernel,
      this.addresses,
      empty,
    ])
  }

  /** Until no engine has a command under way. */
  async untilIdle(): Promise<void> {
    await this.until('all commands have ended', settleMs, [idle])
  }

  /** Time goes on until these checkers find nothing. Throws what they find after `ms`. Returns how long it took, ms. */
  async until(what: string, ms: number, checkers: readonly Checker[]): Promise<number> {
    const start = this.clock.now()
    for (;;) {
      const found = this.#findings(checkers)
      if (found.length === 0) break
      if (this.clock.now() - start >= ms)
        throw new Error(`${what}: not within ${ms} ms:\n${found.join('\n')}`)
      await this.advance(lookEveryMs)
    }
    this.history.note(`${what}, after ${this.clock.now() - start} ms`)
    return this.clock.now() - start
  }

  /** Of the first that finds anything: what the later ones find follows from it more often than not. */
  #findings(checkers: readonly Checker[]): string[] {
    for (const checker of checkers) {
      const found = checker.check(this.hosts)
      if (found.length === 0) continue
      const more = found.length > maxFindings ? [`and ${found.length - maxFindings} more`] : []
      return [`${checker.name}:`, ...found.slice(0, maxFindings), ...more]
    }
    return []
  }

  /** Lets time go on. Throws the first violation. */
  async advance(ms: number): Promise<void> {
    await this.clock.advanceUntil(() => this.#violation !== null, ms)
    if (this.#violation !== null) throw this.#violation
  }

  #violate(what: string): void {
    this.history.note(`VIOLATION ${what}`)
    this.#violation ??= new Error(what)
  }

  #outcome(realMs: number, settledMs: number): Outcome {
    const engines = this.hosts.map(({ engine }) => engine)
    const sum = (of: (engine: Host['engine']) => number): number =>
      engines.reduce((total, engine) => total + of(engine), 0)
    return {
      virtualMs: this.clock.now(),
      realMs,
      packets: this.#network.traffic.packets,
      commands: sum(({ successes }) => successes),
      failed: sum(({ failures }) => failures),
      addresses: this.addresses.given,
      settledMs,
      faults: this.nemesis.counts,
    }
  }
}

/** No command is under way. */
const idle: Checker = {
  name: 'engines',
  check: (hosts) =>
    hosts.filter(({ engine }) => engine.isBusy).map(({ name }) => `${name} is busy`),
}

function leftOf({ name, process, kernel: { tables } }: Host): string[] {
  const plugin = process?.plugin
  const left = tables.overlayIds().map((overlayId) => `overlay ${overlayId} in the kernel`)
  for (const type of recordTypes)
    for (const { self, record } of plugin?.cluster.records<AnyRecord>(type) ?? [])
      if (self) left.push(JSON.stringify(record))
  return left.map((what) => `${name} still has ${what}`)
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
