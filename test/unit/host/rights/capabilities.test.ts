import { expect } from 'chai'
import { capabilitiesIn, capabilitySet } from '../../../../src/host/rights/capabilities.ts'
import { excessRights } from '../../../../src/host/rights/rights.ts'

describe('capabilities', () => {
  it('are a set of numbers, and back', () => {
    expect(capabilitySet([0, 12, 21, 40])).to.equal(0x100_0020_1001n)
    expect(capabilitiesIn(0x100_0020_1001n)).to.deep.equal([0, 12, 21, 40])
    expect(capabilitiesIn(0n)).to.deep.equal([])
  })

  it('that are too many in a process are listed', () => {
    const status = (bounding: string, inherited: string, noNewPrivileges: number): string =>
      `CapInh:\t${inherited}\nCapPrm:\t${bounding}\nCapBnd:\t${bounding}\nNoNewPrivs:\t${noNewPrivileges}\n`
    const none = '0000000000000000'
    expect(excessRights(status('0000000000201400', none, 1))).to.deep.equal([])
    // As the engine starts a managed plugin.
    const managed = excessRights(status('00000000a82435fb', none, 0))
    expect(managed).to.have.length(14).and.include('capability 27')
    expect(managed.at(-1)).to.equal('privileges of programs it executes')
    expect(excessRights(status(none, '0000000000001000', 1))).to.deep.equal(['capability 12'])
  })
})
