import { expect } from 'chai'
import { VirtualClock, type Member } from 'memberlist-js'
import { FailedMembers } from '../../../../src/core/joining/failed-members.ts'
import { MAX_FAILED_MEMBERS } from '../../../../src/limits.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { endpointOf } from '../../../support/cluster.ts'

function member(index: number): Member {
  const versions = versionsFromBytes(null)
  const rest = { meta: new Uint8Array(), versions, incarnation: 1, since: 0 }
  return { name: `m${index}`, ...endpointOf(index), ...rest, state: 'dead' }
}

describe('the lost members', () => {
  it('are remembered up to a number, the longest lost forgotten first', () => {
    const lost = new FailedMembers(new VirtualClock(), 1000)
    for (let i = 0; i < MAX_FAILED_MEMBERS; i++) lost.add(member(i))
    lost.add(member(0))
    lost.add(member(MAX_FAILED_MEMBERS))
    expect(lost.size).to.equal(MAX_FAILED_MEMBERS)
    expect([0, 1, 2].map((i) => lost.has(`m${i}`))).to.deep.equal([true, false, true])
  })
})
