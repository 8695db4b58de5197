import type { Cluster } from '../../cluster/cluster.ts'
import type { ConsensusStore, ConsensusTransport } from '../../consensus/ports.ts'
import type { Store } from '../../store/store.ts'

/** The channel of messages and of requests between members. */
const channel = 'consensus'
const table = 'consensus'

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

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function bytesOf(body: unknown): Uint8Array {
  return Buffer.from(typeof body === 'string' ? body : '', 'base64')
}
