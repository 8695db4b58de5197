import { expect } from 'chai'
import { chooseMirror } from '../../support/lab/debian-mirror.ts'

describe('the Debian mirror', () => {
  it("is that of apt's main archive, not that of security updates or of others", () => {
    const lines = [
      'Vendor|Vendor|main|http://vendor.example/apt/',
      'Debian|Debian-Security|main|http://mirror.example/debian-security/',
      'Debian|Debian|contrib|http://mirror.example/contrib/',
      'Debian|Debian|main|http://mirror.example/debian/',
    ]
    expect(chooseMirror(lines.join('\n'))).to.equal('http://mirror.example/debian/')
  })

  it('is unknown on Ubuntu and where there is no apt', () => {
    expect(chooseMirror('Ubuntu|Ubuntu|main|http://mirror.example/ubuntu/')).to.equal(undefined)
    expect(chooseMirror('')).to.equal(undefined)
  })
})
