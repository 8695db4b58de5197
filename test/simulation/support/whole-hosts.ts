/** A few whole plugins without faults, for what one test makes them do: on the simulator's machines, in virtual time. */
import { setTimeout as realTime } from 'node:timers/promises'
import { MemoryNetwork, VirtualClock } from 'memberlist-js'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { Plugin, PluginOptions } from '../../../src/plugin.ts'
import { SimulatedDisk } from '../simulator/disk.ts'
import { SimulatedKernel } from '../simulator/kernel.ts'
import { Life } from '../simulator/life.ts'
import { PluginProcess, type ProcessParts } from '../simulator/process.ts'

export interface WholeHost {
  readonly name: string
  readonly plugin: Plugin
  readonly lines: string[]
  readonly disk: SimulatedDisk
  /** The addresses that an overlay has neighbours for. */
  readonly neighbours: (overlayId: string) => string[]
  /** The VTEPs behind its WireGuard device; null without one. */
  readonly encryptedPeers: () => Promise<string[] | null>
  readonly presharedKeys: () => Promise<(string | null)[]>
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
  async add(
    options: Partial<PluginOptions> & {
      readonly name?: string
      readonly token?: string | null
      readonly ports?: ProcessParts['ports']
    } = {},
  ): Promise<WholeHost> {
    const { name = `host-${this.hosts.length + 1}`, token, ports, ...settings } = options
    const lines: string[] = []
    const fail = (error: unknown): never => {
      throw error
    }
    const { clock, network } = this
    const kernel = new SimulatedKernel(clock, this.#random)
    const disk = new SimulatedDisk(clock, this.#random)
    const process = new PluginProcess({
      life: new Life(clock, { rate: 1, wallOffsetMs: 0 }, fail),
      host: name,
      address: addressOf(this.hosts.length + 1),
      seeds: this.hosts.length === 0 ? [] : [addressOf(1)],
      seed: this.#random.uint32(),
      disk,
      kernel,
      network,
      ...(token !== undefined && { token }),
      ...(ports !== undefined && { ports }),
      settings,
      onBug: fail,
      onPlugin: () => {},
      onLine: (line) => lines.push(line),
    })
    await this.done(process.start()).catch((error: unknown) => {
      process.end(false)
      throw error
    })
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
    const told = { neighbours, encryptedPeers, presharedKeys }
    const host = { name, plugin: process.plugin!, lines, disk, ...told }
    this.hosts.push(host)
    await clock.advance(joinMs)
    return host
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

function addressOf(host: number): Ip {
  return parseIp(`192.0.2.${host}`)!
}
