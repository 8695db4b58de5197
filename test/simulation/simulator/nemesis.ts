import type { MemoryNetwork, VirtualClock } from 'memberlist-js'
import type { Fault } from './faults.ts'
import { faultText } from './faults.ts'
import { OverlayError } from '../../../src/base/errors.ts'
import type { Host, HostCopy } from './host.ts'
import type { PluginProcess } from './process.ts'
import { Quorum, votersOf } from './quorum.ts'

/** How the links are without any weather. */
const good = { loss: 0, duplication: 0, delayMs: [0.2, 1] as const }

/** Who votes is looked at this often, ms. */
const lookEveryMs = 500

/** An operator tries again after this, ms. */
const betweenTriesMs = 500

/** A leader has noticed an old disk so long after its host was up, ms (docs/consensus.md). */
const noticedMs = 5000

/** A way that is closed. */
interface Cut {
  readonly from: ReadonlySet<string>
  readonly to: ReadonlySet<string>
}

interface NemesisParts {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly hosts: readonly Host[]
  readonly note: (line: string) => void
}

/** Carries out a schedule of faults: each begins and ends at its time. */
export class Nemesis {
  readonly #parts: NemesisParts
  readonly #cuts = new Set<Cut>()
  readonly #quorum = new Quorum()
  /** When all faults are over. */
  #endMs = 0
  #isEvicting = false
  /** An old disk is put back: the network is whole, and nothing else begins. */
  #isRestoring = false
  readonly #underWay = new Set<Fault>()
  /** How often each kind happened. */
  readonly counts = new Map<string, number>()

