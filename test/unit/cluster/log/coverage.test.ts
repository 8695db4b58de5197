import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Coverage,
  coverageTo,
  coveredRanges,
  covers,
  maxRanges,
  runStart,
  subtract,
  withRange,
} from '../../../../src/cluster/log/coverage.ts'

const most = 60
const range = fc
  .tuple(fc.nat({ max: most }), fc.nat({ max: most }))
  .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }))
const ranges = fc.array(range, { maxLength: 12 })

function coverageOf(parts: readonly { from: number; to: number }[]): Coverage {
  return parts.reduce<Coverage>(withRange, coverageTo(0))
}

function versionsIn(parts: readonly { from: number; to: number }[]): Set<number> {
  const versions = new Set<number>()
  for (const { from, to } of parts) for (let v = from + 1; v <= to; v++) versions.add(v)
  return versions
}

describe('cluster/coverage', () => {
  it('covers what was added and nothing else, in any order', () => {
    fc.assert(
      fc.property(ranges, (parts) => {
        const coverage = coverageOf(parts)
        const versions = versionsIn(parts)
        for (let v = 1; v <= most; v++) expect(covers(coverage, v)).to.equal(versions.has(v))
        expect(coverageOf([...parts].reverse())).to.deep.equal(coverage)
        expect(versionsIn(coveredRanges(coverage))).to.deep.equal(versions)
      }),
    )
  })

  it('keeps ranges sorted, apart from one another and from the prefix', () => {
    fc.assert(
      fc.property(ranges, (parts) => {
        const { prefix, above } = coverageOf(parts)
        let before = prefix
        for (const { from, to } of above) {
          expect(from).to.be.greaterThan(before)
          expect(to).to.be.greaterThan(from)
          before = to
        }
      }),
    )
  })

  it('tells differences as sets would', () => {
    fc.assert(
      fc.property(ranges, range, (parts, asked) => {
        const coverage = coverageOf(parts)
        const versions = versionsIn(parts)
        const missing = [...versionsIn([asked])].filter((v) => !versions.has(v))
        expect([...versionsIn(subtract(asked, coverage))]).to.deep.equal(missing)
      }),
    )
  })

  it('knows where a covered run begins', () => {
    const coverage = coverageOf([
      { from: 0, to: 3 },
      { from: 5, to: 9 },
    ])
    expect([1, 3, 4, 6, 9, 10].map((v) => runStart(coverage, v))).to.deep.equal([0, 0, 3, 5, 5, 9])
  })

  it('leaves a range out rather than have too many, but still closes gaps', () => {
    let coverage = coverageTo(0)
    for (let i = 1; i <= maxRanges; i++)
      coverage = withRange(coverage, { from: 2 * i, to: 2 * i + 1 })
    expect(coverage.above).to.have.length(maxRanges)
    const full = withRange(coverage, { from: 1000, to: 1001 })
    expect(full).to.equal(coverage)
    expect(withRange(coverage, { from: 0, to: 2 }).prefix).to.equal(3)
  })
})
