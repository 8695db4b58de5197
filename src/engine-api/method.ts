import type * as v from 'valibot'
import { type Schema, decode } from './messages/decode.ts'
import type { PluginHandlers } from './handlers.ts'

/** A call with valid arguments: an answer, or the work that produces one. */
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
  /** Decodes the arguments. Throws BAD_REQUEST. */
  prepare(body: unknown): Prepared
}

/** Methods by the name in their path: `NetworkDriver.Join`. */
export type Methods = ReadonlyMap<string, Method>

/**
 * The method `name` with the arguments of `schema` and the work `run`. `takeBack` is for what only
 * this call can have created, such as a new id or an address of our choice.
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

/** A method with a constant answer to valid arguments. */
export function answered(name: string, schema: Schema, body: object): [string, Method] {
  const prepare = (request: unknown): Prepared => {
    decode(name, schema, request)
    return { kind: 'answer', body }
  }
  return [name, { prepare }]
}
