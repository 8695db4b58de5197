import { expect } from 'chai'
import type { MemberState } from '../../../src/member.ts'
import { versionsFromBytes } from '../../../src/member.ts'
import { compatible, incompatibility, plausible } from '../../../src/rules/compatibility.ts'

const v = (...bytes: number[]) => versionsFromBytes(Uint8Array.from(bytes))
const ours = v(1, 5, 2, 2, 5, 4)
const serf = v(1, 5, 2, 2, 5, 5)
const plain = v(1, 5, 2, 0, 0, 0)

function node(name: string, versions: ReturnType<typeof v>, state: MemberState = 'alive') {
  return { name, state, versions }
}

describe('versions', () => {
  it('missing bytes count as 0', () => {
    expect(v()).to.deep.equal(v(0, 0, 0, 0, 0, 0))
    expect(versionsFromBytes(null)).to.deep.equal(v(0, 0, 0, 0, 0, 0))
  })

  it('a range must be one', () => {
    expect(plausible(ours)).to.equal(true)
    for (const bad of [v(0, 5, 2), v(1, 0, 2), v(3, 2, 2), v()]) {
      expect(plausible(bad)).to.equal(false)
    }
  })

  it('each must speak what the other understands', () => {
    expect(compatible(ours, serf)).to.equal(true)
    expect(compatible(ours, plain)).to.equal(false)
    expect(compatible(ours, v(1, 5, 2, 2, 3, 3))).to.equal(false)
    expect(compatible(ours, v(3, 5, 3, 2, 5, 4))).to.equal(false)
  })
})

describe('the check before a merge', () => {
  it('lets clusters of one range through', () => {
    expect(incompatibility([node('a', serf)], [node('b', ours)])).to.equal(undefined)
  })

  it('names the member whose application speaks otherwise', () => {
    const reason = incompatibility([node('odd', plain)], [node('b', ours)])
    expect(reason).to.match(/member odd speaks delegate version 0, not 2\.\.0/)
  })

  it('also refuses a member that is gone but uses another version', () => {
    const reason = incompatibility([node('gone', v(), 'left')], [node('b', ours)])
    expect(reason).to.match(/member gone speaks protocol 0/)
  })

  it('takes no range from members that are gone', () => {
    const narrow = node('gone', v(1, 5, 2, 4, 4, 4), 'dead')
    expect(incompatibility([narrow], [node('b', serf)])).to.equal(undefined)
  })
})
