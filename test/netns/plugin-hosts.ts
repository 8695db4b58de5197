/** Whole plugins, each a process in a network namespace of its own, on one underlay. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IpamStatus } from '../../src/ipam/status.ts'
import { EngineStory } from '../support/engine-story.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { labToken } from '../support/lab/host.ts'
import { until } from '../support/lab/processes.ts'
import { type Program, PluginProcess, bundleProgram } from '../support/plugin-process.ts'
import { NetnsLab } from './netns-lab.ts'

/** Some members are found dead by others, or found again, within seconds. */
export const gossipMostMs = 30_000

/** More settings than all hosts have; made before a plugin starts where they need the lab. */
type PluginSettings = Readonly<Record<string, string>>

/** The family of a host's VTEP. */
type Family = 'IPv4' | 'IPv6'

/** The underlay address of a host, by its number. */
function underlayAddress(number: number, family: Family): string {
  return family === 'IPv4' ? `192.0.2.${number}` : `2001:db8::${number}`
}

interface HostPlace {
  readonly number: number
  readonly netns: string
  readonly family: Family
  /** Has one for each host. */
  readonly folder: string
}

/** A host of the underlay: host-1 has 192.0.2.1 or 2001:db8::1, and so on. */
export class PluginHost {
  readonly name: string
  readonly netns: string
  readonly address: string
  readonly story: EngineStory
  readonly #program: Program
  readonly #folder: string
  readonly #env: Readonly<Record<string, string>>
  /** Keeps the mount namespace, and with it the pinned overlays, from one start to the next. */
  #mounts: ChildProcess | null = null
  #plugin: PluginProcess | null = null
  #engine: FakeEngine | null = null

  constructor(
    { number, netns, family, folder }: HostPlace,
    subnets: string | readonly string[],
    program: Program,
    env: Readonly<Record<string, string>>,
  ) {
    this.#env = env
    this.name = `host-${number}`
    this.address = underlayAddress(number, family)
    this.netns = netns
    this.#program = program
    this.#folder = join(folder, this.name)
    this.story = new EngineStory(new FakeEngine({ socket: '', version: '28.5.2' }), subnets)
  }

