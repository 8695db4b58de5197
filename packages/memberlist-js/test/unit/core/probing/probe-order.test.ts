import { expect } from 'chai'
import { lan, seededRandom, VirtualClock, type Member } from 'memberlist-js'
import type { Membership } from '../../../../src/core/membership/membership.ts'
import { ProbeOrder } from '../../../../src/core/probing/probe-order.ts'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { endpointOf } from '../../../support/cluster.ts'
import { SEED } from '../../../support/seed.ts'

function member(name: string, state: Member['state'] = 'alive'): Member {
  const versions = versionsFromBytes(null)
  return {
    name,
    ...endpointOf(0),
    meta: new Uint8Array(),
    versions,
    incarnation: 1,
    state,
    since: 0,
  }
}

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/** The order in which `d` probes eight members; `unconfirmed` are suspects that others accuse. */
function orderOfD(unconfirmed: ReadonlySet<string> = new Set()) {
  const roster = new Roster(seededRandom(SEED))
  for (const name of names) roster.set(member(name))
  const membership = {
    self: member('d'),
    couldConfirm: (name: string) => unconfirmed.has(name),
  } as unknown as Membership
  const order = new ProbeOrder({ config: lan, clock: new VirtualClock(), roster, membership })
  return {
    roster,
    next: (count: number) => Array.from({ length: count }, () => order.next()?.name),
  }
}

describe(`the order of probes (SEED=${SEED})`, () => {
  it('gives every second one to the next by name, the others to each in turn', () => {
    const probed = orderOfD().next(28)
    const turns = [0, 1].map((turn) => probed.filter((_, i) => i % 2 === turn))
    expect(turns[0]).to.deep.equal(Array.from({ length: 14 }, () => 'e'))
    expect(turns[1]!.slice(0, 7)).to.have.members(names.filter((name) => name !== 'd'))
    expect(turns[1]!.slice(7)).to.have.members(names.filter((name) => name !== 'd'))
  })

  it('passes over those that are suspect or gone', () => {
    const { roster, next } = orderOfD()
    roster.set(member('e', 'suspect'))
    roster.set(member('f', 'dead'))
    const turns = next(12).filter((_, i) => i % 2 === 0)
    expect(new Set(turns)).to.deep.equal(new Set(['g']))
    for (const name of ['a', 'b', 'c', 'g', 'h']) roster.set(member(name, 'left'))
    expect(new Set(next(6))).to.deep.equal(new Set(['e']))
    roster.set(member('e', 'dead'))
    expect(next(2)).to.deep.equal([undefined, undefined])
  })

  it('hurries to a suspect close by that others accuse, but not to one far away', () => {
    const accused = new Set(['g', 'b'])
    const { roster, next } = orderOfD(accused)
    for (const name of accused) roster.set(member(name, 'suspect'))
    // lan looks at four: e, f, g, h.
    const probed = next(8)
    expect(probed[0]).to.equal('g')
    expect(probed.join('')).not.to.match(/[^g][^g]/)
    expect(probed.filter((name) => name === 'b').length).to.be.at.most(1)
    accused.clear()
    expect(next(14).filter((name) => name === 'g').length).to.be.at.most(2)
  })
})
