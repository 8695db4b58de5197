import { expect } from 'chai'
import {
  expectedConfirmations,
  pushPullScale,
  remainingSuspicion,
  retransmitLimit,
  suspicionTimeout,
} from '../../../src/rules/formulas.ts'
import { loadVectors } from '../../support/vectors.ts'

interface Tables {
  readonly retransmitLimit: { readonly mult: number; readonly byMembers: Record<string, number> }
  readonly suspicionTimeoutMs: {
    readonly mult: number
    readonly probeIntervalMs: number
    readonly byMembers: Record<string, number>
  }
  readonly remainingSuspicionMs: readonly {
    readonly confirmations: number
    readonly expected: number
    readonly elapsed: number
    readonly min: number
    readonly max: number
    readonly remaining: number
  }[]
  readonly pushPullScale: Record<string, number>
}

const tables = loadVectors<Tables>('formulas')

describe("Go's formulas", () => {
  for (const [n, expected] of Object.entries(tables.retransmitLimit.byMembers)) {
    it(`a broadcast among ${n} is sent ${expected} times`, () => {
      expect(retransmitLimit(tables.retransmitLimit.mult, Number(n))).to.equal(expected)
    })
  }

  for (const [n, expected] of Object.entries(tables.suspicionTimeoutMs.byMembers)) {
    it(`a suspicion among ${n} lasts at least ${expected} ms`, () => {
      const { mult, probeIntervalMs } = tables.suspicionTimeoutMs
      expect(suspicionTimeout(mult, Number(n), probeIntervalMs)).to.equal(expected)
    })
  }

  for (const row of tables.remainingSuspicionMs) {
    it(`${row.confirmations} of ${row.expected} confirmations after ${row.elapsed} ms leave ${row.remaining} ms`, () => {
      const { confirmations, expected, elapsed, min, max } = row
      const remaining = remainingSuspicion(confirmations, expected, elapsed, min, max)
      expect(remaining).to.equal(row.remaining)
    })
  }

  for (const [n, expected] of Object.entries(tables.pushPullScale)) {
    it(`push-pull among ${n} comes at ${expected} times the interval`, () => {
      expect(pushPullScale(Number(n))).to.equal(expected)
    })
  }

  it('without expected confirmations the least time holds from the start', () => {
    expect(remainingSuspicion(0, 0, 500, 2000, 12_000)).to.equal(1500)
  })

  it('confirmations are expected only where enough members exist', () => {
    const table = [3, 4, 5].map((n) => expectedConfirmations(4, n))
    expect(table).to.deep.equal([0, 2, 2])
    expect(expectedConfirmations(6, 5)).to.equal(0)
    expect(expectedConfirmations(6, 6)).to.equal(4)
    expect(expectedConfirmations(1, 100)).to.equal(0)
  })

  it('the suspicion times of the presets are those of Go', () => {
    const at = (n: number, c: number, mult: number, interval: number) => {
      const min = suspicionTimeout(mult, n, interval)
      return remainingSuspicion(c, expectedConfirmations(mult, n), 0, min, 6 * min) / 1000
    }
    const lan10 = [0, 1, 2].map((c) => at(10, c, 4, 1000))
    const lan1000 = [0, 1, 2].map((c) => at(1000, c, 4, 1000))
    const wan10 = [0, 1, 2, 3, 4].map((c) => Math.floor(at(10, c, 6, 5000)))
    expect(lan10).to.deep.equal([24, 11.381, 4])
    expect(lan1000).to.deep.equal([72, 34.144, 12])
    expect(wan10).to.deep.equal([180, 115, 77, 50, 30])
  })
})
