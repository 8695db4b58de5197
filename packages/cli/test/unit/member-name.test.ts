import { expect } from 'chai'
import { Refused } from '../../src/admin-socket.ts'
import { memberNamed } from '../../src/member-name.ts'
import type { Status } from '../../src/status-view.ts'

describe('the name of a member', () => {
  const names = ['host3-fc9d0ea4', 'host4', 'host4-00000001', 'host5-0000000a', 'host5-0000000b']
  const status = { members: names.map((name) => ({ name })) } as unknown as Status

  it('goes without its suffix where one member has it, and nothing else is left out', () => {
    for (const [word, name] of [
      ['host3', 'host3-fc9d0ea4'],
      ['host3-fc9d0ea4', 'host3-fc9d0ea4'],
      ['host4', 'host4'],
      ['host', 'host'],
      ['host3-fc9d', 'host3-fc9d'],
      ['host9', 'host9'],
    ] as const)
      expect(memberNamed(status, word), word).to.equal(name)
  })

  it('is refused with all candidates where several have it', () =>
    expect(() => memberNamed(status, 'host5')).to.throw(
      Refused,
      'host5 is one of host5-0000000a, host5-0000000b; give the whole name',
    ))
})
