/** A few whole plugins without faults, for what one test makes them do: on the simulator's machines, in virtual time. */
import { setTimeout as realTime } from 'node:timers/promises'
import { MemoryNetwork, VirtualClock } from 'memberlist-js'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { Plugin, PluginOptions } from '../../../src/plugin.ts'
import { type DiskCopy, SimulatedDisk } from '../simulator/disk.ts'
import { SimulatedKernel } from '../simulator/kernel.ts'
import { Life } from '../simulator/life.ts'
import { PluginProcess, type ProcessParts } from '../simulator/process.ts'

export interface WholeHost {
  readonly name: string
  /** As of its last start. */
  readonly plugin: Plugin
  readonly lines: string[]
  readonly disk: SimulatedDisk
  readonly kernel: SimulatedKernel
  /** The addresses that an overlay has neighbours for. */
  readonly neighbours: (overlayId: string) => string[]
  /** The VTEPs behind its WireGuard device; null without one. */
  readonly encryptedPeers: () => Promise<string[] | null>
  readonly presharedKeys: () => Promise<(string | null)[]>
  /** Stops the plugin and starts it again, as the engine does, at that address. */
  readonly restart: (address?: Ip) => Promise<void>
  /** Takes its power away, or gives it back. */
  readonly power: (isOn: boolean) => Promise<void>
}

interface HostOptions extends Partial<PluginOptions> {
  readonly name?: string
  readonly token?: string | null
  readonly ports?: ProcessParts['ports']
  /** A copy of another host's. */
  readonly disk?: DiskCopy
}

/** A plugin that does not start or stop within this never does, ms. */
const maxStepMs = 10_000
const stepMs = 20
/** Hosts have found each other after this, ms. */
const joinMs = 3000

export class WholeHosts {
  readonly clock = new VirtualClock()
  readonly hosts: WholeHost[] = []
  readonly network: MemoryNetwork
  readonly #random: Random = seededRandom(1)

  constructor() {
    const { clock } = this
    const onStreamProgress = (): void => clock.settle()
    this.network = new MemoryNetwork({ clock, random: this.#random, onStreamProgress })
  }

  /** Adds a host, called host-1, host-2 and so on if it has no other name, and has it join the first. */
  async add(options: HostOptions = {}): Promise<WholeHost> {
    const { name = `host-${this.hosts.length + 1}` } = options
    const lines: string[] = []
    const { clock } = this
    const kernel = new SimulatedKernel(clock, this.#random)
    const disk = new SimulatedDisk(clock, this.#random)
    if (options.disk !== undefined) disk.restore(options.disk)
    const seeds = this.hosts.length === 0 ? [] : [addressOf(1)]
    const machine = { host: name, seeds, disk, kernel, onLine: (line: string) => lines.push(line) }
    const first = addressOf(this.hosts.length + 1)
    let process = await this.#start(options, { ...machine, address: first })
    const neighbours = (overlayId: string): string[] => [
      ...(kernel.tables.overlay(overlayId)?.neighbours.keys() ?? []),
    ]
    const encryptedPeers = async (): Promise<string[] | null> => {
      const found = await kernel.tables.wireGuard.dump()
      return found === null ? null : found.peers.flatMap(({ allowed }) => allowed).sort()
    }
    const presharedKeys = async (): Promise<(string | null)[]> => {
      const found = await kernel.tables.wireGuard.dump()
      return (found?.peers ?? []).map(({ presharedKey }) => presharedKey)
    }
    const restart = async (address = first): Promise<void> => {
      await this.done(process.stop())
      process.end(false)
      process = await this.#start(options, { ...machine, address })
    }
    const power = async (isOn: boolean): Promise<void> => {
      if (isOn) process = await this.#start(options, { ...machine, address: first })
      else process.end(true)
    }
    const told = { neighbours, encryptedPeers, presharedKeys, restart, power }
    const host: WholeHost = {
      name,
      get plugin() {
        return process.plugin!
      },
      lines,
      disk,
      kernel,
      ...told,
    }
    this.hosts.push(host)
    await clock.advance(joinMs)
    return host
  }

  async #start(
    { token, ports, ...rest }: HostOptions,
    machine: Pick<ProcessParts, 'host' | 'address' | 'seeds' | 'disk' | 'kernel' | 'onLine'>,
  ): Promise<PluginProcess> {
    const settings: Partial<PluginOptions> = rest
    const fail = (error: unknown): never => {
      throw error
    }
    const process = new PluginProcess({
      ...machine,
      life: new Life(this.clock, { rate: 1, wallOffsetMs: 0 }, fail),
      seed: this.#random.uint32(),
      network: this.network,
      ...(token !== undefined && { token }),
      ...(ports !== undefined && { ports }),
      settings,
      onBug: fail,
      onPlugin: () => {},
    })
    await this.done(process.start()).catch((error: unknown) => {
      process.end(false)
      throw error
    })
    return process
  }

  /** No host reaches another. */
  cut(): void {
    this.network.passes = () => false
  }

  heal(): void {
    this.network.passes = () => true
  }

  async stop(): Promise<void> {
    await this.done(Promise.all(this.hosts.map(({ plugin }) => plugin.stop())))
  }

  /** Waits, in virtual time, for what a host does. */
  async done<T>(work: Promise<T>): Promise<T> {
    const state = { isSettled: false }
    const end = work.finally(() => (state.isSettled = true))
    end.catch(() => {})
    for (let ms = 0; !state.isSettled && ms < maxStepMs; ms += stepMs) {
      await this.clock.advanceUntil(() => state.isSettled, stepMs)
      // TLS takes some turns of the event loop, in real time.
      if (!state.isSettled) await realTime(1)
    }
    return end
  }
}

export function addressOf(host: number): Ip {
  return parseIp(`192.0.2.${host}`)!
}
