import { attempt } from '../base/errors.ts'
import { KeyedQueue } from '../base/keyed-queue.ts'
import type { Logger } from '../base/logger.ts'

/** What the engine calls an endpoint of this host. */
export interface EndpointNames {
  readonly endpointId: string
  /** The container's name first. */
  readonly names: readonly string[]
  /** Whether these are all its names; a list has the container's name and short id only. */
  readonly isComplete: boolean
  /** The network's name. */
  readonly network: string
}

interface Attachment {
  readonly containerId: string
  readonly name: string
  readonly endpointId: string
}

interface Container {
  readonly id: string
  readonly name: string
  readonly hostname: string
  readonly networks: readonly {
    readonly name: string
    readonly endpointId: string
    readonly aliases: readonly string[]
    /** Empty before API 1.44. */
    readonly dnsNames: readonly string[]
  }[]
}

interface Event {
  readonly type: string
  readonly action: string
  /** Of the network or container. */
  readonly id: string
  readonly containerId: string
}

/** The engine's API, asked in the background. Calls reject while the engine is away. */
export interface NamesEngine {
  /** Null when there is no such network. */
  network(
    id: string,
  ): Promise<{ readonly name: string; readonly containers: readonly Attachment[] } | null>
  /** Null when there is no such container. Waits for one that is being started. */
  container(id: string): Promise<Container | null>
  listen(listener: { connected(): void; event(event: Event): void }): void
}

interface EngineNamesParts {
  readonly engine: NamesEngine
  readonly logger: Logger
  /** The ids of our networks on this host. */
  readonly networks: () => readonly string[]
  readonly learned: (names: EndpointNames) => void
}

/** Digits of a container's id that are a name of it, too. */
const shortIdDigits = 12

/**
 * Reads names from the engine: when a container is attached its name, from the list of the network,
 * for the container itself cannot be inspected before it has started; then all of its names, and
 * again when it is renamed. After a time without events, everything.
 */
export class EngineNames {
  readonly #parts: EngineNamesParts
  readonly #queue = new KeyedQueue()
  /** The ids of running containers that are on networks of ours. */
  readonly #containers = new Set<string>()

  constructor(parts: EngineNamesParts) {
    this.#parts = parts
  }

  start(): void {
    this.#parts.engine.listen({
      connected: () => this.readAll(),
      event: (event) => this.#onEvent(event),
    })
  }

  /** Reads the names of all containers on our networks, one container after the other. */
  readAll(): void {
    for (const id of this.#parts.networks())
      void this.#run('all', async () => {
        for (const { containerId } of await this.#readNetwork(id))
          await this.#readContainer(containerId)
      })
  }

  #onEvent({ type, action, id, containerId }: Event): void {
    if (type === 'network' && action === 'connect' && this.#parts.networks().includes(id)) {
      this.#containers.add(containerId)
      void this.#run(id, async () => void (await this.#readNetwork(id)))
      // Answered when the container has started.
      void this.#run(containerId, () => this.#readContainer(containerId))
    } else if (type === 'container' && this.#containers.has(id)) {
      if (action === 'die' || action === 'destroy') this.#containers.delete(id)
      if (action === 'start' || action === 'rename')
        void this.#run(id, () => this.#readContainer(id))
    }
  }

  /** The containers that are on it. */
  async #readNetwork(id: string): Promise<readonly Attachment[]> {
    const found = await this.#parts.engine.network(id)
    if (found === null) return []
    for (const { containerId, name, endpointId } of found.containers) {
      this.#containers.add(containerId)
      const names = [name, shortId(containerId)]
      this.#parts.learned({ endpointId, names, isComplete: false, network: found.name })
    }
    return found.containers
  }

  async #readContainer(id: string): Promise<void> {
    const found = await this.#parts.engine.container(id)
    if (found === null) return
    for (const { endpointId, aliases, dnsNames, name: network } of found.networks) {
      const names = [found.name, ...dnsNames, ...aliases, shortId(found.id), found.hostname]
      this.#parts.learned({ endpointId, names, isComplete: true, network })
    }
  }

  /** A read that fails is repeated when the engine is back, or at the next look. */
  #run(key: string, work: () => Promise<void>): Promise<void> {
    return this.#queue.run(key, async () =>
      attempt(work, (message) => this.#parts.logger.debug(`reading names: ${message}`)),
    )
  }
}

function shortId(containerId: string): string {
  return containerId.slice(0, shortIdDigits)
}
