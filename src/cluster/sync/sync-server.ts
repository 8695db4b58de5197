/**
 * Answers delta requests: sends what the requester lacks. A few hundred records go in packets, more
 * over TCP in pieces, to a few members at once; others are told to ask another member. Answers are
 * marked as repairs, which are not passed on.
 */
import { sleep } from '../../base/clock.ts'
import type { Packed } from '../../base/bytes.ts'
import { type Coverage, type Range, coverageTo, coveredRanges, subtract } from '../log/coverage.ts'
import { deltasOf } from './packing.ts'
import { type DeltaRequest, encodeFrame, encodeMessage, envelopeBytes } from '../wire/frames.ts'
import type { OriginLog } from '../log/origin-log.ts'
import { groupsOf, messagesOf } from './packing.ts'
import type { SyncContext } from './context.ts'

/** Room for the frame's own head, and in a transfer for the frame that says that more comes. */
const frameRoom = 16

/** The part of a log that a requester lacks. */
export interface Reply {
  readonly log: OriginLog
  /** Not null: a reset up to this version, since the requester may lack deletions we dropped. */
  readonly reset: number | null
  readonly ranges: readonly Range[]
}

/** What a log has that the requester lacks; null when that is nothing. */
export function replyTo(request: DeltaRequest, log: OriginLog): Reply | null {
  if (request.epoch > log.epoch || !log.heard) return null
  const has: Coverage = request.epoch === log.epoch ? request.coverage : coverageTo(0)
  const older = request.epoch < log.epoch
  if (has.prefix < log.floor) {
    const to = log.coverage.prefix
    return to > has.prefix ? { log, reset: to, ranges: [{ from: 0, to }] } : null
  }
  const ranges = coveredRanges(log.coverage).flatMap((range) => subtract(range, has))
  return ranges.length === 0 && !older ? null : { log, reset: null, ranges }
}

export class SyncServer {
  readonly #ports: SyncContext
  readonly #receivers = new Set<string>()
  #closed = false

  constructor(ports: SyncContext) {
    this.#ports = ports
  }

  /** Transfers in progress. */
  get transfers(): number {
    return this.#receivers.size
  }

  /** Sends a member what it lacks. */
  answer(member: string, requests: readonly DeltaRequest[]): void {
    const { replica, options } = this.#ports
    const replies: Reply[] = []
    for (const request of requests) {
      const log = replica.origin(request.oid)?.log
      const reply = log === undefined ? null : replyTo(request, log)
      if (reply !== null) replies.push(reply)
    }
    if (replies.length === 0) return
    if (recordsIn(replies, options.maxPacketRecords) <= options.maxPacketRecords) {
      this.#sendPackets(member, replies)
    } else if (this.#receivers.has(member)) return
    else if (this.#receivers.size >= options.maxTransfers) {
      this.#ports.sender.send(member, [{ kind: 'transfer', state: 'busy' }])
    } else void this.#transfer(member, replies)
  }

  close(): void {
    this.#closed = true
  }

  #sendPackets(member: string, replies: readonly Reply[]): void {
    const { sender } = this.#ports
    const payload = sender.maxPacketBytes
    const frames = [...this.#framesOf(replies, payload - envelopeBytes - frameRoom)]
    for (const message of messagesOf(this.#self, frames, payload))
      sender.sendMessage(member, message)
  }

  async #transfer(member: string, replies: readonly Reply[]): Promise<void> {
    const { clock, options, sender } = this.#ports
    this.#receivers.add(member)
    try {
      for (const frames of groupsOf(
        this.#framesOf(replies, options.transferBytes),
        options.transferBytes,
      )) {
        frames.push(encodeFrame({ kind: 'transfer', state: 'more' }))
        await sender.sendReliable(member, encodeMessage(this.#self, frames))
        await sleep(clock, 0)
        if (this.#closed) return
      }
      const done = encodeFrame({ kind: 'transfer', state: 'done' })
      await sender.sendReliable(member, encodeMessage(this.#self, [done]))
    } catch {
      // The member went away or its stream broke: it asks again, here or elsewhere.
    } finally {
      this.#receivers.delete(member)
    }
  }

  /** Delta frames of the replies, each of at most about `maxBytes` bytes. */
  *#framesOf(replies: readonly Reply[], maxBytes: number): Generator<Uint8Array> {
    for (const { log, reset, ranges } of replies) {
      const certificate = this.#ports.signedLogs.certificateOf(log.oid)
      const deltas = deltasOf(log, ranges, { reset, repair: true, maxBytes, certificate })
      // A reset goes from the highest versions down: so a record that was written again is there
      // before its old version is cleared, and is never seen as deleted.
      const inOrder = reset === null ? deltas : [...deltas].reverse()
      for (const delta of inOrder) yield encodeFrame({ kind: 'delta', delta })
    }
  }

  get #self(): Packed {
    return this.#ports.replica.self.oid
  }
}

/** How many records the replies have; stops counting above `enough`. */
function recordsIn(replies: readonly Reply[], enough: number): number {
  let records = 0
  for (const { log, ranges } of replies) {
    for (const range of ranges) records += 1 + log.between(range.from, range.to).length
    if (records > enough) break
  }
  return records
}
