import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../base/clock.ts'
import { attempt } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { Every } from '../base/timers.ts'
import type { Ip } from '../net/ip.ts'
import type { Vni } from '../net/vni.ts'
import { EngineNames, type EndpointNames, type NamesEngine } from './engine-names.ts'
import type { TableChange } from './name-table.ts'
import { publishable } from './record.ts'

/*
 * Names of containers across hosts. Those of this host's endpoints come from the engine, by its API
 * or else by its resolver, and are published beside the endpoints; those of other hosts come with
 * the records. Both go into the table that the sandboxes' resolvers answer from.
 *
 * Its invariant: a sandbox has a resolver, or gets one, exactly while it has an endpoint of ours;
 * what is published are names of endpoints that are joined. No name ever makes a call of the engine
 * fail, and a sandbox without a resolver has the engine's.
 */

/** An endpoint of this host between Join and Leave. */
export interface LocalEndpoint {
  readonly endpointId: string
  readonly vni: Vni
  readonly ips: readonly Ip[]
  /** The file of the container's namespace. */
  readonly sandboxKey: string | null
}

/** Where the queries of sandboxes are answered. */
export interface Resolvers {
  /** @returns why there can be none on this host, and what to do about it; null when there can. */
  start(): Promise<string | null>
  /** From here on the engine's resolver answers. */
  close(): Promise<void>
  /** Changes of the table that they answer from, in order. */
  apply(changes: readonly TableChange[]): void
  /** Resolves when the sandbox has a resolver, or will have one as soon as its namespace exists. */
  attach(sandbox: string): Promise<void>
  detach(sandbox: string): Promise<void>
  attachedCount(): Promise<number>
  /** `name.network` of an address, as the engine's own resolver knows it; null when it does not. */
  engineNameOf(sandbox: string, ip: Ip): Promise<string | null>
}

/** The rows of the last names by endpoint, so that a restart does not lose them. */
interface NamesStore {
  entries(): [string, OwnNames][]
  write(changes: readonly { key: string; value: OwnNames | null }[]): Promise<void>
}

interface OwnNames {
  readonly names: readonly string[]
  readonly network: string
}

interface NamesParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly store: NamesStore
  readonly resolvers: Resolvers
  /** Null when its API is not used. */
  readonly engine: NamesEngine | null
  readonly endpoints: () => readonly LocalEndpoint[]
  /** The ids of the networks that they are on. */
  readonly networks: () => readonly string[]
  /** Told why no name of another host resolves here. */
  readonly cannot: (why: string) => void
  readonly publish: (endpoint: LocalEndpoint, names: readonly string[] | null) => void
}

/** One record of another member before and after a change. */
interface RecordTransition {
  readonly origin: string
  readonly previous: { readonly kind: string } | null
  readonly next: { readonly kind: string } | null
}

interface KeyedRecord {
  readonly kind: 'endpoint' | 'names'
  readonly vni: Vni
  readonly endpointId: string
}
type EndpointRecord = KeyedRecord & { readonly ips: readonly Ip[] }
type NamesRecord = KeyedRecord & { readonly names: readonly string[] }

/** How long the engine's API may take until its resolver is asked, and between two looks. */
const lookIntervalMs = 2000
/** Looks between two at names that the resolver gave: a container may have been renamed. */
const looksPerReview = 15

export class Names {
  readonly #parts: NamesParts
  readonly #engineNames: EngineNames | null
  readonly #own: Map<string, OwnNames>
  #endpoints = new Map<string, LocalEndpoint>()
  #sandboxes = new Map<string, readonly Vni[]>()
  readonly #look: Every
  #looks = 0
  #attached = 0

  constructor(parts: NamesParts) {
    this.#parts = parts
    const { clock, engine, logger, networks } = parts
    this.#own = new Map(parts.store.entries())
    this.#engineNames =
      engine === null
        ? null
        : new EngineNames({ engine, logger, networks, learned: (names) => this.#learned(names) })
    this.#look = new Every({
      clock,
      intervalMs: lookIntervalMs,
      run: () => this.#askResolvers(),
      warn: (message) => logger.warn(`names: ${message}`),
    })
  }

