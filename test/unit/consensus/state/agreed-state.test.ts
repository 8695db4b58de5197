import { expect } from 'chai'
import { AgreedState } from '../../../../src/consensus/state/agreed-state.ts'
import { AgreedMachine } from '../../../support/agreed-machine.ts'

describe('the agreed state', () => {
  it('registers a member at its first renewal, and knows its name from the channel', () => {
    const machine = new AgreedMachine()
    expect(machine.run('h1', 'renew')).to.have.property('ok')
    expect(machine.run('h1', 'holdPool', { pool: '10.1.0.0/24' })).to.have.property('ok')
    const stranger = machine.run('h2', 'holdPool', { pool: '10.1.0.0/24' })
    expect(stranger).to.deep.equal({ refused: { code: 'UNKNOWN_MEMBER' } })
    const forged = machine.run('h2', 'releasePool', {
      id: machine.idOf('h1'),
      pool: '10.1.0.0/24',
      grant: 2,
    })
    expect(forged).to.deep.equal({ refused: { code: 'UNKNOWN_MEMBER' } })
  })

  it('grants blocks until a member has as many as it wishes, each to one member', () => {
    const machine = new AgreedMachine('h1', 'h2')
    machine.run('h1', 'holdPool', { pool: '10.1.0.0/24' })
    machine.run('h2', 'holdPool', { pool: '10.1.0.0/24' })
    const wish = { pool: '10.1.0.0/24', total: 2, first: 0, last: 255 }
    const first = machine.granted('h1', 'claim', wish)
    expect(machine.granted('h1', 'claim', wish), 'a wish that is repeated').to.deep.equal(first)
    const other = machine.granted('h2', 'claim', { ...wish, total: 40 })
    expect(first).to.have.length(2)
    expect(other).to.have.length(30)
    expect(first.filter((index) => other.includes(index))).to.deep.equal([])
  })

  it('gives the lower half of a pool that engines hand out from to one, and parts to others', () => {
    const machine = new AgreedMachine('h1', 'h2', 'h3')
    const pool = 'engine:10.1.0.0/24'
    const parts = (member: string): number[] =>
      machine.view(member, pool)?.blocks.map(([part]) => part) ?? []
    expect(machine.run('h1', 'holdParts', { pool, lower: true })).to.have.property('ok')
    expect(parts('h1')).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7])
    machine.run('h2', 'holdParts', { pool, lower: false })
    machine.run('h2', 'holdParts', { pool, lower: false })
    machine.run('h3', 'holdParts', { pool, lower: false })
    expect([parts('h2'), parts('h3')]).to.deep.equal([[8], [9]])
    expect(machine.run('h2', 'holdParts', { pool, lower: true })).to.deep.equal({
      refused: { code: 'OWNED', member: 'h1' },
    })
    expect(machine.run('h1', 'holdParts', { pool: '10.1.0.0/24', lower: true })).to.deep.equal({
      refused: { code: 'BAD_COMMAND' },
    })
    expect(machine.run('h2', 'holdPool', { pool: '10.1.0.0/24' })).to.have.property('refused')
    expect(machine.run('h2', 'holdPool', { pool: '10.1.0.0/16 blue' })).to.have.property('refused')
  })

  it('has no part of a pool for one member too many', () => {
    const machine = new AgreedMachine('h1', 'h2', 'h3')
    const pool = 'engine:10.1.0.0/29'
    machine.run('h1', 'holdParts', { pool, lower: true })
    machine.run('h2', 'holdParts', { pool, lower: false })
    expect(machine.run('h3', 'holdParts', { pool, lower: false })).to.deep.equal({
      refused: { code: 'NONE_LEFT' },
    })
    expect(machine.views('h3'), 'refused, nothing changed').to.deep.equal([])
  })

  it('releases a block only under the grant that gave it', () => {
    const machine = new AgreedMachine('h1')
    machine.run('h1', 'holdPool', { pool: '10.1.0.0/24' })
    const grantOf = (): number => machine.view('h1', '10.1.0.0/24').blocks[0]![1]
    machine.run('h1', 'claimBlock', { pool: '10.1.0.0/24', block: 3 })
    const late = grantOf()
    const release = { pool: '10.1.0.0/24', blocks: [[3, late]], loans: [] }
    machine.run('h1', 'release', release)
    machine.run('h1', 'claimBlock', { pool: '10.1.0.0/24', block: 3 })
    machine.run('h1', 'release', release)
    expect(grantOf()).to.be.greaterThan(late)
  })

  it('releases a pool only under the grant that it is held by', () => {
    const machine = new AgreedMachine('h1')
    const pool = '10.1.0.0/24'
    machine.run('h1', 'holdPool', { pool })
    const late = machine.view('h1', pool).held
    machine.run('h1', 'holdPool', { pool })
    machine.run('h1', 'claimBlock', { pool, block: 3 })
    machine.run('h1', 'releasePool', { pool, grant: late })
    expect(machine.view('h1', pool).blocks).to.have.length(1)
    machine.run('h1', 'releasePool', { pool, grant: machine.view('h1', pool).held })
    expect(machine.views('h1')).to.deep.equal([])
  })

  it('refuses a pool that overlaps another, and says which and whose', () => {
    const machine = new AgreedMachine('h1', 'h2')
    machine.run('h1', 'holdPool', { pool: '10.1.0.0/16' })
    expect(machine.run('h2', 'holdPool', { pool: '10.1.2.0/24' })).to.deep.equal({
      refused: { code: 'OVERLAP', pool: '10.1.0.0/16', member: 'h1' },
    })
    expect(machine.run('h2', 'holdPool', { pool: '10.1.2.0/24 blue' })).to.have.property('ok')
  })

  it('chooses pools that overlap nothing, and refuses when none is left', () => {
    const machine = new AgreedMachine('h1')
    const wish = {
      kind: 'shared',
      overlay: null,
      ipv6: false,
      sources: [{ cidr: '10.0.0.0/22', length: 24 }],
      avoid: ['10.0.1.0/24'],
      start: 7,
    }
    const chosen = [0, 1, 2].map(() => machine.pool('h1', 'choosePool', wish))
    expect(chosen.sort()).to.deep.equal(['10.0.0.0/24', '10.0.2.0/24', '10.0.3.0/24'])
    expect(machine.run('h1', 'choosePool', wish)).to.deep.equal({ refused: { code: 'NONE_LEFT' } })
  })

  it('agrees on one gateway, outside of all blocks that others hand out from', () => {
    const machine = new AgreedMachine('h1', 'h2')
    for (const name of ['h1', 'h2']) machine.run(name, 'holdPool', { pool: '10.1.0.0/24' })
    machine.run('h1', 'claimBlock', { pool: '10.1.0.0/24', block: 0 })
    const inOthers = machine.run('h2', 'gateway', { pool: '10.1.0.0/24', wanted: '10.1.0.1' })
    expect(inOthers).to.deep.equal({ refused: { code: 'OWNED', member: 'h1' } })
    machine.run('h2', 'gateway', { pool: '10.1.0.0/24', wanted: null })
    expect(machine.view('h1', '10.1.0.0/24').gateway).to.equal('10.1.0.8')
    const other = machine.run('h1', 'gateway', { pool: '10.1.0.0/24', wanted: '10.1.0.9' })
    expect(other).to.deep.equal({ refused: { code: 'OTHER_GATEWAY', offset: 8, member: 'h1' } })
  })

  it('keeps a lent address from whoever owns its block later', () => {
    const machine = new AgreedMachine('h1', 'h2', 'h3')
    const pool = '10.1.0.0/24'
    for (const name of ['h1', 'h2', 'h3']) machine.run(name, 'holdPool', { pool })
    machine.run('h1', 'claimBlock', { pool, block: 1 })
    machine.run('h1', 'lend', { pool, offset: 9, to: 'h2' })
    expect(machine.view('h2', pool).loans.map(([offset]) => offset)).to.deep.equal([9])
    machine.run('h1', 'evict', { ids: [machine.idOf('h1')], lapsedMs: null })
    machine.run('h3', 'claimBlock', { pool, block: 1 })
    expect(machine.view('h3', pool).lent).to.deep.equal([9])
    expect(machine.run('h3', 'lend', { pool, offset: 9, to: 'h3' })).to.deep.equal({
      refused: { code: 'LENT', member: 'h2' },
    })
  })

  it('gives each overlay a VNI of its own: what it has, what is wished, or another', () => {
    const machine = new AgreedMachine('h1', 'h2')
    const wish = { overlayId: 'blue', encrypted: false, vni: null, start: 5, avoid: [4101] }
    expect(machine.run('h1', 'attachOverlay', wish)).to.deep.equal({ ok: { vni: 4102 } })
    expect(machine.run('h2', 'attachOverlay', { ...wish, start: 99 })).to.deep.equal({
      ok: { vni: 4102 },
    })
    expect(machine.run('h2', 'attachOverlay', { ...wish, encrypted: true })).to.deep.equal({
      refused: { code: 'OTHER_ENCRYPTION', member: 'h1' },
    })
    const red = { ...wish, overlayId: 'red', vni: 4102 }
    expect(machine.run('h2', 'attachOverlay', red)).to.deep.equal({
      refused: { code: 'VNI_IN_USE', overlay: 'blue', member: 'h1' },
    })
    const detach = { overlayId: 'blue', grant: machine.index - 3 }
    machine.run('h1', 'attachOverlay', wish)
    machine.run('h2', 'detachOverlay', { ...detach, grant: detach.grant + 1 })
    machine.run('h1', 'detachOverlay', detach)
    expect(machine.run('h2', 'attachOverlay', red), 'a late detach').to.have.property('refused')
    expect(machine.ask('h1', 'attachedOverlays')).to.deep.equal({
      ok: { known: true, grant: detach.grant + 4, overlays: [{ overlayId: 'blue', vni: 4102 }] },
    })
    machine.run('h1', 'detachOverlay', { ...detach, grant: detach.grant + 4 })
    expect(machine.run('h2', 'attachOverlay', red)).to.deep.equal({ ok: { vni: 4102 } })
  })

  it('evicts for silence only by the time that leaders reported, and never past their wall clock', () => {
    const machine = new AgreedMachine('h1', 'h2')
    const evict = { ids: [machine.idOf('h2')], lapsedMs: 100_000 }
    machine.timeMs += 60_000
    for (let i = 0; i < 10; i++) machine.run('h1', 'tick', { elapsedMs: 60_000 })
    const early = machine.run('h1', 'evict', evict)
    expect(early, 'ticks that a member made up').to.have.nested.property(
      'refused.code',
      'NOT_LAPSED',
    )
    machine.timeMs += 36 * 3_600_000
    machine.run('h1', 'tick', { elapsedMs: 30_000 })
    expect(machine.run('h1', 'evict', evict), 'a clock that jumped').to.have.property('refused')
    machine.timeMs += 60_000
    machine.run('h1', 'tick', { elapsedMs: 60_000 })
    expect(machine.run('h1', 'evict', evict)).to.deep.equal({ ok: { evicted: ['h2'] } })
    expect(machine.run('h2', 'renew')).to.deep.equal({ refused: { code: 'EVICTED' } })
  })

  it('evicts an identity, and no newcomer of the same name when the command comes late', () => {
    const machine = new AgreedMachine('h1', 'h2')
    const evict = { ids: [machine.idOf('h2')], lapsedMs: null }
    expect(machine.run('h1', 'evict', evict)).to.deep.equal({ ok: { evicted: ['h2'] } })
    const again = { id: machine.idOf('h2 again') }
    machine.run('h2', 'renew', again)
    const pool = '10.1.0.0/24'
    machine.run('h2', 'holdPool', { pool, ...again })
    expect(machine.run('h1', 'evict', evict)).to.deep.equal({ ok: { evicted: [] } })
    expect(machine.run('h2', 'holdPool', { pool, ...again })).to.have.property('ok')
  })

  it('frees all that a member had when it lost its disk and comes back as another', () => {
    const machine = new AgreedMachine('h1', 'h2')
    machine.run('h1', 'holdPool', { pool: '10.1.0.0/24' })
    machine.run('h1', 'claimBlock', { pool: '10.1.0.0/24', block: 3 })
    machine.run('h1', 'attachOverlay', {
      overlayId: 'blue',
      encrypted: false,
      vni: 7,
      start: 0,
      avoid: [],
    })
    machine.run('h1', 'renew', { id: 'ff' })
    machine.run('h2', 'holdPool', { pool: '10.1.0.0/24' })
    expect(machine.run('h2', 'claimBlock', { pool: '10.1.0.0/24', block: 3 })).to.have.property(
      'ok',
    )
    const red = { overlayId: 'red', encrypted: false, vni: 7, start: 0, avoid: [] }
    expect(machine.run('h2', 'attachOverlay', red)).to.have.property('ok')
  })

  it('refuses commands of versions that the voters have not agreed on', () => {
    const state = new AgreedState()
    const command = new TextEncoder().encode(JSON.stringify({ op: 'renew', id: 'aa' }))
    const result = state.apply(command, { index: 1, timeMs: 0, version: 0, from: 'h1' })
    expect(new TextDecoder().decode(result)).to.contain('UNKNOWN_COMMAND')
  })
})
