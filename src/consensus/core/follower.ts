import { maxSnapshotBytes } from '../ports.ts'
import type { RaftLog } from './log.ts'
import type { Message, MessageOf, ServerId, Snapshot } from './types.ts'

/** What a follower uses of the server that it is a role of. */
interface FollowerHost {
  readonly log: RaftLog
  readonly term: number
  readonly commit: number
  readonly knows: number
  send(to: ServerId, message: Message): void
  commitTo(index: number): void
  install(snapshot: Snapshot): void
}

/** The role of a server that receives the log from the leader of a term (thesis 3.5, 5). */
export class Follower {
  readonly #host: FollowerHost
  /** The snapshot that is arriving. */
  #arriving: { readonly index: number; readonly data: Uint8Array; offset: number } | null = null

  constructor(host: FollowerHost) {
    this.#host = host
  }

  onAppend(from: ServerId, message: MessageOf<'append'>): void {
    const { log, commit } = this.#host
    const { prevIndex, prevTerm, entries, round } = message
    // What is committed agrees with every leader.
    if (prevIndex < commit) return this.#agree(from, round, commit)
    if (log.termAt(prevIndex) !== prevTerm) return this.#disagree(from, message)
    const last = prevIndex + entries.length
    const missing = entries.filter(({ index, term }) => log.termAt(index) !== term)
    const first = missing[0]
    if (first !== undefined) log.put(entries.slice(first.index - prevIndex - 1))
    this.#host.commitTo(Math.min(message.commit, last))
    this.#agree(from, round, last)
  }

  onSnapshot(from: ServerId, message: MessageOf<'snapshot'>): void {
    const { log, commit, term } = this.#host
    const { snapshot, offset, total, round } = message
    const { index, data } = snapshot
    if (index <= commit) return this.#agree(from, round, commit)
    if (log.termAt(index) === snapshot.term) {
      this.#host.commitTo(index)
      return this.#agree(from, round, index)
    }
    if (total > maxSnapshotBytes || offset + data.length > total) return
    if (this.#arriving?.index !== index || this.#arriving.data.length !== total)
      this.#arriving = { index, data: new Uint8Array(total), offset: 0 }
    const arriving = this.#arriving
    if (arriving.offset === offset) {
      arriving.data.set(data, offset)
      arriving.offset += data.length
    }
    if (arriving.offset < total)
      return this.#host.send(from, {
        kind: 'received',
        term,
        round,
        index,
        offset: arriving.offset,
      })
    this.#arriving = null
    this.#host.install({ ...snapshot, data: arriving.data })
    this.#agree(from, round, index)
  }

  #agree(from: ServerId, round: number, match: number): void {
    const { term, knows } = this.#host
    const agreed = { match, rejected: 0, hintIndex: 0, hintTerm: 0 }
    this.#host.send(from, { kind: 'appended', term, round, ...agreed, knows })
  }

  #disagree(from: ServerId, { prevIndex, prevTerm, round }: MessageOf<'append'>): void {
    const { term, knows, log } = this.#host
    const hint = log.hint(prevIndex, prevTerm)
    const refused = { match: 0, rejected: prevIndex, hintIndex: hint.index, hintTerm: hint.term }
    this.#host.send(from, { kind: 'appended', term, round, ...refused, knows })
  }
}