  /** The endpoints of before the start are adopted: the driver has to know them. */
  async start(): Promise<void> {
    const obstacle = await this.#parts.resolvers.start()
    if (obstacle !== null) this.#parts.cannot(obstacle)
    await this.endpointsChanged()
    const gone = [...this.#own.keys()].filter((id) => !this.#endpoints.has(id))
    for (const id of gone) this.#own.delete(id)
    this.#save(gone)
    this.#engineNames?.start()
    this.#look.start()
  }

  async stop(): Promise<void> {
    this.#look.stop()
    await this.#parts.resolvers.close()
  }

  /**
   * Endpoints joined or left. Resolves when new sandboxes have their resolver, or when it is known
   * why not; never rejects but by a bug.
   */
  async endpointsChanged(): Promise<void> {
    const { resolvers, publish } = this.#parts
    const before = this.#endpoints
    this.#endpoints = new Map(this.#parts.endpoints().map((some) => [some.endpointId, some]))
    const isGone = ({ endpointId }: LocalEndpoint): boolean => !this.#endpoints.has(endpointId)
    const isAsBefore = (one: LocalEndpoint): boolean =>
      isDeepStrictEqual(before.get(one.endpointId), one)
    const changed = [...this.#endpoints.values()].filter((one) => !isAsBefore(one))
    const old = [...before.values()].filter(
      (one) => isGone(one) || this.#endpoints.get(one.endpointId)!.vni !== one.vni,
    )
    for (const endpoint of old) publish(endpoint, null)
    const gone = old.filter(isGone)
    for (const { endpointId } of gone) this.#own.delete(endpointId)
    this.#save(gone.map(({ endpointId }) => endpointId))
    resolvers.apply([...gone.flatMap(removal), ...changed.flatMap((one) => this.#adopt(one))])
    await this.#updateSandboxes()
  }

  /** Applies the records of endpoints and names in a batch, and ignores other kinds. */
  applyRecords(batch: readonly RecordTransition[]): void {
    const changes = batch.flatMap(({ origin, previous, next }): TableChange[] => {
      const record = next ?? previous
      if (isEndpoint(record)) {
        const value = next === null ? null : { vni: record.vni, ips: record.ips, isRemote: true }
        return [{ kind: 'addresses', key: remoteKey(origin, record), value }]
      }
      if (!isNames(record)) return []
      const value = next === null ? null : record.names
      return [{ kind: 'names', key: remoteKey(origin, record), value }]
    })
    if (changes.length > 0) this.#parts.resolvers.apply(changes)
  }

  /** For `/status`: sandboxes of ours, and those that had a resolver at the last look. */
  status() {
    return { sandboxes: this.#sandboxes.size, resolvers: this.#attached }
  }

  /** What a container of this host is called, its name first; empty when it is not known. */
  namesOf(endpointId: string): readonly string[] {
    return this.#own.get(endpointId)?.names ?? []
  }

  /** What the network of an overlay is called here; null when it is not known. */
  networkNameOf(vni: Vni): string | null {
    const on = [...this.#endpoints.values()].filter((endpoint) => endpoint.vni === vni)
    return on.map(({ endpointId }) => this.#own.get(endpointId)?.network).find(Boolean) ?? null
  }

  /** Makes the table know an endpoint, and publishes the names that it had. */
  #adopt(endpoint: LocalEndpoint): TableChange[] {
    const { endpointId, vni, ips } = endpoint
    const own = this.#own.get(endpointId)
    const addresses = { vni, ips, isRemote: false }
    return [
      { kind: 'addresses', key: endpointId, value: addresses },
      ...(own === undefined ? [] : this.#publish(endpoint, own)),
    ]
  }

  async #updateSandboxes(): Promise<void> {
    const { resolvers } = this.#parts
    const before = this.#sandboxes
    this.#sandboxes = sandboxesOf(this.#endpoints.values())
    const changed = [...this.#sandboxes].filter(
      ([sandbox, value]) => !isDeepStrictEqual(value, before.get(sandbox)),
    )
    const gone = [...before.keys()].filter((sandbox) => !this.#sandboxes.has(sandbox))
    resolvers.apply([
      ...changed.map(([sandbox, value]): TableChange => ({ kind: 'sandbox', sandbox, value })),
      ...gone.map((sandbox): TableChange => ({ kind: 'sandbox', sandbox, value: null })),
    ])
    const fresh = changed.filter(([sandbox]) => !before.has(sandbox))
    await Promise.all([
      ...fresh.map(([sandbox]) => this.#attempt(() => resolvers.attach(sandbox))),
      ...gone.map((sandbox) => this.#attempt(() => resolvers.detach(sandbox))),
    ])
  }

  #learned({ endpointId, names, isComplete, network }: EndpointNames): void {
    const endpoint = this.#endpoints.get(endpointId)
    if (endpoint === undefined) return
    const before = this.#own.get(endpointId)
    const own = { names: publishable(names), network }
    // A list must not take away the aliases that an inspection found.
    const isKnown = !isComplete && before?.names[0] === own.names[0]
    if (own.names.length === 0 || isKnown || isDeepStrictEqual(before, own)) return
    this.#own.set(endpointId, own)
    this.#save([endpointId])
    this.#parts.resolvers.apply(this.#publish(endpoint, own))
  }

  #publish(endpoint: LocalEndpoint, { names, network }: OwnNames): TableChange[] {
    this.#parts.publish(endpoint, names)
    return [
      { kind: 'names', key: endpoint.endpointId, value: names },
      { kind: 'network', vni: endpoint.vni, value: network },
    ]
  }

  /** Asks the engine's resolver for the names that its API has not given. */
  async #askResolvers(): Promise<void> {
    // What no call tells: endpoints that were released, overlays with another VNI.
    await this.endpointsChanged()
    this.#attached = await this.#parts.resolvers.attachedCount()
    const isReview = this.#looks++ % looksPerReview === 0
    const nameless = [...this.#endpoints.values()].filter(({ endpointId }) => {
      return !this.#own.has(endpointId) || (isReview && this.#parts.engine === null)
    })
    if (nameless.length > 0 && isReview) this.#engineNames?.readAll()
    for (const { endpointId, sandboxKey, ips } of nameless) {
      if (sandboxKey === null) continue
      const found = await this.#parts.resolvers.engineNameOf(sandboxKey, ips[0]!)
      // A container's name has no dot as a rule, and a network's may have some.
      const [, name, network] = /^([^.]+)\.(.+)$/.exec(found ?? '') ?? []
      if (name !== undefined && network !== undefined)
        this.#learned({ endpointId, names: [name], isComplete: false, network })
    }
  }

  #save(endpointIds: readonly string[]): void {
    if (endpointIds.length === 0) return
    const rows = endpointIds.map((key) => ({ key, value: this.#own.get(key) ?? null }))
    void this.#attempt(() => this.#parts.store.write(rows))
  }

  #attempt(work: () => Promise<void>): Promise<void> {
    return attempt(work, (message) => this.#parts.logger.warn(`names: ${message}`))
  }
}

/** The overlays of each sandbox. */
function sandboxesOf(endpoints: Iterable<LocalEndpoint>): Map<string, readonly Vni[]> {
  const sandboxes = new Map<string, Vni[]>()
  for (const { sandboxKey, vni } of endpoints) {
    if (sandboxKey === null) continue
    sandboxes.set(sandboxKey, [...(sandboxes.get(sandboxKey) ?? []), vni])
  }
  return sandboxes
}

function removal({ endpointId: key }: LocalEndpoint): TableChange[] {
  return [
    { kind: 'addresses', key, value: null },
    { kind: 'names', key, value: null },
  ]
}

/** Unlike any id of an endpoint of this host. */
function remoteKey(origin: string, { vni, endpointId }: KeyedRecord): string {
  return `${vni}/${endpointId}/${origin}`
}

function isEndpoint(record: RecordTransition['next']): record is EndpointRecord {
  return record?.kind === 'endpoint'
}

function isNames(record: RecordTransition['next']): record is NamesRecord {
  return record?.kind === 'names'
}
