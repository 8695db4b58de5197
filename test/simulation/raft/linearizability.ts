import { type RegisterOperation, transition } from './register-map.ts'

/** One operation as its client saw it. Times are any numbers that rise, no two alike. */
export interface Observed {
  readonly operation: RegisterOperation
  readonly calledAt: number
  /** Infinity when the client never learned of a result: it may have happened at any time, or not. */
  readonly returnedAt: number
  readonly result: number | null
}

interface Event {
  readonly operation: Observed
  readonly id: number
  readonly isCall: boolean
  previous: Event | null
  next: Event | null
  match: Event | null
}

/**
 * Whether there is an order of all operations, each at one moment between its call and its return, in which
 * each gives the result that was seen. Wing and Gong's search (1993) with Lowe's pruning (2017): a set of operations
 * done and the state they lead to are looked at once. Registers are looked at one by one (Herlihy and
 * Wing: linearizability is local).
 */
export function isLinearizable(history: readonly Observed[]): boolean {
  const byKey = new Map<string, Observed[]>()
  for (const observed of history) {
    const { key } = observed.operation
    byKey.set(key, [...(byKey.get(key) ?? []), observed])
  }
  return [...byKey.values()].every(isRegisterLinearizable)
}

function isRegisterLinearizable(history: readonly Observed[]): boolean {
  const head = listOf(history)
  const seen = new Set<string>()
  const done: { event: Event; before: number }[] = []
  let taken = 0n
  let state = 0
  let event = head.next
  while (head.next !== null) {
    if (event?.isCall === true) {
      const { operation, id } = event
      const { after, result } = transition(state, operation.operation)
      const set = taken | (1n << BigInt(id))
      const isPossible = operation.result === null || operation.result === result
      if (isPossible && !seen.has(`${set} ${after}`)) {
        seen.add(`${set} ${after}`)
        done.push({ event, before: state })
        state = after
        taken = set
        lift(event)
        event = head.next
      } else event = event.next
      continue
    }
    // Everything left may never have happened.
    if (event === null || event.operation.returnedAt === Infinity) return true
    const last = done.pop()
    if (last === undefined) return false
    state = last.before
    taken &= ~(1n << BigInt(last.event.id))
    unlift(last.event)
    event = last.event.next
  }
  return true
}

function listOf(history: readonly Observed[]): Event {
  const events = history.flatMap((operation, id) => {
    const call: Event = { operation, id, isCall: true, previous: null, next: null, match: null }
    const back: Event = { ...call, isCall: false }
    call.match = back
    return [
      { at: operation.calledAt, event: call },
      { at: operation.returnedAt, event: back },
    ]
  })
  events.sort((a, b) => (a.at === b.at ? 0 : a.at - b.at))
  const head = { previous: null, next: null } as unknown as Event
  let previous = head
  for (const { event } of events) {
    previous.next = event
    event.previous = previous
    previous = event
  }
  return head
}

/** Takes a call and its return out of the list. */
function lift(call: Event): void {
  call.previous!.next = call.next
  if (call.next) call.next.previous = call.previous
  const back = call.match!
  back.previous!.next = back.next
  if (back.next) back.next.previous = back.previous
}

function unlift(call: Event): void {
  const back = call.match!
  back.previous!.next = back
  if (back.next) back.next.previous = back
  call.previous!.next = call
  if (call.next) call.next.previous = call
}
