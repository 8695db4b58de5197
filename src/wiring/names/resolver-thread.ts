import { Worker } from 'node:worker_threads'
import { failure } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { TableChange } from '../../names/name-table.ts'
import type { Resolvers } from '../../names/names.ts'
import type { Ip } from '../../net/ip.ts'

/** What the thread is started with. */
export interface ThreadOptions {
  readonly sandboxDirectory: string
  /** Of this process alone. */
  readonly processName: string
  readonly auditIntervalMs: number
}

/** The verbs that are answered. */
export type Verb = Exclude<keyof Resolvers, 'apply'>

export type ToThread =
  | { readonly kind: 'changes'; readonly changes: readonly TableChange[] }
  | {
      readonly kind: 'call'
      readonly id: number
      readonly verb: Verb
      readonly args: readonly unknown[]
    }

export type FromThread =
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly message: string }
  | { readonly kind: 'warning'; readonly message: string }

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** MB of JavaScript's objects: 100,000 endpoints with their names take 90. */
const maxHeapMegabytes = 256

/** Reserved for machine code; the default takes most of what a plugin may have of memory. */
const codeRangeMegabytes = 32

/**
 * The resolvers in a thread of their own, so that a container's flood of queries does not delay the
 * engine's calls, and an engine's call no query. An error of the thread is a bug and ends the
 * process: in the sandboxes, the engine's resolver answers then.
 */
export class ResolverThread implements Resolvers {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #isClosed = false

  /** `program` is the bundle of `resolver.ts`. */
  constructor(program: URL, options: ThreadOptions, logger: Logger) {
    this.#worker = new Worker(program, {
      workerData: options,
      // Sockets are opened by calls that Node does not know of.
      trackUnmanagedFds: false,
      resourceLimits: {
        maxOldGenerationSizeMb: maxHeapMegabytes,
        codeRangeSizeMb: codeRangeMegabytes,
      },
    })
    this.#worker.on('message', (message: FromThread) => {
      if (message.kind === 'warning') logger.warn(message.message)
      else this.#settle(message)
    })
    this.#worker.on('error', (error) => {
      throw error
    })
    this.#worker.unref()
  }

  start(): Promise<string | null> {
    return this.#call('start')
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    await this.#call('close')
    this.#isClosed = true
    await this.#worker.terminate()
  }

  apply(changes: readonly TableChange[]): void {
    if (changes.length > 0 && !this.#isClosed) this.#post({ kind: 'changes', changes })
  }

  attach(sandbox: string): Promise<void> {
    return this.#call('attach', sandbox)
  }

  detach(sandbox: string): Promise<void> {
    return this.#call('detach', sandbox)
  }

  attachedCount(): Promise<number> {
    return this.#call('attachedCount')
  }

  engineNameOf(sandbox: string, ip: Ip): Promise<string | null> {
    return this.#call('engineNameOf', sandbox, ip)
  }

  #call<T>(verb: Verb, ...args: readonly string[]): Promise<T> {
    if (this.#isClosed) return Promise.reject(failure('KERNEL', 'resolvers are closed'))
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject })
      this.#post({ kind: 'call', id, verb, args })
    })
  }

  #settle(message: Exclude<FromThread, { kind: 'warning' }>): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (message.kind === 'result') waiting?.resolve(message.value)
    else waiting?.reject(failure('KERNEL', message.message))
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message, [])
  }
}
