import { decodeEntry, encodeEntry } from '../core/codec.ts'
import type { Persistent, Ready, ServerId, Snapshot } from '../core/types.ts'
import type { ConsensusStore } from '../ports.ts'

interface Change {
  readonly key: string
  readonly value: unknown
}

/** This host's server: who it is, and what it has to remember. */
export interface StoredServer {
  readonly id: ServerId
  readonly persistent: Persistent
}

/**
 * The rows of this host: `cluster` (the id of the cluster it belongs to), and, when it has a
 * server, `server` (its id), `term`, `snapshot` and one row for each entry of the log. Bytes are
 * base64.
 */
export class ConsensusDisk {
  readonly #store: ConsensusStore
  /** Indexes of the rows of the log. */
  readonly #rows = new Set<number>()

  constructor(store: ConsensusStore) {
    this.#store = store
  }

  /**
   * The cluster's id, empty when there is none, and the server, null when this is only a client.
   */
  load(): { readonly clusterId: string; readonly server: StoredServer | null } {
    const rows = new Map(this.#store.entries())
    this.#rows.clear()
    for (const key of rows.keys()) if (key.startsWith('log/')) this.#rows.add(indexOf(key))
    const clusterId = (rows.get('cluster') as string | undefined) ?? ''
    const id = rows.get('server') as ServerId | undefined
    if (id === undefined) return { clusterId, server: null }
    const { data, ...place } = rows.get('snapshot') as Omit<Snapshot, 'data'> & { data: string }
    const snapshot: Snapshot = { ...place, data: Buffer.from(data, 'base64') }
    const [term, votedFor] = rows.get('term') as [number, ServerId | null]
    const entries = [...this.#rows]
      .filter((index) => index > snapshot.index)
      .toSorted((a, b) => a - b)
      .map((index) => decodeEntry(Buffer.from(rows.get(`log/${index}`) as string, 'base64'), index))
    return { clusterId, server: { id, persistent: { term, votedFor, snapshot, entries } } }
  }

  /**
   * Belongs to that cluster, with this server or without one; whatever was there before is gone.
   */
  async reset(clusterId: string, server: StoredServer | null): Promise<void> {
    const old = this.#store.entries().map(([key]) => ({ key, value: null }))
    const changes: Change[] = [{ key: 'cluster', value: clusterId }]
    this.#rows.clear()
    if (server !== null) {
      const { term, votedFor, snapshot, entries } = server.persistent
      changes.push({ key: 'server', value: server.id }, { key: 'term', value: [term, votedFor] })
      changes.push(snapshotRow(snapshot), ...this.#putEntries(entries))
    }
    await this.#store.write([...old, ...changes])
  }

  /** The changes that make this durable; none when there is nothing. */
  changesOf({ hardState, snapshot, entries }: Ready): Change[] {
    const changes: Change[] = []
    if (hardState !== null)
      changes.push({ key: 'term', value: [hardState.term, hardState.votedFor] })
    if (snapshot !== null) changes.push(...this.#remove(() => true), snapshotRow(snapshot))
    const first = entries[0]
    if (first !== undefined) {
      changes.push(...this.#remove((index) => index >= first.index + entries.length))
      changes.push(...this.#putEntries(entries))
    }
    return changes
  }

  /** The changes that put a snapshot of our own in place of the entries that it covers. */
  compactionOf(snapshot: Snapshot): Change[] {
    return [snapshotRow(snapshot), ...this.#remove((index) => index <= snapshot.index)]
  }

  /** Makes all the changes or none. */
  write(changes: readonly Change[]): Promise<void> {
    return this.#store.write(changes)
  }

  #remove(has: (index: number) => boolean): Change[] {
    const gone = [...this.#rows].filter(has)
    for (const index of gone) this.#rows.delete(index)
    return gone.map((index) => ({ key: `log/${index}`, value: null }))
  }

  #putEntries(entries: Persistent['entries']): Change[] {
    return entries.map((entry) => {
      this.#rows.add(entry.index)
      const value = Buffer.from(encodeEntry(entry)).toString('base64')
      return { key: `log/${entry.index}`, value }
    })
  }
}

function snapshotRow({ data, ...place }: Snapshot): Change {
  return { key: 'snapshot', value: { ...place, data: Buffer.from(data).toString('base64') } }
}

function indexOf(key: string): number {
  return Number(key.slice('log/'.length))
}
