/** The state machine of the simulations: registers by key, and how many commands it took. */
export type RegisterOperation =
  | { readonly kind: 'write'; readonly key: string; readonly value: number }
  /** Writes only over the expected value; gives the value that was there. */
  | {
      readonly kind: 'swap'
      readonly key: string
      readonly expected: number
      readonly value: number
    }
  | { readonly kind: 'read'; readonly key: string }

/** The result of an operation on a register, and the register after it. */
export function transition(
  before: number,
  operation: RegisterOperation,
): { after: number; result: number } {
  if (operation.kind === 'read') return { after: before, result: before }
  if (operation.kind === 'write') return { after: operation.value, result: operation.value }
  const after = before === operation.expected ? operation.value : before
  return { after, result: before }
}

export class RegisterMap {
  #registers = new Map<string, number>()
  #count = 0

  apply(operation: RegisterOperation): number {
    this.#count++
    const { after, result } = transition(this.get(operation.key), operation)
    this.#registers.set(operation.key, after)
    return result
  }

  get(key: string): number {
    return this.#registers.get(key) ?? 0
  }

  snapshot(): string {
    const rows = [...this.#registers].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify({ count: this.#count, rows })
  }

  restore(text: string): void {
    const { count, rows } = JSON.parse(text || '{"count":0,"rows":[]}') as {
      count: number
      rows: [string, number][]
    }
    this.#count = count
    this.#registers = new Map(rows)
  }
}

export function encodeOperation(operation: RegisterOperation): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(operation))
}

export function decodeOperation(bytes: Uint8Array): RegisterOperation {
  return JSON.parse(new TextDecoder().decode(bytes)) as RegisterOperation
}
