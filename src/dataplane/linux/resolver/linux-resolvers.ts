import { promises } from 'node:fs'
import { basename, join } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import { isBug, isSystemError, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { Every } from '../../../base/timers.ts'
import type { AnswerQuery, SandboxResolvers } from '../../resolvers.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNewNetns } from '../netns/netns.ts'
import { isPinned } from '../netns/pin.ts'
import { SandboxResolver } from './sandbox-resolver.ts'
import { Steering, renewalIntervalMs } from './steering.ts'

/**
 * How often a namespace is looked for that is not there yet. Engines before 28 make it after Join,
 * and between that and the first instruction of the process are 130 ms at least (measured on a fast
 * machine; slower ones need longer for both).
 */
const lookIntervalMs = 10
/** After that long without it the container did not start, or takes its time. */
const impatientMs = 10_000
const patientIntervalMs = 500
/** Each table that the kernel takes away with us costs 15 ms of our end (measured). */
const maxOwned = 64
/** Between two tries to open a resolver that cannot be opened, ms. */
const retryMs = 5000

interface LinuxResolversOptions {
  /** Where the engine's files of namespaces are. */
  readonly sandboxDirectory: string
  readonly answer: AnswerQuery
  readonly clock: Clock
  readonly logger: Logger
  /** No other process may have had it: part of the name of our tables. */
  readonly processName: string
}

/** A sandbox that is to have a resolver, and may have one. */
interface Wanted {
  readonly sandbox: string
  readonly sinceMs: number
  resolver: SandboxResolver | null
  isOwned: boolean
  /** Not before then, on the clock. */
  retryMs: number
  isWarned: boolean
  readonly renewal: Every
}

/**
 * Resolvers in the namespaces of this kernel. They live in the thread that made this, and so do
 * their renewals: when that thread hangs, the engine answers.
 */
export class LinuxResolvers implements SandboxResolvers {
  readonly #options: LinuxResolversOptions
  readonly #wanted = new Map<string, Wanted>()
  readonly #look: Every
  #canOwn = true

  constructor(options: LinuxResolversOptions) {
    this.#options = options
    this.#look = new Every({
      clock: options.clock,
      intervalMs: () => this.#lookIntervalMs(),
      run: () => this.#openAwaited(),
    })
  }

  async start(): Promise<string | null> {
    // Creates libuv's threads, which must not happen while this thread visits a namespace.
    await promises.stat('/')
    try {
      this.#canOwn = probe(true) === null
      const obstacle = this.#canOwn ? null : probe(false)
      if (obstacle === null) return null
      return `this kernel has not all that steers queries (${obstacle}): load nf_tables`
    } catch (error) {
      if (isBug(error)) throw error
      return messageOf(error)
    }
  }

  async attach(sandbox: string): Promise<'attached' | 'awaited'> {
    let wanted = this.#wanted.get(sandbox)
    if (wanted === undefined) {
      wanted = this.#newWanted(sandbox)
      this.#wanted.set(sandbox, wanted)
    }
    this.#open(wanted)
    if (wanted.resolver !== null) return 'attached'
    if (!this.#look.isStarted) this.#look.start(lookIntervalMs)
    return 'awaited'
  }

  async detach(sandbox: string): Promise<void> {
    const wanted = this.#wanted.get(sandbox)
    if (wanted === undefined) return
    this.#wanted.delete(sandbox)
    this.#close(wanted)
  }

  async attached(): Promise<string[]> {
    return this.#all().flatMap(({ resolver, sandbox }) => (resolver === null ? [] : sandbox))
  }

  async ask(sandbox: string, query: Uint8Array): Promise<Uint8Array | null> {
    const resolver = this.#wanted.get(sandbox)?.resolver ?? null
    return resolver === null ? null : resolver.ask(Buffer.from(query))
  }

  async audit(): Promise<string[]> {
    const repaired: string[] = []
    for (const wanted of this.#all()) {
      const { sandbox } = wanted
      this.#attempt(wanted, () => {
        const changed = wanted.resolver?.ensure() ?? []
        repaired.push(...changed.map((what) => `${what} in ${basename(sandbox)}`))
      })
    }
    return repaired
  }

  async close(): Promise<void> {
    this.#look.stop()
    for (const wanted of this.#all()) this.#close(wanted)
    this.#wanted.clear()
  }

  #all(): Wanted[] {
    return [...this.#wanted.values()]
  }

  #newWanted(sandbox: string): Wanted {
    const { clock } = this.#options
    const wanted: Wanted = {
      sandbox,
      sinceMs: clock.now(),
      resolver: null,
      isOwned: false,
      retryMs: 0,
      isWarned: false,
      renewal: new Every({
        clock,
        intervalMs: renewalIntervalMs,
        run: () => this.#renew(wanted),
      }),
    }
    return wanted
  }

  /** Opens the resolver when its namespace is there. */
  #open(wanted: Wanted): void {
    const { sandbox } = wanted
    const { sandboxDirectory, answer, clock, processName } = this.#options
    if (wanted.resolver !== null || clock.now() < wanted.retryMs) return
    const path = join(sandboxDirectory, basename(sandbox))
    this.#attempt(wanted, () => {
      if (!isPinned(path)) return
      const owned = this.#all().filter(({ isOwned }) => isOwned).length
      const isOwned = this.#canOwn && owned < maxOwned
      const onError = (error: Error): void => this.#failed(wanted, error)
      const options = { sandbox, answer, clock, processName, isOwned, onError }
      wanted.resolver = new SandboxResolver(path, options)
      wanted.isOwned = isOwned
      wanted.isWarned = false
      wanted.renewal.start()
    })
  }

  /** A table that was removed is made again; a namespace that is gone is waited for. */
  #renew(wanted: Wanted): void {
    const path = join(this.#options.sandboxDirectory, basename(wanted.sandbox))
    this.#attempt(wanted, () => {
      if (!isPinned(path)) return this.#reopen(wanted)
      try {
        wanted.resolver?.renew()
      } catch (error) {
        if (!isSystemError(error)) throw error
        wanted.resolver?.ensure()
      }
    })
  }

  /** Whatever cannot be had is tried again; until then the engine answers. */
  #attempt(wanted: Wanted, work: () => void): void {
    try {
      work()
    } catch (error) {
      if (isBug(error)) throw error
      this.#failed(wanted, error)
    }
  }

  #failed(wanted: Wanted, error: unknown): void {
    const { clock, logger } = this.#options
    if (!wanted.isWarned)
      logger.warn(`no names of other hosts in ${basename(wanted.sandbox)}: ${messageOf(error)}`)
    wanted.isWarned = true
    wanted.retryMs = clock.now() + retryMs
    this.#reopen(wanted)
  }

  #reopen(wanted: Wanted): void {
    this.#close(wanted)
    if (this.#wanted.has(wanted.sandbox) && !this.#look.isStarted) this.#look.start(lookIntervalMs)
  }

  #close(wanted: Wanted): void {
    wanted.renewal.stop()
    wanted.resolver?.close()
    wanted.resolver = null
    wanted.isOwned = false
  }

  #openAwaited(): void {
    for (const wanted of this.#all()) this.#open(wanted)
    if (this.#all().every(({ resolver }) => resolver !== null)) this.#look.stop()
  }

  #lookIntervalMs(): number {
    const youngest = Math.max(
      ...this.#all()
        .filter(({ resolver }) => resolver === null)
        .map(({ sinceMs }) => sinceMs),
    )
    return this.#options.clock.now() - youngest < impatientMs ? lookIntervalMs : patientIntervalMs
  }
}

/** Makes all that a resolver needs of nf_tables in a namespace of its own. @returns why not. */
function probe(isOwned: boolean): string | null {
  const socket = inNewNetns(() => new NetlinkSocket(undefined, 'netfilter'))
  try {
    const ports = { udp: 1, tcp: 1 }
    new Steering(socket, { name: 'probe', ports, isOwned }).ensure()
    return null
  } catch (error) {
    if (isBug(error)) throw error
    return messageOf(error)
  } finally {
    socket.close()
  }
}
