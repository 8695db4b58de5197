/** Which member answers at an address: it shows its certificate in a handshake. */
import type { X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { failure, isBug } from '../../base/errors.ts'
import { parseIp } from '../../net/ip.ts'
import { type Certificate, certificateOf } from '../certificates/certificate.ts'
import { certificateFault } from '../certificates/rules.ts'
import { maxHandshakeBytes, memberProtocol } from './protocols.ts'
import { tlsClient } from './tls-stream.ts'
import type { Endpoint, Stream } from './transport.ts'

/** A connection, a handshake and one byte: four round trips, of 200 ms at most. */
const maxAnswerMs = 800

interface AskingParts {
  readonly clock: Clock
  readonly dial: (to: Endpoint, signal: AbortSignal) => Promise<Stream>
  readonly standing: {
    readonly context: SecureContext
    readonly authority: X509Certificate
    readonly evicted: ReadonlySet<string>
  }
}

/** The certificate of the member at that address; null when none answers that has one for it. */
export async function certificateAt(
  { clock, dial, standing }: AskingParts,
  to: Endpoint,
): Promise<Certificate | null> {
  const { context, authority, evicted } = standing
  const controller = new AbortController()
  let raw: Stream | null = null
  const timer = clock.setTimeout(() => {
    controller.abort(failure('DEADLINE', 'no answer'))
    raw?.destroy(controller.signal.reason as Error)
  }, maxAnswerMs)
  try {
    raw = await dial(to, controller.signal).catch((error: Error) => {
      throw failure('SOCKET', error.message, error)
    })
    const options = { context, protocols: [memberProtocol], maxBytes: maxHandshakeBytes }
    const tls = await tlsClient(raw, options)
    const found = tls.peer && certificateOf(tls.peer)
    // The other side has done its part of the handshake when its first word is here.
    await tls[Symbol.asyncIterator]().next()
    const isEvicted = (identity: string): boolean => evicted.has(identity)
    const check = { authority, isEvicted, now: clock.wall(), address: parseIp(to.address)! }
    return found !== null && certificateFault(found, check) === null ? found : null
  } catch (error) {
    if (isBug(error)) throw error
    return null
  } finally {
    clock.clearTimeout(timer)
    raw?.destroy()
  }
}
