import { expect } from 'chai'
import { refusal } from '../../../../src/base/errors.ts'
import { Findings } from '../../../../src/base/findings.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { AddressWatch } from '../../../../src/wiring/host/address-watch.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const own = '192.0.2.1' as Ip
const other = '192.0.2.9' as Ip

describe('wiring/host/address-watch', () => {
  let clock: VirtualClock
  let findings: Findings
  let addresses: Set<Ip>
  let route: Ip | null
  let moves: Ip[]
  let watch: AddressWatch

  beforeEach(() => {
    clock = new VirtualClock()
    findings = new Findings(clock, silentLogger)
    addresses = new Set([own])
    route = own
    moves = []
  })
  afterEach(() => watch.stop())

  function start(isSet = false): void {
    watch = new AddressWatch({
      clock,
      findings: findings.room('host'),
      address: own,
      check: async (address) => {
        if (!addresses.has(address)) throw refusal('BAD_SETTING', `no interface has ${address}`)
      },
      routed: isSet
        ? null
        : async () => {
            if (route === null) throw refusal('BAD_SETTING', 'no default route')
            return route
          },
      moved: (to) => moves.push(to),
    })
    watch.start()
  }

  const codes = (): string[] =>
    findings
      .room('host')
      .list()
      .map(({ code }) => code)

  it('tells of another address once, within two looks', async () => {
    start()
    await clock.advance(10_000)
    addresses = new Set([other])
    route = other
    await clock.advance(1000)
    expect(moves).to.deep.equal([other])
    await clock.advance(60_000)
    expect(moves).to.deep.equal([other])
    expect(codes()).to.deep.equal([])
  })

  it('takes an address that is away for a moment for no change', async () => {
    start()
    for (const awayMs of [100, 250, 900, 3000]) {
      addresses = new Set()
      route = null
      await clock.advance(awayMs)
      addresses = new Set([own])
      route = own
      await clock.advance(5000)
    }
    // Another one takes its place for a moment.
    addresses = new Set([other])
    route = other
    await clock.advance(250)
    addresses = new Set([own])
    await clock.advance(5000)
    expect(moves).to.deep.equal([])
    expect(codes()).to.deep.equal([])
  })

  it('stays while the address is there, whatever the default route is', async () => {
    start()
    addresses.add(other)
    route = other
    await clock.advance(60_000)
    expect(moves).to.deep.equal([])
  })

  it('has a finding while there is no address at all, and moves when there is one', async () => {
    start()
    addresses = new Set()
    route = null
    await clock.advance(6000)
    expect(codes()).to.deep.equal(['ADDRESS_LOST'])
    addresses = new Set([other])
    route = other
    await clock.advance(1000)
    expect(moves).to.deep.equal([other])
  })

  it('never leaves the address of a setting, and says what to do', async () => {
    start(true)
    addresses = new Set([other])
    route = other
    await clock.advance(60_000)
    expect(moves).to.deep.equal([])
    expect(findings.room('host').list()[0]?.remedy).to.match(
      /set ADVERTISE_ADDR or DATA_ADDR to the one/,
    )
    addresses = new Set([own])
    await clock.advance(1000)
    expect(codes()).to.deep.equal([])
  })
})
