/**
 * Runs after the other files: what their tests have left behind on any host once all containers and
 * networks were removed.
 */
import { expect } from 'chai'
import { leftBehind } from './leftovers.ts'

describe('all tests together', () => {
  it('have left nothing behind', () => {
    expect(leftBehind, leftBehind.join('\n')).to.deep.equal([])
  })
})
