import type * as v from 'valibot'
import { type Schema, decode } from './decode.ts'
import type { PluginHandlers } from './handlers.ts'

/** What is left to do when the arguments are good: to send an answer, or the work that gives one. */
export type Prepared =
  { readonly kind: 'answer'; readonly body: object } | ({ readonly kind: 'work' } & Work)

/** The driver's part of a call. */
export interface Work {
  /** Resolves with the answer's body. */
  run(handlers: PluginHandlers): Promise<object>
  /**
   * Takes back what `run` did when it resolved too late to be answered: the engine was told that it
   * failed, and never asks to delete what it failed to create.
   */
  takeBack(handlers: PluginHandlers, answer: object): Promise<void>
}

const nothingToTakeBack = async (): Promise<void> => {}

/** A call that has arguments. */
export interface Method {
  /** Reads the arguments. Throws BAD_REQUEST when they are not as they must be. */
  prepare(body: unknown): Prepared
}

/** Methods by the name in their path: `NetworkDriver.Join`. */
export type Methods = ReadonlyMap<string, Method>

/**
 * The method `name`, whose arguments are as `schema` says and whose work is `run`. With `takeBack`, for
 * what nobody else may have asked for as well, as a new id or an address of our choice.
 */
export function method<S extends Schema, A extends object>(
  name: string,
  schema: S,
  run: (handlers: PluginHandlers, request: v.InferOutput<S>) => Promise<A>,
  takeBack: (
    handlers: PluginHandlers,
    request: v.InferOutput<S>,
    answer: A,
  ) => Promise<void> = nothingToTakeBack,
): [string, Method] {
  const prepare = (body: unknown): Prepared => {
    const request = decode(name, schema, body)
    return {
      kind: 'work',
      run: (handlers) => run(handlers, request),
      takeBack: (handlers, answer) => takeBack(handlers, request, answer as A),
    }
  }
  return [name, { prepare }]
}

/** A method that no driver is asked about: good arguments always get this answer. */
export function answered(name: string, schema: Schema, body: object): [string, Method] {
  const prepare = (request: unknown): Prepared => {
    decode(name, schema, request)
    return { kind: 'answer', body }
  }
  return [name, { prepare }]
}
