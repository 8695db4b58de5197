import type { EventEmitter } from 'node:events'
import type { MemberlistEvent, MemberlistEvents } from './events.ts'
import { MAX_BUFFERED_EVENTS } from './limits.ts'
import type { Member } from './member.ts'

/** Turns the events of a list into an async iterator with a bounded buffer. `present` come first, as joins. */
export function eventStream(
  list: EventEmitter<MemberlistEvents>,
  present: readonly Member[],
  signal?: AbortSignal,
): AsyncIterableIterator<MemberlistEvent> {
  let buffer: MemberlistEvent[] = present.map((member) => ({ type: 'join', member }))
  let dropped = 0
  let wake: (() => void) | undefined
  let ended = false

  const push = (event: MemberlistEvent) => {
    if (buffer.length >= MAX_BUFFERED_EVENTS) {
      dropped += buffer.length
      buffer = []
    }
    buffer.push(event)
    wake?.()
  }
  const unsubscribe = subscribe(list, push)
  const end = () => {
    ended = true
    unsubscribe()
    signal?.removeEventListener('abort', end)
    wake?.()
  }
  signal?.addEventListener('abort', end, { once: true })
  if (signal?.aborted === true) end()

  const takeNext = (): MemberlistEvent | undefined => {
    if (dropped === 0) return buffer.shift()
    const lagged: MemberlistEvent = { type: 'lagged', dropped }
    dropped = 0
    return lagged
  }
  return {
    async next() {
      for (;;) {
        const value = ended ? undefined : takeNext()
        if (value !== undefined) return { done: false, value }
        if (ended) return { done: true, value: undefined }
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    async return() {
      end()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function subscribe(
  list: EventEmitter<MemberlistEvents>,
  push: (event: MemberlistEvent) => void,
): () => void {
  const join = (member: Member) => push({ type: 'join', member })
  const suspect = (member: Member) => push({ type: 'suspect', member })
  const refuted = (member: Member) => push({ type: 'refuted', member })
  const update = (member: Member, previous: Member) => push({ type: 'update', member, previous })
  const leave = (member: Member, how: 'left' | 'failed') => push({ type: 'leave', member, how })
  list.on('join', join).on('suspect', suspect).on('refuted', refuted)
  list.on('update', update).on('leave', leave)
  return () => {
    list.off('join', join).off('suspect', suspect).off('refuted', refuted)
    list.off('update', update).off('leave', leave)
  }
}
