import { expect } from 'chai'
import { eagerFanoutFor } from '../../../../src/cluster/sync/disseminator.ts'

describe('cluster/spread', () => {
  it('pushes to ln N members, so that as few are left out of many as of some', () => {
    expect([1, 3, 100, 149, 405, 1000, 1097].map(eagerFanoutFor)).to.deep.equal([
      0, 1, 4, 5, 6, 6, 7,
    ])
  })
})
