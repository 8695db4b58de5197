import { createHash } from 'node:crypto'
import { failure } from '../../src/base/errors.ts'
import { AgreedClient } from '../../src/consensus/state/agreed-client.ts'
import { AgreedState } from '../../src/consensus/state/agreed-state.ts'
import type { Outcome } from '../../src/consensus/state/section.ts'
import type { PoolView } from '../../src/net/pool-view.ts'

/** The agreed state by itself, with a log that only counts. Members are called by their names. */
export class AgreedMachine {
  readonly state: AgreedState
  timeMs = 1_000_000
  index = 0

  /** These members are registered. */
  constructor(...members: string[]) {
    this.state = new AgreedState()
    for (const name of members) this.run(name, 'renew')
  }

  idOf(name: string): string {
    return createHash('sha256').update(name).digest('hex').slice(0, 16)
  }

  run(from: string, op: string, fields: object = {}): Outcome<unknown> {
    const command = encode({ op, id: this.idOf(from), ...fields })
    return decode(this.apply(command, from))
  }

  apply(command: Uint8Array, from: string): Uint8Array {
    const at = { index: ++this.index, timeMs: this.timeMs, version: this.state.version, from }
    return this.state.apply(command, at)
  }

  ask(from: string, op: string, fields: object = {}): Outcome<unknown> {
    return decode(this.state.query(encode({ op, id: this.idOf(from), ...fields })))
  }

  /** A member's client, which fails while `isAway` says so. */
  client(name: string, isAway: () => boolean = () => false): AgreedClient {
    const check = async (): Promise<void> => {
      if (isAway()) throw failure('QUORUM', 'no majority')
    }
    return new AgreedClient(
      {
        submit: (command) => check().then(() => this.apply(command, name)),
        query: (question) => check().then(() => this.state.query(question)),
      },
      this.idOf(name),
    )
  }

  /** Indices of the member's blocks after a claim. */
  granted(from: string, op: string, fields: object): number[] {
    const outcome = this.run(from, op, fields) as { ok: { view: PoolView } }
    return outcome.ok.view.blocks.map(([index]) => index)
  }

  /** The pool that came of a command. */
  pool(from: string, op: string, fields: object): string {
    return (this.run(from, op, fields) as { ok: PoolView }).ok.pool
  }

  view(name: string, pool: string): PoolView {
    return this.views(name).find((view) => view.pool === pool)!
  }

  views(name: string): readonly PoolView[] {
    const pools: PoolView[] = []
    for (;;) {
      const after = pools.at(-1)?.pool ?? ''
      const asked = this.ask(name, 'holdings', { after }) as {
        ok: { pools: PoolView[]; more: boolean }
      }
      pools.push(...asked.ok.pools)
      if (!asked.ok.more) return pools
    }
  }
}

export function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

export function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(bytes)) as T
}
