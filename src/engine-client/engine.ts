import type {
  EngineContainer,
  EngineEvent,
  EngineNetwork,
  EngineNetworkSpec,
  ListedContainer,
} from './objects.ts'

export type * from './objects.ts'

/** The engine refused a change: with its status and its message. */
export interface EngineRefusal {
  readonly status: number
  readonly message: string
}

export interface EngineListener {
  /**
   * Events come from now on, after the start or after a time in which some were lost: list what
   * there is.
   */
  connected?(): void
  event?(event: EngineEvent): void
}

/** For `/status`. */
export interface EngineStatus {
  readonly connected: boolean
  /** Such as `1.51`; null before the first connection. */
  readonly apiVersion: string | null
  /** Why it is not connected; null when it is. */
  readonly failure: string | null
}

/**
 * The engine's own API, for work in the background alone. Nothing of it may be awaited in a call of
 * the network or address driver: at its start the engine answers nobody until its containers run.
 * Calls reject with ENGINE when the engine is away, or answers with what cannot be read.
 */
export interface Engine {
  networks(): Promise<EngineNetwork[]>
  /** By id; null when there is none. */
  network(id: string): Promise<EngineNetwork | null>
  createNetwork(spec: EngineNetworkSpec): Promise<{ readonly id: string } | EngineRefusal>
  /** Null when it is gone, also when there was none. */
  removeNetwork(id: string): Promise<EngineRefusal | null>
  /** All, stopped ones too; of one network, by its name. */
  containers(networkName?: string): Promise<ListedContainer[]>
  /** By id; null when there is none. Waits for a container that is being started. */
  container(id: string): Promise<EngineContainer | null>
  /** A listener that comes late is told at once that the engine is connected. */
  listen(listener: EngineListener): void
  status(): EngineStatus
}
