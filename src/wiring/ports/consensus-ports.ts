import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { attempt } from '../../base/errors.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { ConsensusStore, ConsensusTransport, Seed } from '../../consensus/ports.ts'
import type { Store } from '../../store/store.ts'

/** The channel of messages and of requests between members. */
const channel = 'consensus'
const table = 'consensus'
/** Between two looks at what address a host name in JOIN has, ms. */
const resolveMs = 10_000

/** The cluster's messages and requests as Raft uses them. */
export function consensusTransport(cluster: Cluster): ConsensusTransport {
  return {
    send: (member, message) => cluster.requests.send(member, channel, message),
    request: async (member, message, timeoutMs) =>
      bytesOf(await cluster.request(member, channel, base64(message), { timeoutMs })),
    listen: ({ onMessage, onRequest }) => {
      cluster.requests.listen(channel, onMessage)
      cluster.handle(channel, async (from, body) => base64(await onRequest(from, bytesOf(body))))
    },
  }
}

/** One table of the store. */
export function consensusStore(store: Store): ConsensusStore {
  return {
    entries: () => store.entries(table),
    write: (changes) => store.write(changes.map((change) => ({ table, ...change }))),
  }
}

/**
 * The entries of JOIN as members. Host names are resolved in the background, so one that is not
 * resolved yet is nobody's.
 */
export class Seeds {
  readonly #cluster: Cluster
  readonly #clock: Clock
  readonly #hosts: readonly string[]
  readonly #own: string
  readonly #addresses = new Map<string, string>()
  #resolvedMs = -Infinity

  /** `seeds` as host:port; `own` is this member's address. */
  constructor(cluster: Cluster, clock: Clock, seeds: readonly string[], own: string) {
    this.#cluster = cluster
    this.#clock = clock
    this.#own = own
    this.#hosts = seeds.map((seed) => seed.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
  }

  now(): Seed[] {
    this.#resolve()
    const members = this.#cluster.members()
    return this.#hosts.map((host) => {
      const address = isIP(host) ? host : this.#addresses.get(host)
      const at = members.find((m) => !m.self && m.state === 'alive' && m.address === address)
      return { isSelf: address === this.#own, member: at?.name ?? null }
    })
  }

  #resolve(): void {
    if (this.#clock.now() - this.#resolvedMs < resolveMs) return
    this.#resolvedMs = this.#clock.now()
    for (const host of this.#hosts.filter((name) => !isIP(name)))
      void attempt(
        async () => void this.#addresses.set(host, (await lookup(host)).address),
        () => {},
      )
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function bytesOf(body: unknown): Uint8Array {
  return Buffer.from(typeof body === 'string' ? body : '', 'base64')
}
