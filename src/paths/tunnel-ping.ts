import { type Clock, sleep } from '../base/clock.ts'
import type { Target } from './paths.ts'

/** Probes of each size. */
const probesPerSize = 5
/** Between two probes: a person waits, and the path is not to be filled. */
const pauseMs = 100
const timeoutMs = 1000
/** Of the search for the size that passes: it sends one after the other. */
const searchTimeoutMs = 300
const searchAttempts = 2
/** The smallest MTU of an IPv4 host (RFC 791). */
const minPacketBytes = 576

/** What probes of one kind have shown. */
export interface PingSeries {
  readonly sent: number
  /** Of those that were answered, ms. */
  readonly rttMs: readonly number[]
}

/** What probes through one overlay's tunnel have shown. */
export interface TunnelPing {
  readonly overlayId: string
  readonly vtep: string
  /** Bytes of the overlay's packets. */
  readonly mtu: number
  readonly small: PingSeries
  readonly full: PingSeries
  /** The largest packet that passes, in bytes; null when none does. */
  readonly largestBytes: number | null
}

type Probe = (target: Target, packetBytes: number, timeoutMs: number) => Promise<number | null>

/** Probes a tunnel with small packets and with full ones, and searches the largest that passes. */
export async function pingTunnel(clock: Clock, probe: Probe, target: Target): Promise<TunnelPing> {
  const { overlayId, vtep, mtu } = target
  const [small, full] = await Promise.all(
    [0, mtu].map((bytes) => pingSeries(clock, () => probe(target, bytes, timeoutMs))),
  )
  const passes = async (bytes: number): Promise<boolean> => {
    for (let attempt = 0; attempt < searchAttempts; attempt++)
      if ((await probe(target, bytes, searchTimeoutMs)) !== null) return true
    return false
  }
  const largestBytes =
    full!.rttMs.length > 0 ? mtu : small!.rttMs.length > 0 ? await largest(mtu, passes) : null
  return { overlayId, vtep, mtu, small: small!, full: full!, largestBytes }
}

/** Sends some probes a moment apart. */
export async function pingSeries(
  clock: Clock,
  probe: () => Promise<number | null>,
): Promise<PingSeries> {
  const answers: Promise<number | null>[] = []
  for (let n = 0; n < probesPerSize; n++) {
    if (n > 0) await sleep(clock, pauseMs)
    answers.push(probe())
  }
  const all = await Promise.all(answers)
  return { sent: all.length, rttMs: all.filter((rttMs) => rttMs !== null) }
}

/** By bisection, the largest size below `tooLarge` that passes; null when none does. */
async function largest(
  tooLarge: number,
  passes: (bytes: number) => Promise<boolean>,
): Promise<number | null> {
  let [low, high] = [minPacketBytes, tooLarge]
  if (!(await passes(low))) return null
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await passes(middle)) low = middle
    else high = middle
  }
  return low
}
