import { expect } from 'chai'
import { oidOfName } from '../../../src/cluster/log/digest.ts'
import { type EndpointRecord, endpointRecord } from '../../../src/cluster/wire/endpoint-record.ts'
import { RecordTypes, encodeRecord } from '../../../src/cluster/wire/record-type.ts'
import { recordTypes } from '../../../src/wiring/records.ts'
import { Replica } from '../../../src/cluster/log/replica.ts'
import { type Transition, Transitions } from '../../../src/cluster/transitions.ts'
import { clusterDefaults } from '../../../src/cluster/sync/options.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { macOfIp } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const oid = oidOfName('host-2')

function endpoint(i: number, claimedAt = 100): EndpointRecord {
  const ip = `10.0.${i >> 8}.${i & 255}` as Ip
  const endpointId = i.toString(16).padStart(16, '0')
  return { kind: 'endpoint', vni: 5000 as Vni, endpointId, ips: [ip], mac: macOfIp(ip), claimedAt }
}

class TransitionsFixture {
  readonly clock = new VirtualClock()
  readonly transitions = new Transitions(this.clock, new RecordTypes(recordTypes), clusterDefaults)
  readonly batches: (readonly Transition[])[] = []
  readonly replica = new Replica(
    { name: 'host-1', address: '10.0.0.1' as Ip, epoch: 1 },
    clusterDefaults,
    (origin, id, previous) => this.transitions.mark(origin, id, previous),
  )
  #version = 0

  listen(): () => void {
    return this.transitions.listen((batch) => this.batches.push(batch), this.replica.origins)
  }

  member(state: 'alive' | 'dead' | 'left', address = '10.0.0.2' as Ip): void {
    this.replica.member({ name: 'host-2', state, address, epoch: 5 }, 0)
  }

  put(record: EndpointRecord, gone = false): void {
    const { id, value } = encodeRecord(endpointRecord, record)
    const version = ++this.#version
    const entries = [{ id, version, value: gone ? null : value }]
    const bare = { oid, epoch: 5, floor: 0, head: version, reset: null, repair: false }
    this.replica.apply({ ...bare, ranges: [{ from: version - 1, to: version, entries }] }, 0)
  }

  /** What was told since the last call, in short. */
  async told(): Promise<string[]> {
    await this.clock.advance(20)
    const said = this.batches.flat().map(({ previous, next, live, address }) => {
      const claim = (record: typeof previous): number | null =>
        endpointRecord.is(record) ? record.claimedAt : null
      return `${claim(previous)} -> ${claim(next)} at ${address}${live ? '' : ', away'}`
    })
    this.batches.length = 0
    return said
  }
}

describe('cluster/transitions', () => {
  it('tells a change once, as it is when told', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    fixture.put(endpoint(1, 10))
    fixture.put(endpoint(1, 20))
    fixture.put(endpoint(2, 30))
    fixture.put(endpoint(2, 30), true)
    expect(await fixture.told()).to.deep.equal(['null -> 20 at 10.0.0.2'])
    fixture.put(endpoint(1, 40))
    fixture.put(endpoint(1, 20))
    expect(await fixture.told()).to.deep.equal([])
  })

  it('tells death and return, and whether the owner is there', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    fixture.put(endpoint(1))
    await fixture.told()
    fixture.member('dead')
    expect(await fixture.told()).to.deep.equal(['100 -> null at 10.0.0.2, away'])
    fixture.member('alive')
    expect(await fixture.told()).to.deep.equal(['null -> 100 at 10.0.0.2'])
    fixture.put(endpoint(1), true)
    expect(await fixture.told()).to.deep.equal(['100 -> null at 10.0.0.2'])
    fixture.put(endpoint(1))
    await fixture.told()
    fixture.member('left')
    expect(await fixture.told()).to.deep.equal(['100 -> null at 10.0.0.2, away'])
  })

  it('tells nothing of a member that was away only for a moment', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    fixture.put(endpoint(1))
    await fixture.told()
    fixture.member('dead')
    fixture.member('alive')
    expect(await fixture.told()).to.deep.equal([])
  })

  it('takes records off the old address of a member that moved, then puts them on the new', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    fixture.put(endpoint(1))
    await fixture.told()
    fixture.member('alive', '10.0.0.99' as Ip)
    expect(await fixture.told()).to.deep.equal([
      '100 -> null at 10.0.0.2',
      'null -> 100 at 10.0.0.99',
    ])
  })

  it('tells the first listener all that is there, and nobody after the last has gone', async () => {
    const fixture = new TransitionsFixture()
    fixture.member('alive')
    fixture.put(endpoint(1))
    expect(await fixture.told()).to.deep.equal([])
    const stop = fixture.listen()
    expect(await fixture.told()).to.deep.equal(['null -> 100 at 10.0.0.2'])
    stop()
    fixture.put(endpoint(1, 200))
    expect(await fixture.told()).to.deep.equal([])
    fixture.listen()
    expect(await fixture.told()).to.deep.equal(['null -> 200 at 10.0.0.2'])
  })

  it('cuts a burst into batches', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    for (let i = 0; i < 2500; i++) fixture.put(endpoint(i))
    await fixture.clock.advance(20)
    expect(fixture.batches.map((batch) => batch.length)).to.deep.equal([500, 500, 500, 500, 500])
  })

  it('is silent about kinds that this release cannot read', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    const entries = [{ id: '\x63key', version: 1, value: 'x' }]
    const bare = { oid, epoch: 5, floor: 0, head: 1, reset: null, repair: false }
    fixture.replica.apply({ ...bare, ranges: [{ from: 0, to: 1, entries }] }, 0)
    expect(await fixture.told()).to.deep.equal([])
    expect(fixture.replica.origin(oid)?.log.value('\x63key')).to.equal('x')
  })

  it('tells of a kind that it knows and a value that it cannot read, which counts as no record', async () => {
    const fixture = new TransitionsFixture()
    fixture.listen()
    fixture.member('alive')
    const entries = [
      { id: '\x02blue', version: 1, value: '{"vni":0}' },
      { id: '\x01nonsense', version: 2, value: 'x' },
    ]
    const bare = { oid, epoch: 5, floor: 0, head: 2, reset: null, repair: false }
    fixture.replica.apply({ ...bare, ranges: [{ from: 0, to: 2, entries }] }, 0)
    await fixture.clock.advance(20)
    const told = fixture.batches.flat().map(({ next, invalid }) => [next, invalid?.kind])
    expect(told).to.deep.equal([
      [null, 'overlay'],
      [null, 'endpoint'],
    ])
  })
})
