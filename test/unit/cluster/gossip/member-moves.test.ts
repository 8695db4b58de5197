import { expect } from 'chai'
import { MemberMoves } from '../../../../src/cluster/gossip/member-moves.ts'
import { setImmediate as settled } from 'node:timers/promises'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const known = { name: 'b', address: '10.0.0.2', port: 7946 }
const claimant = { ...known, address: '10.0.0.9' }

describe('cluster/gossip/member-moves', () => {
  let clock: VirtualClock
  let answering: Set<string>
  let dialled: string[]
  let told: string[]
  let moves: MemberMoves<typeof known>

  beforeEach(() => {
    clock = new VirtualClock()
    answering = new Set()
    dialled = []
    told = []
    moves = new MemberMoves({
      clock,
      self: 'a',
      isAt: async (name, { address }) => {
        dialled.push(address)
        return answering.has(`${name} ${address}`)
      },
      onNameClash: (...clash) => told.push(`clash ${clash.join(' ')}`),
      accept: ({ name, address }) => told.push(`${name} at ${address}`),
    })
  })

  it('moves a member that answers at the new address and not at the old one', async () => {
    answering.add('b 10.0.0.9')
    moves.check(known, claimant)
    await settled()
    expect(told).to.deep.equal(['b at 10.0.0.9'])
  })

  it('reports two hosts of one name only where both answer', async () => {
    answering.add('b 10.0.0.9').add('b 10.0.0.2')
    moves.check(known, claimant)
    await settled()
    expect(told).to.deep.equal(['clash b 10.0.0.2 10.0.0.9'])
  })

  it('passes over what is said of an address where nothing answers', async () => {
    answering.add('b 10.0.0.2')
    moves.check(known, claimant)
    await settled()
    expect(told).to.deep.equal([])
  })

  it('is never moved itself', async () => {
    answering.add('a 10.0.0.9')
    const own = { name: 'a', address: '10.0.0.1', port: 7946 }
    moves.check(own, { ...own, address: '10.0.0.9' })
    await settled()
    expect(told).to.deep.equal(['clash a 10.0.0.1 10.0.0.9'])
    expect(dialled).to.deep.equal(['10.0.0.9'])
  })

  it('dials for a name once a second, and for eight names at a time', async () => {
    for (let i = 0; i < 20; i++) moves.check(known, claimant)
    await settled()
    expect(dialled).to.have.length(2)
    await clock.advance(1000)
    moves.check(known, claimant)
    expect(dialled).to.have.length(4)
    for (let i = 0; i < 20; i++) moves.check({ ...known, name: `c${i}` }, claimant)
    expect(dialled).to.have.length(18)
    await settled()
    moves.check({ ...known, name: 'd' }, claimant)
    expect(dialled).to.have.length(20)
  })
})
