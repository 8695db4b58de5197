import * as v from 'valibot'
import { refusal } from '../../base/errors.ts'

/** Faults of one body that the message names. */
const maxFaults = 3
/** Of a wrong value, in the message. */
const maxValueCharacters = 60

/** Any schema that decodes at once. */
export type Schema = v.GenericSchema

/**
 * The body of one call as `schema` describes it. Throws BAD_REQUEST that names each wrong field,
 * what was expected there and what came instead.
 */
export function decode<S extends Schema>(
  method: string,
  schema: S,
  body: unknown,
): v.InferOutput<S> {
  const result = v.safeParse(schema, body)
  if (result.success) return result.output
  const faults = result.issues.slice(0, maxFaults).map(faultText)
  throw refusal('BAD_REQUEST', `${method}: ${faults.join('; ')}`)
}

/** The JSON value in `text`. Throws BAD_REQUEST when it is none. */
export function decodeJson(method: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw refusal('BAD_REQUEST', `${method}: the body is not JSON (${reason})`)
  }
}

function faultText(issue: v.BaseIssue<unknown>): string {
  const place = placeOf(issue.path ?? [])
  const what = place === '' ? 'the body' : `field ${place}`
  if (issue.input === undefined) return `${what} is missing`
  return `${what}: expected ${expectedText(issue)}, got ${valueText(issue.input)}`
}

/** `IPv4Data[0].Pool`; a key that has dots itself stands in quotes. */
function placeOf(path: readonly v.IssuePathItem[]): string {
  return path.reduce((text, item) => {
    if (typeof item.key === 'number') return `${text}[${item.key}]`
    const key = String(item.key)
    if (!/^\w+$/.test(key)) return `${text}[${JSON.stringify(key)}]`
    return text === '' ? key : `${text}.${key}`
  }, '')
}

const nameOfType: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  number: 'a number',
  object: 'an object',
  record: 'an object',
  array: 'a list',
}

function expectedText(issue: v.BaseIssue<unknown>): string {
  return (issue.kind === 'schema' ? nameOfType[issue.type] : undefined) ?? issue.message
}

function valueText(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= maxValueCharacters ? text : `${text.slice(0, maxValueCharacters)}…`
}