  constructor(parts: NemesisParts) {
    this.#parts = parts
    const { network } = parts
    network.conditions = good
    network.passes = (from, to) => {
      if (this.#isRestoring) return true
      for (const cut of this.#cuts) if (cut.from.has(from) && cut.to.has(to)) return false
      return true
    }
  }

  /** Plans all of them; time has to go on for them to happen. */
  schedule(faults: readonly Fault[]): void {
    const { clock, note } = this.#parts
    this.#endMs = clock.now() + Math.max(0, ...faults.map(({ atMs, forMs }) => atMs + forMs))
    this.#lookAfterQuorum()
    for (const fault of faults) {
      clock.setTimeout(() => {
        if (this.#isRestoring) return note(`passed over: ${faultText(fault)}`)
        note(`FAULT ${faultText(fault)}`)
        this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1)
        const end = this.#begin(fault)
        if (end === null) return
        this.#underWay.add(fault)
        clock.setTimeout(() => {
          this.#underWay.delete(fault)
          note(`END of ${fault.kind} since ${(fault.atMs / 1000).toFixed(3)} s`)
          end()
        }, fault.forMs)
      }, fault.atMs)
    }
  }

  #lookAfterQuorum(): void {
    const { clock, hosts } = this.#parts
    this.#quorum.look(hosts)
    clock.setTimeout(() => this.#lookAfterQuorum(), lookEveryMs)
  }

  /** Begins a fault; returns how it ends, null when it is over already. */
  #begin(fault: Fault): (() => void) | null {
    const { network, hosts, note } = this.#parts
    const host = 'host' in fault ? hosts[fault.host]! : hosts[0]!
    switch (fault.kind) {
      case 'weather':
        network.conditions = { ...fault, delayMs: [0.2, fault.delayMs] }
        return () => (network.conditions = good)
      case 'partition': {
        const inside = this.#keys((index) => fault.side.includes(index))
        const outside = this.#keys((index) => !fault.side.includes(index))
        return this.#cut({ from: inside, to: outside }, { from: outside, to: inside })
      }
      case 'oneWay':
        return this.#cut({
          from: this.#keys((index) => fault.from.includes(index)),
          to: this.#keys((index) => fault.to.includes(index) && !fault.from.includes(index)),
        })
      case 'crash':
        host.crash()
        return null
      case 'crashAtDisk':
        host.disk.crashAfter(fault.operations, () => host.crash())
        return () => host.disk.crashAfter(0, () => {})
      case 'powerLoss':
        host.losePower()
        return null
      case 'outage':
        host.isHeldDown = true
        host.losePower()
        return () => (host.isHeldDown = false)
      case 'evict':
        // It takes a majority without the host, and two that are off for it may be what that lacks.
        if (this.#isEvicting || host.isSwitchedOff || !this.#quorum.mayLose(host, hosts))
          return null
        this.#isEvicting = host.isSwitchedOff = true
        host.losePower()
        void this.#evict(host).then(() => this.#switchOn(host))
        return null
      case 'upgrade':
        void host.stop()
        return () => host.start()
      case 'engineRestart':
        host.restartEngine()
        return null
      case 'pause':
        host.pause()
        return () => host.unpause()
      case 'clock':
        host.setTime(fault)
        // The operator synchronizes it: a newcomer with a wrong clock is refused.
        return () => host.setTime({ rate: 1, wallOffsetMs: 0 })
      case 'diskFull':
        host.disk.full = true
        return () => (host.disk.full = false)
      case 'diskLost':
        if (this.#quorum.mayLose(host, hosts)) host.reinstall(null)
        else note(`${host.name} keeps its disk: too few voters would be left`)
        return null
      case 'diskOld': {
        const copy = host.copy()
        return () => {
          if (host.isSwitchedOff || !this.#quorum.mayLose(host, hosts)) return
          host.isSwitchedOff = true
          host.losePower()
          void this.#restore(host, copy)
        }
      }
      case 'kernelFailures':
        host.kernel.failures = fault.share
        return () => (host.kernel.failures = 0)
      case 'brokenCalls':
        host.engine.client.breakage = fault.share
        return () => (host.engine.client.breakage = 0)
    }
  }

  /**
   * Operators on the other hosts evict it until one of them is told that it is done: what failed may still take effect,
   * so it must not return before (docs/ipam.md).
   */
  async #evict({ name }: Host): Promise<void> {
    const { hosts, note } = this.#parts
    for (let tries = 0; ; tries++) {
      const { process } = hosts[tries % hosts.length]!
      if (process?.isReady !== true) {
        // Its turn is the next one's.
      } else if (await isEvicted(process, name)) return note(`${name} is evicted`)
      await this.#pause()
    }
  }

  /**
   * A host that was evicted while it was off cannot know it, and hands out what it had when it reaches nobody who does
   * (docs/ipam.md). So it returns when the faults are over and somebody leads.
   */
  async #switchOn(host: Host): Promise<void> {
    const { clock, hosts } = this.#parts
    while (clock.now() < this.#endMs || votersOf(hosts) === null) await this.#pause()
    host.isSwitchedOff = this.#isEvicting = false
  }

  /**
   * An old disk costs nothing while a leader reaches its host from its start on (docs/consensus.md). So it is put back while
   * another host leads that no fault touches, and until that has noticed the network is whole.
   */
  async #restore(host: Host, copy: HostCopy): Promise<void> {
    const { hosts, network } = this.#parts
    while (this.#isRestoring || !this.#isLed(host)) await this.#pause()
    this.#isRestoring = true
    const { conditions } = network
    network.conditions = good
    host.isSwitchedOff = false
    host.reinstall(copy)
    while (!host.isUp) await this.#pause()
    for (let ms = 0; ms < noticedMs; ms += betweenTriesMs) await this.#pause()
    this.#isRestoring = false
    const isWeather = [...this.#underWay].some(({ kind }) => kind === 'weather')
    network.conditions = isWeather ? conditions : good
    this.#quorum.look(hosts)
  }

  /** Whether one host leads, and no fault under way is its, nor this one's. */
  #isLed(host: Host): boolean {
    const { hosts } = this.#parts
    const leader = hosts.find(
      ({ process }) => process?.plugin?.consensus.status().role === 'leader' && process.isReady,
    )
    if (leader === undefined || leader === host || host.isHeldDown) return false
    return ![...this.#underWay].some((fault) => {
      const touched = 'host' in fault && fault.kind !== 'diskOld' ? hosts[fault.host] : undefined
      return touched === leader || touched === host
    })
  }

  async #pause(): Promise<void> {
    const { clock } = this.#parts
    await new Promise<void>((resolve) => {
      clock.setTimeout(() => {
        clock.settle()
        resolve()
      }, betweenTriesMs)
    })
  }

  #cut(...cuts: readonly Cut[]): () => void {
    for (const cut of cuts) this.#cuts.add(cut)
    return () => {
      for (const cut of cuts) this.#cuts.delete(cut)
    }
  }

  #keys(includes: (index: number) => boolean): ReadonlySet<string> {
    return new Set(
      this.#parts.hosts.filter((_, index) => includes(index)).map(({ gossip }) => gossip),
    )
  }
}

/** Whether the cluster does not have that member any more, as an operator at this process learns. */
async function isEvicted({ plugin, life }: PluginProcess, name: string): Promise<boolean> {
  const evicting = plugin!.ipam.evict([name], { force: true }).then(
    () => true,
    (error: unknown) => {
      if (!(error instanceof OverlayError)) throw error
      return error.code === 'MEMBER_UNKNOWN'
    },
  )
  return Promise.race([evicting, life.ended.then(() => false)])
}
