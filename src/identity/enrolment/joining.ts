/** Asks members for a grant until one gives it: seeds first, and the voters that they name. */
import type { Clock } from '../../base/clock.ts'
import { OverlayError, failure, isBug, messageOf, refusal } from '../../base/errors.ts'
import { enrolmentProtocol, maxHandshakeBytes } from '../streams/protocols.ts'
import { tlsClient, tlsContext } from '../streams/tls-stream.ts'
import type { Endpoint, Stream } from '../streams/transport.ts'
import { type Newcomer, enrol } from './enrolment.ts'
import type { Grant } from './messages.ts'

/** Members that are asked at one attempt to join: a few seeds, and all voters of a cluster. */
const maxAsked = 12
/** A voter that has asked the others answers within this time. */
const maxAskMs = 10_000

interface JoiningParts {
  readonly clock: Clock
  /** Opens a stream without TLS. */
  readonly dial: (to: Endpoint, signal: AbortSignal) => Promise<Stream>
}

/**
 * Rejects with NOT_ADMITTED and the reason of each member that was asked: a refusal when one of
 * them refused, else a failure, which may be over when it is tried again.
 */
export async function joinBy(
  parts: JoiningParts,
  seeds: readonly Endpoint[],
  newcomer: Newcomer,
): Promise<Grant> {
  const toAsk = [...seeds]
  const asked = new Set<string>()
  const reasons = new Set<string>()
  let isRefused = false
  for (let next = toAsk.shift(); next !== undefined; next = toAsk.shift()) {
    const at = textOf(next)
    if (asked.has(at) || asked.size >= maxAsked) continue
    asked.add(at)
    try {
      const answered = await ask(parts, next, newcomer)
      if ('certificate' in answered) return answered
      toAsk.unshift(...answered.voters.flatMap((text) => endpointOf(text) ?? []))
    } catch (error) {
      if (isBug(error)) throw error
      isRefused ||= error instanceof OverlayError && error.kind === 'refusal'
      reasons.add(messageOf(error))
    }
  }
  const told = reasons.size === 0 ? 'no voter answers yet' : [...reasons].join('; ')
  const kind = isRefused ? refusal : failure
  throw kind('NOT_ADMITTED', `this host could not be enrolled: ${told}`)
}

async function ask({ clock, dial }: JoiningParts, to: Endpoint, newcomer: Newcomer) {
  const controller = new AbortController()
  const late = failure('DEADLINE', `${textOf(to)} did not answer within ${maxAskMs} ms`)
  const timer = clock.setTimeout(() => controller.abort(late), maxAskMs)
  let raw: Stream | null = null
  controller.signal.addEventListener('abort', () => raw?.destroy(late))
  try {
    raw = await dial(to, controller.signal).catch((error: Error) => {
      throw failure('SOCKET', error.message, error)
    })
    const options = { protocols: [enrolmentProtocol], maxBytes: maxHandshakeBytes }
    const tls = await tlsClient(raw, { context: tlsContext(), ...options })
    return await enrol(tls, textOf(to), newcomer, clock)
  } catch (error) {
    throw controller.signal.aborted ? late : error
  } finally {
    clock.clearTimeout(timer)
    raw?.destroy()
  }
}

function textOf({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Reads `host:port`, with an IPv6 address in brackets; null for anything else. */
export function endpointOf(text: string): Endpoint | null {
  const match = /^(?:\[([0-9a-f:]+)\]|([\d.]+)):(\d{1,5})$/.exec(text)
  return match === null ? null : { address: (match[1] ?? match[2])!, port: Number(match[3]) }
}
