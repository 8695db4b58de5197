/** After this long without an echo a probe counts as lost, ms. */
export const probeTimeoutMs = 1000
/** This many lost probes in a row are no chance any more. */
const minLostInRow = 3
/** The last probes of a size that are remembered. */
const remembered = 10
/** Runs of lost ones among these that are chance: a plugin that restarts is a single one. */
const maxRunsByChance = 2

type ProbeSize = 'small' | 'full'

/** What probes of one size have shown: nothing yet, that they arrive, or that they do not. */
export type Verdict = 'unknown' | 'up' | 'lost'

interface Sent {
  readonly sequence: number
  readonly sentMs: number
  rttMs: number | null
}

/** The probes of one path, in one direction and back: which were answered, and when. */
export class PathRecord {
  readonly #sent: Readonly<Record<ProbeSize, Sent[]>> = { small: [], full: [] }

  sent(size: ProbeSize, sequence: number, nowMs: number): void {
    const sent = this.#sent[size]
    sent.push({ sequence, sentMs: nowMs, rttMs: null })
    if (sent.length > remembered) sent.shift()
  }

  /**
   * An echo arrived; one that is not awaited, or comes a second time, changes nothing. The first
   * after an outage ends it: what was lost meanwhile does not count as a loss of single packets.
   */
  echoed(sequence: number, nowMs: number): void {
    for (const size of ['small', 'full'] as const) {
      const sent = this.#sent[size]
      const index = sent.findIndex((probe) => probe.sequence === sequence)
      if (index < 0) continue
      const wasLost = this.verdict(size, nowMs) === 'lost'
      sent[index]!.rttMs ??= nowMs - sent[index]!.sentMs
      if (wasLost) sent.splice(0, index)
    }
  }

  verdict(size: ProbeSize, nowMs: number): Verdict {
    const judged = this.#judged(size, nowMs)
    const last = judged.findLastIndex(({ rttMs }) => rttMs !== null)
    if (judged.length - 1 - last >= minLostInRow) return 'lost'
    return last < 0 ? 'unknown' : 'up'
  }

  /** Whether probes were answered, and none of those that are remembered was lost. */
  isClean(nowMs: number): boolean {
    return (['small', 'full'] as const).every((size) => {
      const judged = this.#judged(size, nowMs)
      return judged.length > 0 && judged.every(({ rttMs }) => rttMs !== null)
    })
  }

  /** Whether the last small probe that can be judged was answered, or there is none. */
  lastIsUp(nowMs: number): boolean {
    return this.#judged('small', nowMs).at(-1)?.rttMs !== null
  }

  /** Lost probes of both sizes among the last ones; null when that is no more than chance. */
  loss(nowMs: number): { readonly lost: number; readonly sent: number } | null {
    const judged = [...this.#judged('small', nowMs), ...this.#judged('full', nowMs)].toSorted(
      (a, b) => a.sequence - b.sequence,
    )
    const isLost = judged.map(({ rttMs }) => rttMs === null)
    const runs = isLost.filter((lost, index) => lost && isLost[index - 1] !== true).length
    const lost = isLost.filter(Boolean).length
    return runs > maxRunsByChance ? { lost, sent: judged.length } : null
  }

  /** Of the last small probe that was answered, ms. */
  get rttMs(): number | null {
    return this.#sent.small.findLast(({ rttMs }) => rttMs !== null)?.rttMs ?? null
  }

  /** Those that were answered, or should have been by now. */
  #judged(size: ProbeSize, nowMs: number): Sent[] {
    return this.#sent[size].filter(
      ({ rttMs, sentMs }) => rttMs !== null || nowMs - sentMs >= probeTimeoutMs,
    )
  }
}
