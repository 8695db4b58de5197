import { expect } from 'chai'
import {
  capabilitiesIn,
  capabilitySet,
  neededCapabilities,
  readBoundingSet,
} from '../../../../src/host/rights/capabilities.ts'

describe('capabilities', () => {
  it('are a set of numbers, and back', () => {
    expect(capabilitySet([0, 12, 21, 40])).to.equal(0x100_0020_1001n)
    expect(capabilitiesIn(0x100_0020_1001n)).to.deep.equal([0, 12, 21, 40])
    expect(capabilitiesIn(0n)).to.deep.equal([])
  })

  it('are read as a managed plugin starts with them: two thirds of them go', () => {
    const bounding = readBoundingSet('CapEff:\t0000000000000000\nCapBnd:\t00000000a82435fb\n')
    const kept = capabilitySet(Object.values(neededCapabilities))
    expect(capabilitiesIn(bounding)).to.have.length(16)
    expect(capabilitiesIn(bounding & kept)).to.deep.equal([10, 12, 21])
    expect(readBoundingSet('')).to.equal(0n)
  })
})
