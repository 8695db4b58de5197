import { createHash } from 'node:crypto'
import type { Entry, ServerId } from '../../../src/consensus/core/types.ts'
import type { Raft } from '../../../src/consensus/core/raft.ts'

/** What an entry says, without its place. */
export function contentOf(entry: Entry): string {
  const { index: _index, term: _term, ...content } = entry
  return JSON.stringify(content, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
  )
}

/** An observer outside that sees all servers, and holds them to the four properties of thesis figure 3.2. */
export class Invariants {
  readonly #leaders = new Map<number, ServerId>()
  /** By index and term: the entry, and the term before it. */
  readonly #entries = new Map<string, string>()
  /** Terms of committed entries, by index. */
  readonly #committed = new Map<number, number>()
  readonly #applied = new Map<number, string>()
  #highest = 0

  /** The greatest index that any server has committed. */
  get committedIndex(): number {
    return this.#highest
  }

  get leaders(): number {
    return this.#leaders.size
  }

  /** Election safety and leader completeness: called when a server has become leader. */
  led(raft: Raft): void {
    const other = this.#leaders.get(raft.term)
    if (other !== undefined && other !== raft.id)
      throw new Error(`election safety: ${other} and ${raft.id} lead term ${raft.term}`)
    if (other !== undefined) return
    this.#leaders.set(raft.term, raft.id)
    for (let index = raft.log.baseIndex; index <= this.#highest; index++) {
      const term = this.#committed.get(index)
      if (term === undefined || raft.log.termAt(index) === term) continue
      throw new Error(`leader completeness: ${raft.id} of term ${raft.term} lacks entry ${index}`)
    }
  }

  /** Log matching: an entry is told by its index and term, and so is the one before it. */
  wrote(raft: Raft, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const key = `${entry.index}/${entry.term}`
      const text = `${raft.log.termAt(entry.index - 1)} ${contentOf(entry)}`
      const known = this.#entries.get(key)
      if (known !== undefined && known !== text)
        throw new Error(`log matching: entry ${key} is ${known} and on ${raft.id} ${text}`)
      this.#entries.set(key, text)
    }
  }

  /** What is committed stays: called when a server's commit index has moved. */
  committed(raft: Raft, from: number): void {
    for (let index = Math.max(from + 1, raft.log.baseIndex); index <= raft.commit; index++) {
      const term = raft.log.termAt(index)
      const known = this.#committed.get(index)
      if (term === null) throw new Error(`${raft.id} committed ${index} and does not have it`)
      if (known !== undefined && known !== term)
        throw new Error(`committed entry ${index} of term ${known} is of ${term} on ${raft.id}`)
      this.#committed.set(index, term)
      this.#highest = Math.max(this.#highest, index)
    }
  }

  /** State machine safety: `state` is what the machine holds after that index. */
  applied(id: ServerId, index: number, state: string): void {
    const sum = createHash('sha1').update(state).digest('hex')
    const known = this.#applied.get(index)
    if (known !== undefined && known !== sum)
      throw new Error(`state machine safety: ${id} has another state after entry ${index}`)
    this.#applied.set(index, sum)
  }
}
