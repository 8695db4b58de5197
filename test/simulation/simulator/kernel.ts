import type { Clock } from 'memberlist-js'
import { failure } from '../../../src/base/errors.ts'
import { below, type Random } from '../../../src/base/random.ts'
import type { Dataplane } from '../../../src/dataplane/dataplane.ts'
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts'
import type { Life } from './life.ts'

/** How long a verb may take, ms. */
const maxVerbMs = 2

/** Where the engine keeps the namespaces of containers. */
const sandboxDirectory = '/var/run/docker/netns'

/** A host's kernel. It outlives the plugin's process; a reboot empties it. */
export class SimulatedKernel {
  readonly tables = new MemoryDataplane()
  /** The share of verbs that fail. */
  failures = 0
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** The kernel as one life of a process sees it: each verb takes a while, and is not begun after the process's end. */
  of(life: Life): Dataplane {
    const { tables } = this
    return new Proxy<Dataplane>(tables, {
      get: (_target, name) => {
        const verb = (tables as unknown as Record<string | symbol, unknown>)[name]
        if (typeof verb !== 'function') return verb
        return (...args: unknown[]) =>
          this.#call(life, String(name), () => verb.apply(tables, args) as Promise<unknown>)
      },
    })
  }

  /** What the engine does after Join: takes a link into its container. Whether there is such a link. */
  take(endpointId: string): boolean {
    this.tables.sandboxes.add(sandboxKeyOf(endpointId))
    return this.#move(endpointId, 'container')
  }

  /** And after Leave: puts it back into the host's namespace. */
  putBack(endpointId: string): void {
    this.tables.sandboxes.delete(sandboxKeyOf(endpointId))
    this.#move(endpointId, 'host')
  }

  /** A container's namespace ends, and its end of the link with it. */
  destroySandbox(endpointId: string): void {
    this.tables.sandboxes.delete(sandboxKeyOf(endpointId))
    this.#overlayWith(endpointId)?.endpoints.delete(endpointId)
  }

  reboot(): void {
    this.tables.clear()
    this.tables.sandboxes.clear()
  }

  #move(endpointId: string, where: 'container' | 'host'): boolean {
    const endpoint = this.#overlayWith(endpointId)?.endpoints.get(endpointId)
    if (endpoint === undefined) return false
    endpoint.inHostNetns = where === 'host'
    return true
  }

  #overlayWith(endpointId: string) {
    for (const overlayId of this.tables.overlayIds()) {
      const overlay = this.tables.overlay(overlayId)
      if (overlay?.endpoints.has(endpointId) === true) return overlay
    }
    return undefined
  }

  #call(life: Life, verb: string, call: () => Promise<unknown>): Promise<unknown> {
    if (!life.isAlive) return new Promise(() => {})
    const random = this.#random
    const ms = (maxVerbMs * below(random, 1000)) / 1000
    const fails =
      verb !== 'close' && this.failures > 0 && below(random, 1000) / 1000 < this.failures
    return new Promise((resolve, reject) => {
      this.#clock.setTimeout(() => {
        life.resume(() => {
          if (fails) reject(failure('KERNEL', `${verb}: EBUSY`))
          else call().then(resolve, reject)
        })
      }, ms)
    })
  }
}

/** The file of the namespace of the container that has an endpoint. */
export function sandboxKeyOf(endpointId: string): string {
  return `${sandboxDirectory}/${endpointId.slice(0, 12)}`
}
