import { formatAddress, type MemoryNetwork, type VirtualClock } from 'memberlist-js'
import { messageOf, OverlayError, isSystemError } from '../../../src/base/errors.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { Plugin } from '../../../src/plugin.ts'
import { type DiskCopy, SimulatedDisk } from './disk.ts'
import { EngineClient } from './engine-client.ts'
import { type AddressObserver, Engine, type EngineNetwork } from './engine.ts'
import { SimulatedKernel } from './kernel.ts'
import { type HostTime, Life } from './life.ts'
import { gossipPort, PluginProcess } from './process.ts'

/** How long the engine takes to start a plugin that ended, ms. */
const restartMs = 600
/** What a machine takes to boot, ms. */
const bootMs = 3000

/** What all hosts share. */
export interface HostParts {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly observer: AddressObserver & { loses(host: string): void }
  readonly note: (line: string) => void
  /** What a plugin's own code throws and nobody expects. */
  readonly onBug: (host: string, error: unknown) => void
  /** Called with each plugin that is about to start. */
  readonly onPlugin: (plugin: Plugin) => void
  readonly isVerbose: boolean
}

/** What is on a host's disk: the plugin's and the engine's. */
export interface HostCopy {
  readonly disk: DiskCopy
  readonly networks: ReadonlyMap<string, EngineNetwork>
}

/** A machine: clock, disk, kernel, an engine, and the plugin's process, which the engine starts again when it ends. */
export class Host {
  readonly name: string
  readonly address: Ip
  readonly disk: SimulatedDisk
  readonly kernel: SimulatedKernel
  readonly time: HostTime = { rate: 1, wallOffsetMs: 0 }
  engine!: Engine
  process: PluginProcess | null = null
  /** Where other members are, as the operator wrote it down. */
  seeds: readonly string[]
  /** The engine does not start the plugin: it was disabled, or the machine is off. */
  isHeldDown = false
  /** The machine has no power until this is false again. */
  isSwitchedOff = false
  starts = 0
  #engineLife!: Life
  #networks = new Map<string, EngineNetwork>()
  readonly #unheard = new Set<string>()
  readonly #parts: HostParts
  readonly #random: Random

  constructor(index: number, seeds: readonly string[], seed: number, parts: HostParts) {
    this.name = `host-${index}`
    this.address = parseIp(`192.168.${index >> 8}.${index & 255}`)!
    this.seeds = seeds
    this.#parts = parts
    this.#random = seededRandom(seed)
    this.disk = new SimulatedDisk(parts.clock, seededRandom(seed + 1))
    this.kernel = new SimulatedKernel(parts.clock, seededRandom(seed + 2))
    this.#startEngine(false)
  }

  /** Where its gossip listens, as the network calls it. */
  get gossip(): string {
    return formatAddress({ address: this.address, port: gossipPort })
  }

  get isUp(): boolean {
    return this.process?.isReady === true
  }

  /** The engine starts the plugin. */
  start(): void {
    this.isHeldDown = false
    if (this.process !== null || this.isSwitchedOff) return
    const { clock, network, onBug, onPlugin, note, isVerbose } = this.#parts
    const bug = (error: unknown): void => onBug(this.name, error)
    const process = new PluginProcess({
      life: new Life(clock, this.time, bug),
      host: this.name,
      address: this.address,
      seeds: this.seeds,
      seed: this.#random.uint32(),
      disk: this.disk,
      kernel: this.kernel,
      network,
      onBug: bug,
      onPlugin,
      onLine: isVerbose ? (line) => note(`${this.name} ${line}`) : () => {},
    })
    this.process = process
    this.starts++
    process.start().catch((error: unknown) => {
      if (!(error instanceof OverlayError) && !isSystemError(error)) return bug(error)
      note(`${this.name} does not start: ${messageOf(error)}`)
      this.crash()
    })
  }

  /** The plugin's process ends at once; the engine starts it again. */
  crash(): void {
    this.#endProcess(false)
    this.#startLater(restartMs)
  }

