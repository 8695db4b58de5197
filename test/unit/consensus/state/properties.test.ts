import { expect } from 'chai'
import fc from 'fast-check'
import { AgreedState } from '../../../../src/consensus/state/agreed-state.ts'
import { maxResultBytes, maxSnapshotBytes } from '../../../../src/consensus/ports.ts'
import type { PoolView } from '../../../../src/net/pool-view.ts'
import { parseCidr } from '../../../../src/net/cidr.ts'
import { blockOf, geometryOf } from '../../../../src/net/pool-geometry.ts'
import { parsePoolKey, poolsClash } from '../../../../src/net/pool-key.ts'
import { AgreedMachine, decode, encode } from '../../../support/agreed-machine.ts'

const members = ['h1', 'h2', 'h3', 'h4']
const pools = ['10.0.0.0/28', '10.0.1.0/26', '10.0.1.0/24', '10.0.1.0/24 blue', 'fd00::/64']

const member = fc.constantFrom(...members)
const pool = fc.constantFrom(...pools)
/** Of a member's first life or its second. */
const identity = fc
  .tuple(member, fc.constantFrom('', ' 1'))
  .map(([name, life]) => new AgreedMachine().idOf(`${name}${life}`))
const small = fc.nat(40)
const pairs = fc.array(fc.tuple(small, fc.nat(300)), { maxLength: 4 })
const overlayId = fc.constantFrom('a', 'b', 'c')

/** Commands that make sense more often than not. */
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('holdPool'), pool }) },
  fc.record({ op: fc.constant('releasePool'), pool, grant: fc.nat(20) }),
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('claim'),
      pool,
      total: small,
      first: small,
      last: small,
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('claimBlock'), pool, block: small }) },
  fc.record({ op: fc.constant('release'), pool, blocks: pairs, loans: pairs }),
  { weight: 6, arbitrary: fc.record({ op: fc.constant('lend'), pool, offset: small, to: member }) },
  fc.record({ op: fc.constantFrom('reserve', 'unreserve'), pool, offset: small }),
  fc.record({ op: fc.constant('gateway'), pool, wanted: fc.constantFrom(null, '10.0.1.1') }),
  fc.record({
    op: fc.constant('choosePool'),
    kind: fc.constant('shared'),
    overlay: fc.constant(null),
    ipv6: fc.boolean(),
    sources: fc.constant([{ cidr: '10.0.0.0/22', length: 24 }]),
    avoid: fc.constant([]),
    start: fc.nat(),
  }),
  fc.record({
    op: fc.constant('attachOverlay'),
    encrypted: fc.boolean(),
    overlayId,
    vni: fc.constantFrom(null, 5, 6),
    start: fc.nat(3),
    avoid: fc.constant([]),
  }),
  fc.record({ op: fc.constant('detachOverlay'), overlayId, grant: fc.nat(20) }),
  fc.record({ op: fc.constant('evict'), ids: fc.tuple(identity), lapsedMs: fc.constant(null) }),
  fc.record({ op: fc.constant('tick'), elapsedMs: fc.nat(100_000) }),
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('renew', 'leave') }) },
)
const history = fc.array(fc.tuple(member, command, fc.nat(99)), { maxLength: 120 })

/** Plays it; a member that was evicted goes on under another identity now and then. */
function play(steps: readonly (readonly [string, object, number])[]): AgreedMachine {
  const machine = new AgreedMachine(...members)
  const lives = new Map<string, number>()
  for (const [name, command, chance] of steps) {
    machine.timeMs += chance * 100
    if (chance > 90) lives.set(name, (lives.get(name) ?? 0) + 1)
    const life = lives.get(name) ?? 0
    const id = life === 0 ? machine.idOf(name) : machine.idOf(`${name} ${life}`)
    if (chance > 90) machine.run(name, 'renew', { id })
    machine.apply(encode({ id, ...command }), name)
  }
  return machine
}

interface Snapshot {
  sections: {
    members: { members: { id: string; name: string; number: number }[] }
    pools: { key: string; blocks: number[][]; loans: number[][] }[]
    overlays: { claims: [string, number, number[]][] }
  }
}

