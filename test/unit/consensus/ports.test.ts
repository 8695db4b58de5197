import { expect } from 'chai'
import { maxCommandBytes, maxResultBytes, maxSnapshotBytes } from '../../../src/consensus/ports.ts'

describe('the bounds of the replicated state', () => {
  it('let a snapshot hold the result of every command that a member may have under way', () => {
    const membersMax = 1000
    expect(maxSnapshotBytes).to.be.at.least(membersMax * maxResultBytes)
    expect(maxResultBytes).to.be.at.most(maxCommandBytes)
  })
})
