import type { AnswerQuery, QuerySource, SandboxResolvers } from '../resolvers.ts'

/** Resolvers without a kernel: sandboxes are what a test says that there is. */
export class MemoryResolvers implements SandboxResolvers {
  readonly #answer: AnswerQuery
  readonly #engine: AnswerQuery
  readonly #sandboxes = new Set<string>()
  readonly #wanted = new Set<string>()
  /** Why there can be none on this kernel. */
  obstacle: string | null = null

  /** `engine` is what the engine's own resolver answers; null for nothing. */
  constructor(answer: AnswerQuery, engine: AnswerQuery) {
    this.#answer = answer
    this.#engine = engine
  }

  async start(): Promise<string | null> {
    return this.obstacle
  }

  async attach(sandbox: string): Promise<'attached' | 'awaited'> {
    this.#wanted.add(sandbox)
    return this.#sandboxes.has(sandbox) ? 'attached' : 'awaited'
  }

  async detach(sandbox: string): Promise<void> {
    this.#wanted.delete(sandbox)
  }

  async attached(): Promise<string[]> {
    return [...this.#wanted].filter((sandbox) => this.#sandboxes.has(sandbox))
  }

  async ask(sandbox: string, query: Uint8Array): Promise<Uint8Array | null> {
    const isAttached = this.#wanted.has(sandbox) && this.#sandboxes.has(sandbox)
    return isAttached ? this.#engine({ sandbox, transport: 'udp' }, query) : null
  }

  async audit(): Promise<string[]> {
    return []
  }

  async close(): Promise<void> {
    this.#wanted.clear()
  }

  /** The engine makes a namespace. */
  addSandbox(sandbox: string): void {
    this.#sandboxes.add(sandbox)
  }

  /** The engine removes it. */
  removeSandbox(sandbox: string): void {
    this.#sandboxes.delete(sandbox)
  }

  /** What a container is answered. */
  query(source: QuerySource, query: Uint8Array): Uint8Array | null {
    const { sandbox } = source
    const isAttached = this.#wanted.has(sandbox) && this.#sandboxes.has(sandbox)
    return (isAttached ? this.#answer(source, query) : null) ?? this.#engine(source, query)
  }
}
