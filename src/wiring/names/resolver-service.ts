import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { Every } from '../../base/timers.ts'
import type { AnswerQuery, SandboxResolvers } from '../../dataplane/resolvers.ts'
import { answerQuery } from '../../names/answer.ts'
import { pointerQuery, readPointer } from '../../names/dns-message.ts'
import { NameTable, type TableChange } from '../../names/name-table.ts'
import type { Resolvers } from '../../names/names.ts'
import type { Ip } from '../../net/ip.ts'

interface ResolverServiceParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly auditIntervalMs: number
  /** The data plane's resolvers, which are to answer by that. */
  readonly resolvers: (answer: AnswerQuery) => SandboxResolvers
}

/** The table of names and the sandboxes' resolvers, in one thread. */
export class ResolverService implements Resolvers {
  readonly #table = new NameTable()
  readonly #resolvers: SandboxResolvers
  readonly #audit: Every
  /** Why there can be no resolvers; null when there can. */
  #obstacle: Promise<string | null> | null = null

  constructor({ clock, random, logger, auditIntervalMs, resolvers }: ResolverServiceParts) {
    this.#resolvers = resolvers((source, query) => answerQuery(this.#table, random, source, query))
    this.#audit = new Every({
      clock,
      intervalMs: auditIntervalMs,
      run: async () => {
        const repaired = await this.#resolvers.audit()
        for (const what of repaired) logger.warn(what)
      },
      warn: (message) => logger.warn(message),
    })
  }

  async start(): Promise<string | null> {
    this.#obstacle ??= this.#resolvers.start()
    const obstacle = await this.#obstacle
    if (obstacle === null) this.#audit.start()
    return obstacle
  }

  async close(): Promise<void> {
    this.#audit.stop()
    await this.#resolvers.close()
  }

  apply(changes: readonly TableChange[]): void {
    this.#table.apply(changes)
  }

  async attach(sandbox: string): Promise<void> {
    // The engine may call while we start.
    if ((await this.#obstacle) === null) await this.#resolvers.attach(sandbox)
  }

  detach(sandbox: string): Promise<void> {
    return this.#resolvers.detach(sandbox)
  }

  async attachedCount(): Promise<number> {
    return (await this.#resolvers.attached()).length
  }

  async engineNameOf(sandbox: string, ip: Ip): Promise<string | null> {
    const answer = await this.#resolvers.ask(sandbox, pointerQuery(ip))
    return answer === null ? null : readPointer(answer)
  }
}
