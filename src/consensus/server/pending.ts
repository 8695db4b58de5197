import type { Outcome } from './replicated-state.ts'

/** Commands that wait for the next batch. */
const maxProposals = 1024

/** Why a server did not serve: it does not lead (any more), or has too much to do. */
export class NotServed extends Error {
  override readonly name = 'NotServed'
  readonly reason: 'no-leader' | 'busy'

  constructor(reason: 'no-leader' | 'busy') {
    super(reason)
    this.reason = reason
  }
}

interface Waiting<T> {
  readonly resolve: (value: T) => void
  readonly reject: (reason: NotServed) => void
}

interface Proposal extends Waiting<Outcome> {
  readonly data: Uint8Array
}

/** Who waits for a server: for a command to be applied, or for the state to be as new as now. */
export class Pending {
  #proposals: Proposal[] = []
  #barriers: Waiting<void>[] = []
  /** Proposed and not applied, by index. */
  readonly #proposed = new Map<number, Waiting<Outcome> & { readonly term: number }>()
  readonly #reads = new Map<number, Waiting<void>[]>()
  readonly #confirmed: { readonly id: number; readonly index: number }[] = []
  #lastRead = 0

  get hasNew(): boolean {
    return this.#proposals.length + this.#barriers.length > 0
  }

  addProposal(proposal: Proposal): void {
    if (this.#proposals.length >= maxProposals) proposal.reject(new NotServed('busy'))
    else this.#proposals.push(proposal)
  }

  addBarrier(barrier: Waiting<void>): void {
    this.#barriers.push(barrier)
  }

  /** What is to be proposed now, in one batch. */
  takeProposals(): Proposal[] {
    return this.#proposals.splice(0)
  }

  proposed({ resolve, reject }: Proposal, index: number, term: number): void {
    this.#proposed.set(index, { resolve, reject, term })
  }

  /** The entry at `index` is applied: who proposed it in that term has its outcome. */
  applied(index: number, term: number, outcome: Outcome): void {
    const waiting = this.#proposed.get(index)
    this.#proposed.delete(index)
    if (waiting?.term === term) waiting.resolve(outcome)
    else waiting?.reject(new NotServed('no-leader'))
  }

  /** One read of the core for all that wait; null when nobody does. */
  takeRead(): number | null {
    const barriers = this.#barriers.splice(0)
    if (barriers.length === 0) return null
    this.#reads.set(++this.#lastRead, barriers)
    return this.#lastRead
  }

  /** Reads that the core has confirmed are done once everything up to their index is applied. */
  answerReads(confirmed: readonly { id: number; index: number }[], applied: number): void {
    this.#confirmed.push(...confirmed)
    while (this.#confirmed[0] !== undefined && this.#confirmed[0].index <= applied) {
      const { id } = this.#confirmed.shift()!
      for (const { resolve } of this.#reads.get(id) ?? []) resolve()
      this.#reads.delete(id)
    }
  }

  rejectRead(id: number): void {
    for (const { reject } of this.#reads.get(id) ?? []) reject(new NotServed('no-leader'))
    this.#reads.delete(id)
  }

  /** Nobody waits for a server that does not lead: the client tries another one. */
  rejectAll(): void {
    for (const { reject } of [...this.#proposed.values(), ...this.#proposals, ...this.#barriers])
      reject(new NotServed('no-leader'))
    for (const id of this.#reads.keys()) this.rejectRead(id)
    this.#proposed.clear()
    this.#proposals = []
    this.#barriers = []
    this.#confirmed.length = 0
  }
}