describe('the agreed state, whatever is submitted', () => {
  it('gives a block, a loan and a VNI to one member or overlay, and no two pools overlap', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const { sections } = decode<Snapshot>(play(steps).state.snapshot())
        const numbers = sections.members.members.map(({ number }) => number)
        expect(new Set(numbers)).to.have.property('size', numbers.length)
        for (const { key, blocks, loans } of sections.pools) {
          const owned = blocks.flatMap(([, ...granted]) => granted.filter((_, i) => i % 2 === 0))
          expect(new Set(owned), key).to.have.property('size', owned.length)
          expect(new Set(loans.map(([offset]) => offset))).to.have.property('size', loans.length)
          for (const [owner] of blocks) expect(numbers, key).to.include(owner)
          for (const [, borrower] of loans) expect(numbers, key).to.include(borrower)
          for (const other of sections.pools) {
            expect(poolsClash(parsePoolKey(key)!, parsePoolKey(other.key)!)).to.equal(false)
          }
        }
        const vnis = sections.overlays.claims.map(([, vni]) => vni)
        expect(new Set(vnis)).to.have.property('size', vnis.length)
      }),
      { numRuns: 300 },
    )
  })

  it('tells each owner of every address in its blocks that is not its own to hand out', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const machine = play(steps)
        const views = new Map(members.map((name) => [name, machine.views(name)]))
        for (const [name, own] of views) {
          for (const { pool, blocks, lent } of own) {
            const geometry = geometryOf(parsePoolKey(pool)!.cidr)
            const isMine = (offset: number): boolean =>
              blocks.some(([index]) => index === blockOf(geometry, offset))
            const borrowed = [...views].flatMap(([other, list]) =>
              other === name ? [] : list.filter((view) => view.pool === pool).flatMap(loansOf),
            )
            expect(lent, `${name} ${pool}`).to.have.members(borrowed.filter(isMine))
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  it('is the same on every voter, also on one that began with a snapshot', () => {
    fc.assert(
      fc.property(history, fc.nat(120), (steps, cut) => {
        const whole = play(steps)
        const again = play(steps)
        expect(again.state.snapshot()).to.deep.equal(whole.state.snapshot())
        const before = play(steps.slice(0, cut))
        const restored = new AgreedState()
        restored.restore(before.state.snapshot())
        expect(restored.snapshot()).to.deep.equal(before.state.snapshot())
        for (const [i, [name, command]] of steps.slice(cut).entries()) {
          const at = { index: before.index + i + 1, timeMs: before.timeMs, version: 1, from: name }
          const bytes = encode({ id: before.idOf(name), ...command })
          expect(restored.apply(bytes, at)).to.deep.equal(before.state.apply(bytes, at))
        }
        expect(restored.snapshot()).to.deep.equal(before.state.snapshot())
      }),
      { numRuns: 150 },
    )
  })

  it('changes nothing when it refuses', () => {
    fc.assert(
      fc.property(history, member, command, (steps, name, last) => {
        const machine = play(steps)
        const before = machine.state.snapshot()
        if ('refused' in machine.run(name, '', last)) {
          expect(machine.state.snapshot()).to.deep.equal(before)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('answers any bytes, with a bounded answer', () => {
    const machine = play([])
    const json = fc.jsonValue().map(encode)
    const odd = fc.record({
      op: fc.constantFrom('claim', 'renew', 'evict', 'constructor', 'toString', 'holdings'),
      id: fc.constantFrom(machine.idOf('h1'), 1, null),
      pool: fc.oneof(pool, fc.string()),
      total: fc.oneof(fc.integer(), fc.double()),
      names: fc.jsonValue(),
    })
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), json, odd.map(encode))
    fc.assert(
      fc.property(bytes, fc.boolean(), (input, asks) => {
        const answer = asks ? machine.state.query(input) : machine.apply(input, 'h1')
        expect(answer.length).to.be.at.most(maxResultBytes)
      }),
      { numRuns: 3000 },
    )
    expect(machine.apply(new Uint8Array(70_000), 'h1').length).to.be.at.most(100)
  })
})

describe('the size of the agreed state', () => {
  it('a member with as much of a pool as it may have fits into one answer', () => {
    const machine = new AgreedMachine('h1', 'h2', 'h3', 'h4')
    machine.index = 2 ** 33
    const wide = 'fd00::/64'
    for (const name of ['h1', 'h2']) machine.run(name, 'holdPool', { pool: wide })
    const last = geometryOf(parseCidr(wide)!).last
    for (let i = 0; i < 8; i++)
      machine.run('h1', 'claim', { pool: wide, total: 256, first: 0, last })
    for (const name of ['h3', 'h4']) machine.run(name, 'holdPool', { pool: wide })
    machine.run('h4', 'claim', { pool: wide, total: 1, first: 0, last })
    const [[other]] = machine.view('h4', wide).blocks as [[number, number]]
    for (let i = 0; i < 256; i++) {
      machine.run('h4', 'lend', { pool: wide, offset: other * 2048 + i + 2, to: 'h1' })
    }
    for (const [i, [index]] of machine.view('h1', wide).blocks.entries()) {
      for (const add of [2, 3]) {
        const to = i % 2 === 0 ? 'h2' : 'h3'
        machine.run('h1', 'lend', { pool: wide, offset: index * 2048 + add, to })
      }
    }
    for (let i = 0; i < 200; i++) machine.run('h2', 'reserve', { pool: wide, offset: last - i })
    const wish = { op: 'claim', id: machine.idOf('h1'), pool: wide, total: 256, first: 0, last }
    const answer = machine.apply(encode(wish), 'h1')
    expect(machine.view('h1', wide).blocks).to.have.length(256)
    expect(machine.view('h1', wide).loans).to.have.length(256)
    expect(answer.length).to.be.within(10_000, maxResultBytes)
  })

  // All networks take the same, so some are enough: the last ones. bench/scale.ts has all of them.
  it('100 networks on 1,000 hosts take at most 5 MB', function () {
    this.timeout(0)
    const networks = Number(process.env['NETWORKS'] ?? 3)
    const hosts = Array.from({ length: 1000 }, (_, i) => `host-${i}.rack-${i % 40}.example`)
    const machine = new AgreedMachine(...hosts)
    machine.index = 1_000_000
    const bytesOf = (): number => machine.state.snapshot().length
    const registry = bytesOf()
    for (let network = 100 - networks; network < 100; network++) {
      const pool = `fd00:${network.toString(16)}::/64`
      for (const host of hosts) {
        machine.run(host, 'holdPool', { pool })
        machine.run(host, 'claim', { pool, total: 1, first: 0, last: 0xff_ffff })
        machine.run(host, 'attachOverlay', {
          overlayId: pool,
          encrypted: false,
          vni: null,
          start: 0,
          avoid: [],
        })
      }
      machine.run(hosts[0]!, 'gateway', { pool, wanted: null })
    }
    const bytes = registry + ((bytesOf() - registry) * 100) / networks
    if (process.env['SHOW'] !== undefined) process.stdout.write(`    ${bytes} bytes\n`)
    expect(bytes).to.be.at.most(5_000_000)
    expect(bytes).to.be.at.most(maxSnapshotBytes)
  })
})

function loansOf({ loans }: PoolView): number[] {
  return loans.map(([offset]) => offset)
}
