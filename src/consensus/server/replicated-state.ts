import { ByteReader, ByteWriter, CodecError } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import { readBytes, readText, writeBytes, writeText } from '../core/codec.ts'
import {
  type AppliedAt,
  type StateMachine,
  maxCommandBytes,
  maxResultBytes,
  maxSnapshotBytes,
} from '../ports.ts'

/** A command as its client sends it: retries carry the same numbers (thesis 6.3). */
export interface SessionCommand {
  readonly member: string
  /** Drawn at random when the client starts. */
  readonly incarnation: number
  /** From 1; one more for each command. */
  readonly sequence: number
  /** The client has the results of all sequences below. */
  readonly acknowledged: number
  readonly command: Uint8Array
}

/**
 * What becomes of a command: the result of the state machine, or that its session is gone or full.
 */
export type Outcome =
  { readonly kind: 'applied'; readonly result: Uint8Array } | { readonly kind: 'expired' | 'full' }

interface Session {
  readonly member: string
  readonly incarnation: number
  readonly results: Map<number, Uint8Array>
  /** The client has the results of all sequences below; a late copy of one is not applied again. */
  acknowledged: number
}

/** A member needs one session, and a second while it restarts. */
const maxSessionsPerMember = 2
const maxSessions = 4096
/** Results that a client has not acknowledged yet. */
export const maxOutstanding = 64

/**
 * The state machine with its client sessions: a command that comes twice is applied once, on every
 * voter alike. Sessions are dropped by number, never by time, so no clock decides what is applied.
 */
export class ReplicatedState {
  readonly machine: StateMachine
  /** By member and incarnation, the least recently used first. */
  #sessions = new Map<string, Session>()
  #dissolvedInto: string | null = null
  /** The state before any command. */
  readonly #initial: Uint8Array

  constructor(machine: StateMachine) {
    this.machine = machine
    this.#initial = this.snapshot()
  }

  /** The cluster that this one is merged into; see membership.ts. */
  get dissolvedInto(): string | null {
    return this.#dissolvedInto
  }

  /**
   * Applies what a log entry holds. What cannot be read counts as no command: the same everywhere.
   */
  apply(data: Uint8Array, at: Omit<AppliedAt, 'from'>): Outcome {
    const entry = decodeData(data)
    if (entry === null) return { kind: 'expired' }
    if ('into' in entry) {
      this.#dissolvedInto ??= entry.into
      return { kind: 'applied', result: new Uint8Array() }
    }
    return this.#applyOnce(entry, at)
  }

  /**
   * The result of a command that was applied before; null when it was not, or the client has it.
   */
  resultOf({ member, incarnation, sequence }: SessionCommand): Uint8Array | null {
    return this.#sessions.get(keyOf(member, incarnation))?.results.get(sequence) ?? null
  }

  snapshot(): Uint8Array {
    const writer = new ByteWriter()
    writeText(writer, this.#dissolvedInto ?? '')
    writer.varint(this.#sessions.size)
    for (const { member, incarnation, acknowledged, results } of this.#sessions.values()) {
      writeText(writer, member)
      writer.varint(incarnation).varint(acknowledged).varint(results.size)
      for (const [sequence, result] of results) writeBytes(writer.varint(sequence), result)
    }
    writeBytes(writer, this.machine.snapshot())
    return writer.bytes()
  }

  /** Becomes what `snapshot` gave; with no bytes, the state before any command. */
  restore(snapshot: Uint8Array): void {
    const reader = new ByteReader(snapshot.length > 0 ? snapshot : this.#initial)
    this.#dissolvedInto = readText(reader) || null
    this.#sessions = new Map()
    for (let left = reader.varint(); left > 0; left--) {
      const member = readText(reader)
      const [incarnation, acknowledged] = [reader.varint(), reader.varint()]
      const results = new Map<number, Uint8Array>()
      for (let more = reader.varint(); more > 0; more--)
        results.set(reader.varint(), readBytes(reader, maxResultBytes))
      this.#sessions.set(keyOf(member, incarnation), { member, incarnation, acknowledged, results })
    }
    this.machine.restore(readBytes(reader, maxSnapshotBytes))
  }

  #applyOnce(entry: SessionCommand, at: Omit<AppliedAt, 'from'>): Outcome {
    const { member, sequence, acknowledged, command } = entry
    const session = this.#sessionOf(entry)
    if (session === null) return { kind: 'expired' }
    session.acknowledged = Math.max(session.acknowledged, acknowledged)
    for (const done of session.results.keys())
      if (done < session.acknowledged) session.results.delete(done)
    if (sequence < session.acknowledged) return { kind: 'expired' }
    const known = session.results.get(sequence)
    if (known !== undefined) return { kind: 'applied', result: known }
    if (session.results.size >= maxOutstanding) return { kind: 'full' }
    const result = this.machine.apply(command, { ...at, from: member })
    assert(result.length <= maxResultBytes, `a result of ${result.length} bytes`)
    session.results.set(sequence, result)
    return { kind: 'applied', result }
  }

  /**
   * The command's session. A new one begins only with a client that has no result yet: else it was
   * dropped.
   */
  #sessionOf({ member, incarnation, acknowledged }: SessionCommand): Session | null {
    const key = keyOf(member, incarnation)
    const known = this.#sessions.get(key)
    if (known === undefined && acknowledged > 1) return null
    this.#sessions.delete(key)
    if (known === undefined) this.#makeRoom(member)
    const results = new Map<number, Uint8Array>()
    const session = known ?? { member, incarnation, acknowledged, results }
    this.#sessions.set(key, session)
    return session
  }

  #makeRoom(member: string): void {
    const own = [...this.#sessions].filter(([, session]) => session.member === member)
    const [oldest] = this.#sessions.keys()
    if (own.length >= maxSessionsPerMember) this.#sessions.delete(own[0]![0])
    else if (this.#sessions.size >= maxSessions) this.#sessions.delete(oldest!)
  }
}

function keyOf(member: string, incarnation: number): string {
  return `${incarnation} ${member}`
}

/** The bytes of a log entry for a command. */
export function encodeCommand(entry: SessionCommand): Uint8Array {
  const writer = new ByteWriter().uint(1, 1)
  writeText(writer, entry.member)
  writer.varint(entry.incarnation).varint(entry.sequence).varint(entry.acknowledged)
  writeBytes(writer, entry.command)
  return writer.bytes()
}

/** The bytes of a log entry by which this cluster is merged into another one. */
export function encodeDissolution(into: string): Uint8Array {
  const writer = new ByteWriter().uint(2, 1)
  writeText(writer, into)
  return writer.bytes()
}

function decodeData(data: Uint8Array): SessionCommand | { into: string } | null {
  try {
    const reader = new ByteReader(data)
    const kind = reader.uint(1)
    if (kind === 2) return { into: readText(reader) }
    if (kind !== 1) return null
    const member = readText(reader)
    const [incarnation, sequence] = [reader.varint(), reader.varint()]
    const acknowledged = reader.varint()
    const command = readBytes(reader, maxCommandBytes)
    return { member, incarnation, sequence, acknowledged, command }
  } catch (error) {
    if (error instanceof CodecError) return null
    throw error
  }
}
