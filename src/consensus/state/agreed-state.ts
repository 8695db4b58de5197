import type { AppliedAt, StateMachine } from '../ports.ts'
import { maxCommandBytes } from '../ports.ts'
import { Members } from './members.ts'
import { Overlays } from './overlays.ts'
import { Pools } from './pools.ts'
import { type Outcome, Refused, type RefusalCode, type Section } from './section.ts'

/** Raised when a snapshot's layout changes, or a command comes that older code does not know. */
const stateVersion = 1

interface Snapshot {
  readonly format: 1
  /** Where the last command that changed something stands in the log. */
  readonly index: number
  readonly sections: Readonly<Record<string, unknown>>
}

/**
 * What the cluster agrees on: members, pools with their blocks, overlays. Commands
 * are wishes ("two blocks of this pool for me"), so that one round trip settles each.
 *
 * The invariant: every command is answered, the same on every voter, and one that is refused
 * changes nothing. No clock, no randomness: what a choice needs of either is in the command or the
 * log.
 */
export class AgreedState implements StateMachine {
  readonly version = stateVersion
  readonly #members: Members
  readonly #sections: Readonly<Record<string, Section>>
  #index = 0

  /** `more`: sections of other rooms, by their names in a snapshot. */
  constructor(more: (members: Members) => Readonly<Record<string, Section>> = () => ({})) {
    this.#members = new Members((number, evicted) => {
      for (const section of Object.values(this.#sections)) section.memberGone(number, evicted)
    })
    this.#sections = {
      members: this.#members,
      pools: new Pools(this.#members, () => this.#index),
      overlays: new Overlays(this.#members),
      ...more(this.#members),
    }
  }

  apply(command: Uint8Array, at: AppliedAt): Uint8Array {
    return encode(this.#answer(() => this.#run(command, at)))
  }

  query(asked: Uint8Array): Uint8Array {
    return encode(
      this.#answer(() => {
        const { op, body } = decode(asked)
        const ask = this.#find((section) => section.questions[op])
        if (ask === undefined) throw new Refused('UNKNOWN_COMMAND')
        return ask(body)
      }),
    )
  }

  snapshot(): Uint8Array {
    const sections = Object.fromEntries(
      Object.entries(this.#sections).map(([name, section]) => [name, section.snapshot()]),
    )
    return encode({ format: 1, index: this.#index, sections } satisfies Snapshot)
  }

  restore(snapshot: Uint8Array): void {
    const { format, index, sections } = JSON.parse(text(snapshot)) as Snapshot
    if (format !== 1) throw new Error(`a snapshot of format ${String(format)}`)
    this.#index = index
    for (const [name, section] of Object.entries(this.#sections)) section.restore(sections[name])
  }

  #run(command: Uint8Array, at: AppliedAt): unknown {
    const { op, body } = decode(command)
    const operation = this.#find((section) => section.operations[op])
    if (operation === undefined || operation.since > at.version) {
      throw new Refused('UNKNOWN_COMMAND')
    }
    const before = this.#index
    this.#index = at.index
    try {
      const require = (id: string) => this.#members.require(id, { at })
      return operation.run(body, { at, require })
    } catch (error) {
      this.#index = before
      throw error
    }
  }

  #answer(work: () => unknown): Outcome<unknown> {
    try {
      return { ok: work() }
    } catch (error) {
      if (error instanceof Refused) return { refused: error.refusal }
      throw error
    }
  }

  #find<T>(of: (section: Section) => T | undefined): T | undefined {
    for (const section of Object.values(this.#sections)) {
      const found = of(section)
      if (found !== undefined) return found
    }
    return undefined
  }
}

function decode(bytes: Uint8Array): { op: string; body: unknown } {
  const bad: RefusalCode = 'BAD_COMMAND'
  if (bytes.length > maxCommandBytes) throw new Refused(bad)
  let body: unknown
  try {
    body = JSON.parse(text(bytes))
  } catch {
    throw new Refused(bad)
  }
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'op')) {
    throw new Refused(bad)
  }
  const { op } = body as { op: unknown }
  // Names of operations are plain words: nothing that every object has.
  if (typeof op !== 'string' || !/^[a-z][A-Za-z]*$/.test(op) || op in Object.prototype) {
    throw new Refused(bad)
  }
  return { op, body }
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function text(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
}
