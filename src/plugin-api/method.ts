import type * as v from 'valibot'
import { type Schema, decode } from './decode.ts'
import type { PluginHandlers } from './handlers.ts'

/** What is left to do when the arguments are good: to send an answer, or the work that gives one. */
export type Prepared =
  { readonly kind: 'answer'; readonly body: object } | { readonly kind: 'work'; readonly run: Work }

/** The driver's part of a call; resolves with the answer's body. */
export type Work = (handlers: PluginHandlers) => Promise<object>

/** A call that has arguments. */
export interface Method {
  /** Reads the arguments. Throws BAD_REQUEST when they are not as they must be. */
  prepare(body: unknown): Prepared
}

/** Methods by the name in their path: `NetworkDriver.Join`. */
export type Methods = ReadonlyMap<string, Method>

/** The method `name`, whose arguments are as `schema` says and whose work is `run`. */
export function method<S extends Schema>(
  name: string,
  schema: S,
  run: (handlers: PluginHandlers, request: v.InferOutput<S>) => Promise<object>,
): [string, Method] {
  const prepare = (body: unknown): Prepared => {
    const request = decode(name, schema, body)
    return { kind: 'work', run: (handlers) => run(handlers, request) }
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
