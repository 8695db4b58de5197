/** Asks members for a grant until one gives it: seeds first, and the voters that they name. */
import type { Clock } from '../../base/clock.ts'
import { failure, isBug, messageOf, OverlayError } from '../../base/errors.ts'
import { enrolmentProtocol, maxHandshakeBytes } from '../streams/protocols.ts'
import { tlsClient, tlsContext } from '../streams/tls-stream.ts'
import type { Endpoint, Stream } from '../streams/transport.ts'
import { EnrolmentRefused, type Newcomer, enrol } from './enrolment.ts'
import type { Grant } from './messages.ts'

/** Members that are asked at one attempt to join: a few seeds, and all voters of a cluster. */
const maxAsked = 12
/** A host that is on accepts a connection within this time. */
const maxDialMs = 2000
/** A voter that has asked the others answers within this time. */
const maxAskMs = 10_000

interface JoiningParts {
  readonly clock: Clock
  /** Opens a stream without TLS. */
  readonly dial: (to: Endpoint, signal: AbortSignal) => Promise<Stream>
}

/** What came of asking members. */
export type JoinAttempt =
  | { readonly grant: Grant }
  /** At least one refused; asking again helps only when the reason is over. */
  | { readonly refusal: string; readonly why: 'evicted' | 'clash' | 'other' }
  /** None could be reached, or those that were could not decide. `isMet`: a member answered. */
  | { readonly reason: string; readonly isMet: boolean }

/** Asks these members, and voters that they name, one after another. Rejects for bugs alone. */
export async function joinBy(
  parts: JoiningParts,
  seeds: readonly Endpoint[],
  newcomer: Newcomer,
): Promise<JoinAttempt> {
  const toAsk = [...seeds]
  const asked = new Set<string>()
  const reasons = new Set<string>()
  let refused: EnrolmentRefused | null = null
  let isMet = false
  for (let next = toAsk.shift(); next !== undefined; next = toAsk.shift()) {
    const at = endpointText(next)
    if (asked.has(at) || asked.size >= maxAsked) continue
    asked.add(at)
    try {
      const answered = await ask(parts, next, newcomer)
      if ('certificate' in answered) return { grant: answered }
      isMet = true
      toAsk.unshift(...answered.voters.flatMap((text) => endpointOf(text) ?? []))
    } catch (error) {
      if (isBug(error)) throw error
      // One member that cannot be joined, its clock is wrong, does not hide what another says.
      if (error instanceof EnrolmentRefused && (refused === null || error.why === 'evicted'))
        refused = error
      isMet ||= error instanceof OverlayError && error.code !== 'SOCKET'
      reasons.add(messageOf(error))
    }
  }
  if (refused !== null) return { refusal: refused.message, why: refused.why }
  const reason = reasons.size === 0 ? 'no voter answers yet' : [...reasons].join('; ')
  return { reason, isMet }
}

async function ask({ clock, dial }: JoiningParts, to: Endpoint, newcomer: Newcomer) {
  const controller = new AbortController()
  let raw: Stream | null = null
  const within = (ms: number) =>
    clock.setTimeout(() => {
      const text = `${endpointText(to)} did not answer within ${ms} ms`
      controller.abort(failure(raw === null ? 'SOCKET' : 'DEADLINE', text))
    }, ms)
  let timer = within(maxDialMs)
  controller.signal.addEventListener('abort', () => raw?.destroy(controller.signal.reason as Error))
  try {
    raw = await dial(to, controller.signal).catch((error: Error) => {
      throw failure('SOCKET', error.message, error)
    })
    clock.clearTimeout(timer)
    timer = within(maxAskMs)
    const options = { protocols: [enrolmentProtocol], maxBytes: maxHandshakeBytes }
    const tls = await tlsClient(raw, { context: tlsContext(), ...options })
    return await enrol(tls, endpointText(to), newcomer, clock)
  } catch (error) {
    throw controller.signal.aborted ? (controller.signal.reason as Error) : error
  } finally {
    clock.clearTimeout(timer)
    raw?.destroy()
  }
}

export function endpointText({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Reads `host:port`, with an IPv6 address in brackets; null for anything else. */
export function endpointOf(text: string): Endpoint | null {
  const match = /^(?:\[([0-9a-f:]+)\]|([\d.]+)):(\d{1,5})$/.exec(text)
  return match === null ? null : { address: (match[1] ?? match[2])!, port: Number(match[3]) }
}