  /** The machine loses its power, and boots later. Its containers are gone. */
  losePower(): void {
    this.#endMachine()
    this.disk.losePower()
    this.#bootLater()
  }

  /** The machine is set up from nothing, or from a copy of its disk. */
  reinstall(copy: HostCopy | null): void {
    this.#endMachine()
    if (copy === null) this.disk.wipe()
    else this.disk.restore(copy.disk)
    this.#networks = structuredClone(new Map(copy?.networks))
    this.#bootLater()
  }

  copy(): HostCopy {
    return { disk: this.disk.copy(), networks: structuredClone(this.#networks) }
  }

  /** The engine alone ends, with its containers, and starts again. */
  restartEngine(): void {
    this.#parts.observer.loses(this.name)
    this.#endContainers()
    this.#engineLife.end()
    this.#endProcess(false)
    this.#bootLater()
  }

  /** The plugin is disabled in good order: what it has in the kernel stays. */
  async stop(): Promise<void> {
    const { process } = this
    if (process === null || !process.isReady) return
    this.isHeldDown = true
    process.isReady = false
    const stopped = process.stop().catch((error: unknown) => {
      this.#parts.onBug(this.name, error)
    })
    await Promise.race([stopped, process.life.ended])
    if (this.process !== process) return
    this.#endProcess(false)
    if (!this.#isHeld()) this.start()
  }

  /** The process stands still. */
  pause(): void {
    this.process?.life.pause()
    this.#parts.network.freeze({ address: this.address, port: gossipPort })
  }

  unpause(): void {
    this.process?.life.unpause()
    this.#parts.network.thaw({ address: this.address, port: gossipPort })
  }

  /** The monotonic clock runs at another speed, the time of day is wrong by so much. */
  setTime(time: Partial<HostTime>): void {
    this.process?.life.keepTime()
    this.#engineLife.keepTime()
    Object.assign(this.time, time)
  }

  /** Ends everything, for good. */
  destroy(): void {
    this.isHeldDown = true
    this.#engineLife.end()
    this.process?.end(true)
    this.process = null
  }

  /** A start may have come while the plugin was stopping. */
  #isHeld(): boolean {
    return this.isHeldDown
  }

  #endProcess(silently: boolean): void {
    const { process } = this
    if (process === null) return
    this.process = null
    process.end(silently)
    this.disk.processEnds()
    this.#parts.network.thaw({ address: this.address, port: gossipPort })
  }

  #endMachine(): void {
    this.#parts.observer.loses(this.name)
    this.#engineLife.end()
    this.#endProcess(true)
    for (const { containers } of this.#networks.values())
      for (const container of containers.values()) container.isRunning = false
    this.kernel.reboot()
  }

  #endContainers(): void {
    for (const { containers } of this.#networks.values())
      for (const container of containers.values()) {
        container.isRunning = false
        this.kernel.destroySandbox(container.endpointId)
      }
  }

  #bootLater(): void {
    this.#startEngine(true)
    const { engine } = this
    this.#startLater(bootMs, () => {
      if (this.engine === engine) void engine.boot()
    })
  }

  #startLater(ms: number, then: () => void = () => {}): void {
    this.#parts.clock.setTimeout(() => {
      if (this.isHeldDown || this.isSwitchedOff) return this.#startLater(ms, then)
      this.start()
      then()
    }, ms)
  }

  #startEngine(boots: boolean): void {
    const { clock, note, observer, onBug } = this.#parts
    const life = new Life(clock, this.time, (error) => onBug(`the engine of ${this.name}`, error))
    this.#engineLife = life
    const client = new EngineClient(
      life,
      this.#random,
      () => (this.process?.isReady === true ? this.process : null),
      (line) => note(`${this.name} ${line}`),
    )
    const { name: host, kernel } = this
    this.engine = new Engine(
      {
        host,
        life,
        client,
        kernel,
        random: this.#random,
        observer,
        networks: this.#networks,
        unheard: this.#unheard,
      },
      { boots },
    )
  }
}