  get plugin(): PluginProcess {
    if (this.#plugin === null) throw new Error(`${this.name} is off`)
    return this.#plugin
  }

  get engine(): FakeEngine {
    if (this.#engine === null) throw new Error(`${this.name} is off`)
    return this.#engine
  }

  /** Starts the plugin from what is on its disk; `join` as JOIN. */
  async start(join: string, settings: PluginSettings = {}): Promise<void> {
    const own = { ADVERTISE_ADDR: this.address, MEMBER_NAME: this.name }
    const env = { ...own, JOIN: join, TOKEN: labToken, ...this.#env, ...settings }
    const mounts = await this.#mountNamespace()
    const options = { program: this.#program, netns: this.netns, mounts, folder: this.#folder, env }
    this.#plugin = await PluginProcess.start(options)
    this.#engine = new FakeEngine({ socket: this.#plugin.managed, version: '28.5.2' })
    this.story.with(this.#engine)
  }

  /** Waits until it ends by itself, and starts it again, as the engine does. */
  async startAgain(join: string): Promise<void> {
    await this.plugin.ended()
    this.#engine?.close()
    await this.start(join)
  }

  /** Ends it as a crash does: the overlays and the links of its containers stay. */
  async kill(): Promise<void> {
    this.#engine?.close()
    await this.#plugin?.end('SIGKILL')
    this.#engine = this.#plugin = null
  }

  /** Ends it, and what it left in the kernel. */
  async close(): Promise<void> {
    await this.kill()
    this.#mounts?.kill('SIGKILL')
    this.#mounts = null
  }

  async #mountNamespace(): Promise<string> {
    if (this.#mounts === null) {
      const stdio = ['pipe', 'pipe', 'inherit'] as const
      const hold = ['--mount', 'sh', '-c', 'echo ready; exec cat']
      this.#mounts = spawn('unshare', hold, { stdio: [...stdio] })
      await once(this.#mounts.stdout!, 'data')
    }
    return `/proc/${this.#mounts.pid}/ns/mnt`
  }

  async ipam(): Promise<IpamStatus> {
    return (await this.plugin.status()).ipam
  }

  /** Where its state is. */
  get stateDir(): string {
    return join(this.#folder, 'state')
  }

  /** The file of a namespace that the plugin has pinned, as this process can open it. */
  pin(name: string): string {
    return join('/proc', String(this.#mounts?.pid), 'root', this.stateDir, 'netns', name)
  }

  /** Names of the members that vote. */
  async voters(): Promise<readonly string[]> {
    return (await this.plugin.status()).consensus.voters
  }

  /** Whether the journal on its disk has that word. */
  async hasStored(word: string): Promise<boolean> {
    const journal = await readFile(this.plugin.stateFile('store/journal'), 'utf8')
    return journal.includes(`"${word}"`)
  }

  /** How many members it sees alive, itself included. */
  async alive(): Promise<number> {
    const { members } = await this.plugin.status()
    return members.filter(({ state }) => state === 'alive').length
  }
}

/** Hosts with a plugin each, that are one cluster. */
export class PluginHosts {
  readonly program: Program
  readonly #hosts: PluginHost[] = []
  readonly #lab: NetnsLab
  readonly #underlay: string
  readonly #folder: string
  readonly #subnets: string | readonly string[]
  readonly #settings: PluginSettings
  readonly #families: readonly Family[]

  private constructor(
    lab: NetnsLab,
    underlay: string,
    program: Program,
    folder: string,
    subnets: string | readonly string[],
    settings: PluginSettings,
    families: readonly Family[],
  ) {
    this.#lab = lab
    this.#underlay = underlay
    this.program = program
    this.#folder = folder
    this.#subnets = subnets
    this.#settings = settings
    this.#families = families
  }

  /** The file of the namespace of the bridge between the hosts. */
  get underlay(): string {
    return this.#underlay
  }

  get hosts(): readonly PluginHost[] {
    return this.#hosts
  }

  /**
   * So many hosts that see each other, with underlay addresses of all these families and a VTEP of their own one; the
   * network of each one's story has these subnets.
   */
  static async create(
    count: number,
    subnets: string | readonly string[],
    env: PluginSettings | ((lab: NetnsLab) => Promise<PluginSettings>) = {},
    families: readonly Family[] = ['IPv4'],
  ): Promise<PluginHosts> {
    const program = await bundleProgram()
    const lab = await NetnsLab.create()
    const folder = await mkdtemp(join(tmpdir(), 'ts-overlay-hosts-'))
    const underlay = await lab.namespace('underlay')
    await lab.run(underlay, 'ip', 'link', 'add', 'wire', 'type', 'bridge', 'mcast_snooping', '0')
    await lab.run(underlay, 'ip', 'link', 'set', 'wire', 'up')
    const settings = typeof env === 'function' ? await env(lab) : env
    const all = new PluginHosts(lab, underlay, program, folder, subnets, settings, families)
    for (let number = 1; number <= count; number++) await all.add()
    await all.together()
    return all
  }

  /** Plugs one more host in, and starts its plugin. */
  async add(): Promise<PluginHost> {
    const number = this.hosts.length + 1
    const netns = await this.#lab.namespace(`host-${number}`)
    const veth = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]
    await this.onUnderlay('ip', 'link', 'add', `port${number}`, ...veth)
    await this.onUnderlay('ip', 'link', 'set', `port${number}`, 'master', 'wire', 'up')
    for (const [family, suffix] of Object.entries({ IPv4: '/24', IPv6: '/64' })) {
      if (!this.#families.includes(family as Family)) continue
      const address = underlayAddress(number, family as Family) + suffix
      const isDetected = family === 'IPv6' ? ['nodad'] : []
      await this.#lab.run(netns, 'ip', 'addr', 'add', address, 'dev', 'eth0', ...isDetected)
    }
    await this.#lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
    await this.#lab.run(netns, 'ip', 'route', 'add', 'default', 'dev', 'eth0')
    await this.#lab.forwarding(this.#underlay)
    const settings = this.#settings
    const family = this.#families[number - 1] ?? this.#families[0]!
    const place = { number, netns, family, folder: this.#folder }
    const host = new PluginHost(place, this.#subnets, this.program, settings)
    await host.start(this.hosts[0]?.address ?? '')
    this.#hosts.push(host)
    return host
  }

  /** Waits until everybody sees everybody, and is registered. */
  async together(): Promise<void> {
    const isIn = async (host: PluginHost): Promise<boolean> =>
      (await host.alive()) === this.hosts.length && (await host.ipam()).member.registered
    const all = async (): Promise<boolean> =>
      (await Promise.all(this.hosts.map(isIn))).every(Boolean)
    await until(all, 'all members', gossipMostMs, 50)
  }

  /** A container of that host in a namespace of its own, as the engine makes it. */
  async container(
    { story, netns }: PluginHost,
    name: string,
  ): Promise<{ readonly netns: string; readonly ip: string }> {
    const { endpointId, link } = await story.start(name)
    const sandbox = await this.#lab.namespace(name)
    const address = story.containers.get(endpointId)!
    await this.#lab.run(netns, 'ip', 'link', 'set', link, 'netns', sandbox, 'name', 'eth0')
    await this.#lab.run(sandbox, 'ip', 'addr', 'add', address, 'dev', 'eth0')
    await this.#lab.run(sandbox, 'ip', 'link', 'set', 'eth0', 'up')
    return { netns: sandbox, ip: address.split('/')[0]! }
  }

  /** Runs a command in a namespace. */
  run(netns: string, ...command: string[]): Promise<string> {
    return this.#lab.run(netns, ...command)
  }

  /** Runs a command on the underlay, through whose bridge all frames go. */
  onUnderlay(...command: string[]): Promise<string> {
    return this.#lab.run(this.#underlay, ...command)
  }

  /** Takes a host's cable away, or puts it back. */
  async cable(host: PluginHost, state: 'up' | 'down'): Promise<void> {
    const port = `port${this.hosts.indexOf(host) + 1}`
    await this.#lab.run(this.#underlay, 'ip', 'link', 'set', port, state)
    if (state === 'up') await this.#lab.forwarding(this.#underlay)
  }

  async close(): Promise<void> {
    for (const host of this.hosts) await host.close()
    this.#lab.close()
    await rm(this.#folder, { recursive: true })
  }
}
