import { expect } from 'chai'
import {
  foundingStep,
  foundingStepMs,
  isRecoveryOf,
  prevailing,
  recoveredId,
} from '../../../../src/consensus/membership/founding.ts'
import type { Seed } from '../../../../src/consensus/ports.ts'
import type { ClusterView } from '../../../../src/consensus/requests.ts'

const view = (clusterId: string): ClusterView => ({
  clusterId,
  term: 1,
  leader: '',
  voters: [],
  silent: [],
})
const self: Seed = { isSelf: true, member: null }
const there: Seed = { isSelf: false, member: 'other' }
const away: Seed = { isSelf: false, member: null }

const step = (
  seeds: readonly Seed[],
  views: readonly (ClusterView | null)[],
  waitedMs = 0,
): string => foundingStep({ seeds, views, isSynced: true, waitedMs }).kind

describe('founding', () => {
  it('is for a host without JOIN, and for the first of JOIN that is there', () => {
    expect(step([], [])).to.equal('found')
    expect(step([self, there], [view('')])).to.equal('found')
    expect(step([there, self], [view('')], 1e6)).to.equal('wait')
    expect(step([away, self], [])).to.equal('wait')
    expect(step([away, self], [], foundingStepMs)).to.equal('found')
  })

  it('is for nobody when a member that answers has a cluster, or may have one', () => {
    expect(step([self, there], [view('x.0.1'), view('')])).to.equal('join')
    expect(step([], [view('x.0.1')])).to.equal('join')
    expect(step([self, there], [null])).to.equal('wait')
  })

  it('is not for a host that JOIN does not name', () => {
    expect(step([there], [view('')], 1e6)).to.equal('wait')
  })
})

describe('of several clusters', () => {
  it('the one of more members prevails, of equal ones the lower id', () => {
    expect(prevailing(['', ''])).to.equal(null)
    expect(prevailing(['b', 'a', 'b', ''])).to.equal('b')
    expect(prevailing(['b', 'a'])).to.equal('a')
  })

  it('a recovered one comes after that which it was recovered from', () => {
    const first = recoveredId('ab.0.cd', 'ef')
    expect(isRecoveryOf(first, 'ab.0.cd')).to.equal(true)
    expect(isRecoveryOf('ab.0.cd', first)).to.equal(false)
    expect(isRecoveryOf(recoveredId('xx.0.cd', 'ef'), 'ab.0.cd')).to.equal(false)
    expect(isRecoveryOf(recoveredId(first, 'gh'), first)).to.equal(true)
    expect(isRecoveryOf(recoveredId('ab.0.cd', 'gh'), first)).to.equal(false)
  })
})
