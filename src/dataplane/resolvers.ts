/*
 * Resolvers in sandboxes: in the namespace of a container, DNS queries to the engine's embedded
 * resolver come to us first. What we have no answer for goes on to it as it came.
 *
 * This file is the port; `linux/resolver` implements it, `memory/` for tests. The invariants of
 * every implementation: each verb may be repeated; when this process hangs or is gone, however
 * that comes, queries reach the engine's resolver as if there were nothing of ours; and nothing is
 * bound to port 53 in a container.
 */

/** Where a query comes from. */
export interface QuerySource {
  readonly sandbox: string
  readonly transport: 'udp' | 'tcp'
}

/** Answers a query, in the same turn; null when the engine's own resolver is to answer it. */
export type AnswerQuery = (source: QuerySource, query: Uint8Array) => Uint8Array | null

/** The resolvers of all sandboxes on this host. A sandbox is the path of its namespace's file. */
export interface SandboxResolvers {
  /**
   * Must be called before anything else.
   * @returns why there can be no resolvers on this kernel, and what to do about it; null when there
   *   can.
   */
  start(): Promise<string | null>

  /**
   * Gives a sandbox a resolver: at once, or as soon as its namespace exists, which engines before
   * 28 make after Join only.
   */
  attach(sandbox: string): Promise<'attached' | 'awaited'>

  /** Takes a sandbox's resolver away. None is no error. */
  detach(sandbox: string): Promise<void>

  /** The sandboxes that have a resolver now. */
  attached(): Promise<string[]>

  /**
   * Asks the engine's own resolver in a sandbox with a resolver of ours.
   * @returns its answer; null when there is none.
   */
  ask(sandbox: string, query: Uint8Array): Promise<Uint8Array | null>

  /** Repairs what others changed. @returns what was repaired, in words. */
  audit(): Promise<string[]>

  /** Takes all resolvers away. */
  close(): Promise<void>
}
