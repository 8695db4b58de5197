/** What members ask each other beside Raft's own messages, as bytes. */
import { ByteReader, ByteWriter, CodecError } from '../base/bytes.ts'
import { readBytes, readText, readTexts, writeBytes, writeText, writeTexts } from './core/codec.ts'
import { type ServerId, limits } from './core/types.ts'
import { maxAnswerBytes, maxCommandBytes } from './ports.ts'

/** What a member knows of its cluster. Another one finds the voters by it. */
export interface ClusterView {
  /** Empty while it belongs to none. */
  readonly clusterId: string
  readonly term: number
  /** Id of the leader; empty when none is known. */
  readonly leader: ServerId
  readonly voters: readonly ServerId[]
  /** Voters from which the one that answers hears nothing. */
  readonly silent: readonly ServerId[]
}

export type Request =
  | {
      readonly kind: 'submit'
      readonly clusterId: string
      readonly incarnation: number
      readonly sequence: number
      readonly acknowledged: number
      readonly command: Uint8Array
    }
  | { readonly kind: 'query'; readonly clusterId: string; readonly question: Uint8Array }
  /** What do you know of the cluster? */
  | { readonly kind: 'view' }
  /** Hold a server for this cluster; asked by its leader. */
  | { readonly kind: 'enroll'; readonly clusterId: string }
  /** Remove my server: I leave. Or: is that server still in the configuration? */
  | {
      readonly kind: 'leave' | 'is-server'
      readonly clusterId: string
      readonly server: ServerId
    }

export type Answer =
  /** With what the leader knows, so that clients learn of new voters. */
  | { readonly kind: 'result'; readonly bytes: Uint8Array; readonly view: ClusterView }
  /** Not here: ask the leader that the view names. */
  | { readonly kind: 'view'; readonly view: ClusterView }
  | { readonly kind: 'enrolled'; readonly server: ServerId }
  | { readonly kind: 'refused'; readonly reason: 'busy' | 'expired' | 'full' }

const requestKinds = ['submit', 'query', 'view', 'enroll', 'leave', 'is-server'] as const
const answerKinds = ['result', 'view', 'enrolled', 'refused'] as const
const reasons = ['busy', 'expired', 'full'] as const

/** The name of the member that runs a server. */
export function memberOf(server: ServerId): string {
  return server.slice(0, Math.max(0, server.lastIndexOf('#')))
}

export function encodeRequest(request: Request): Uint8Array {
  const writer = new ByteWriter().uint(requestKinds.indexOf(request.kind), 1)
  if (request.kind === 'view') return writer.bytes()
  writeText(writer, request.clusterId)
  if (request.kind === 'query') writeBytes(writer, request.question)
  else if (request.kind === 'leave' || request.kind === 'is-server')
    writeText(writer, request.server)
  else if (request.kind === 'submit') {
    writer.varint(request.incarnation).varint(request.sequence).varint(request.acknowledged)
    writeBytes(writer, request.command)
  }
  return writer.bytes()
}

export function decodeRequest(bytes: Uint8Array): Request {
  const reader = new ByteReader(bytes)
  const kind = requestKinds[reader.uint(1)]
  if (kind === undefined) throw new CodecError('no such kind of request')
  if (kind === 'view') return { kind }
  const clusterId = readText(reader)
  if (kind === 'enroll') return { kind, clusterId }
  if (kind === 'leave' || kind === 'is-server') return { kind, clusterId, server: readText(reader) }
  if (kind === 'query') return { kind, clusterId, question: readBytes(reader, maxCommandBytes) }
  const [incarnation, sequence, acknowledged] = [reader.varint(), reader.varint(), reader.varint()]
  const command = readBytes(reader, maxCommandBytes)
  return { kind, clusterId, incarnation, sequence, acknowledged, command }
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const writer = new ByteWriter().uint(answerKinds.indexOf(answer.kind), 1)
  if (answer.kind === 'result') writeBytes(writer, answer.bytes)
  if (answer.kind === 'refused') writer.uint(reasons.indexOf(answer.reason), 1)
  else if (answer.kind === 'enrolled') writeText(writer, answer.server)
  else {
    const { clusterId, term, leader, voters, silent } = answer.view
    writeText(writer, clusterId)
    writeText(writer.varint(term), leader)
    writeTexts(writer, voters)
    writeTexts(writer, silent)
  }
  return writer.bytes()
}

export function decodeAnswer(bytes: Uint8Array): Answer {
  const reader = new ByteReader(bytes)
  const kind = answerKinds[reader.uint(1)]
  if (kind === undefined) throw new CodecError('no such kind of answer')
  const result = kind === 'result' ? readBytes(reader, maxAnswerBytes) : null
  if (kind === 'enrolled') return { kind, server: readText(reader) }
  if (kind === 'refused') return { kind, reason: reasons[reader.uint(1)] ?? 'busy' }
  const [clusterId, term, leader] = [readText(reader), reader.varint(), readText(reader)]
  const voters = readTexts(reader, limits.maxServers)
  const silent = readTexts(reader, limits.maxServers)
  const view = { clusterId, term, leader, voters, silent }
  return result === null ? { kind: 'view', view } : { kind: 'result', bytes: result, view }
}
