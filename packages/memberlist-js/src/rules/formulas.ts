/**
 * The formulas of SWIM (Das et al. 2002) and Lifeguard (Dadgar et al. 2017) as memberlist computes
 * them.
 */

/** How often a broadcast is sent in a cluster of `n` members. */
export function retransmitLimit(mult: number, n: number): number {
  return mult * Math.ceil(Math.log10(n + 1))
}

/** The least suspicion time-out in ms; the logarithm is cut to three decimals, as in Go. */
export function suspicionTimeout(mult: number, n: number, probeIntervalMs: number): number {
  const scale = Math.trunc(1000 * Math.max(1, Math.log10(Math.max(1, n)))) / 1000
  return mult * scale * probeIntervalMs
}

/**
 * How many independent confirmations bring a suspicion to its least time-out; 0 when too few
 * members exist.
 */
export function expectedConfirmations(suspicionMult: number, n: number): number {
  const k = suspicionMult - 2
  return n - 2 < k ? 0 : Math.max(0, k)
}

/**
 * The time in ms that a suspicion has left after `confirmations` of `k` expected ones and `elapsed`
 * ms. Zero or less: it is over.
 */
export function remainingSuspicion(
  confirmations: number,
  k: number,
  elapsed: number,
  min: number,
  max: number,
): number {
  if (k < 1) return min - elapsed
  const share = Math.log(confirmations + 1) / Math.log(k + 1)
  const timeout = Math.floor(max - share * (max - min))
  return Math.max(min, timeout) - elapsed
}

/** Above this many members full state exchanges are spaced out. */
const PUSH_PULL_SCALE_THRESHOLD = 32

/** By how much the push-pull interval is stretched: once more for each doubling of the cluster. */
export function pushPullScale(n: number): number {
  if (n <= PUSH_PULL_SCALE_THRESHOLD) return 1
  return Math.ceil(Math.log2(n) - Math.log2(PUSH_PULL_SCALE_THRESHOLD)) + 1
}
