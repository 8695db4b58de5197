import * as v from 'valibot'
import type { AppliedAt } from '../ports.ts'

/** A member in the registry. */
export interface Member {
  /** Random, made once for each disk; a member that lost its disk has another. */
  readonly id: string
  /** Short for `id` in the rest of the state; never given twice. */
  readonly number: number
  readonly name: string
  /** The agreed clock when it last renewed its membership, ms. */
  heardAtMs: number
}

/** Who submitted a command, and where it stands in the log. */
export interface Call {
  readonly at: AppliedAt
  readonly member: Member
}

/** Why a command was refused, with what a message to people needs. */
interface Refusal {
  readonly code: RefusalCode
  /** The member, pool, overlay or address in the way. */
  readonly member?: string
  readonly pool?: string
  readonly overlay?: string
  readonly vni?: number
  readonly offset?: number
  readonly names?: readonly string[]
}

export type RefusalCode =
  | 'BAD_COMMAND'
  | 'EVICTED'
  | 'IN_USE'
  | 'LENT'
  | 'NONE_LEFT'
  | 'NOT_HELD'
  | 'NOT_LAPSED'
  | 'OTHER_ENCRYPTION'
  | 'OTHER_GATEWAY'
  | 'OTHER_VNI'
  | 'OVERLAP'
  | 'OWNED'
  | 'QUOTA'
  | 'UNKNOWN_COMMAND'
  | 'UNKNOWN_MEMBER'
  | 'VNI_IN_USE'

export type Outcome<T> = { readonly ok: T } | { readonly refused: Refusal }

/** Thrown inside an operation before it changes anything; `AgreedState` makes the answer of it. */
export class Refused extends Error {
  readonly refusal: Refusal

  constructor(code: RefusalCode, details: Omit<Refusal, 'code'> = {}) {
    super(code)
    this.refusal = { code, ...details }
  }
}

/** One command: what it must look like and what it does. Never throws anything but `Refused`. */
interface Operation {
  /** The command version that brought it; see `StateMachine.version`. */
  readonly since: number
  readonly run: (command: unknown, caller: Caller) => unknown
}

/** Who calls, before it is known whether the registry has it. */
export interface Caller {
  readonly at: AppliedAt
  /** The registered member of that id, whose name is that of the channel. */
  readonly require: (id: string) => Member
}

/**
 * A part of the state with commands of its own. Parts know nothing of each other; what concerns all
 * is that a member is gone.
 */
export interface Section {
  readonly operations: Readonly<Record<string, Operation>>
  /** Questions change nothing. */
  readonly questions: Readonly<Record<string, (question: unknown) => unknown>>
  /** Plain JSON; equal states give equal JSON. */
  snapshot(): unknown
  restore(snapshot: unknown): void
  /**
   * The member with this number is gone: whatever it had is free. `evicted` is its name when it was
   * evicted, and did not leave or lose its disk.
   */
  memberGone(number: number, evicted: string | null): void
}

type Schema = v.GenericSchema

/** A command of a registered member. The schema must have `id`. */
export function memberOperation<S extends v.GenericSchema<unknown, { readonly id: string }>>(
  since: number,
  schema: S,
  run: (command: v.InferOutput<S>, call: Call) => unknown,
): Operation {
  return {
    since,
    run: (command, caller) => {
      const parsed = parse(schema, command)
      return run(parsed, { at: caller.at, member: caller.require(parsed.id) })
    },
  }
}

/** A command that needs no registration. */
export function openOperation<S extends Schema>(
  since: number,
  schema: S,
  run: (command: v.InferOutput<S>, at: AppliedAt) => unknown,
): Operation {
  return { since, run: (command, { at }) => run(parse(schema, command), at) }
}

export function question<S extends Schema>(
  schema: S,
  run: (question: v.InferOutput<S>) => unknown,
): (question: unknown) => unknown {
  return (asked) => run(parse(schema, asked))
}

function parse<S extends Schema>(schema: S, value: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value)
  if (!parsed.success) throw new Refused('BAD_COMMAND')
  return parsed.output
}
