import { expect } from 'chai'
import fc from 'fast-check'
import { OverlayError } from '../../../../src/base/errors.ts'
import {
  type ClusterRecord,
  decodeRecord,
  encodeRecord,
  isOfKind,
  recordId,
  recordKey,
} from '../../../../src/cluster/wire/records.ts'
import type { Cidr } from '../../../../src/net/cidr.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import type { Mac } from '../../../../src/net/mac.ts'
import type { Vni } from '../../../../src/net/vni.ts'
import { endpoint, packed } from '../arbitraries.ts'

const samples: readonly ClusterRecord[] = [
  {
    kind: 'endpoint',
    vni: 4097 as Vni,
    endpointId: '00112233445566ff',
    ips: ['10.0.0.7' as Ip, 'fd00::7' as Ip, '10.0.0.8' as Ip],
    mac: '02:42:0a:00:00:07' as Mac,
    claimedAt: 1_790_000_000,
  },
  {
    kind: 'overlay',
    overlayId: '10.0.0.0/8 prod é',
    vni: 9000 as Vni,
    pools: ['10.0.0.0/8' as Cidr, 'fd00::/64' as Cidr],
    mtu: 1450,
    port: 4789,
  },
  { kind: 'overlay', overlayId: 'of an earlier release', vni: 9001 as Vni, pools: [], mtu: 1450 },
  {
    kind: 'pool',
    poolKey: '10.0.0.0/8 prod',
    gateway: '10.0.0.1' as Ip,
    reserved: ['10.0.0.2' as Ip],
    auto: true,
    since: 5,
  },
  { kind: 'pool', poolKey: 'fd00::/64', gateway: null, reserved: [], auto: false, since: 0 },
  { kind: 'block', poolKey: '10.0.0.0/8 two words', index: 17, since: 1_790_000_000 },
]

describe('cluster/records', () => {
  for (const record of samples) {
    it(`reads back the ${record.kind} record ${recordKey(record)}`, () => {
      const { id, value } = encodeRecord(record)
      expect(decodeRecord(id, value)).to.deep.equal(record)
      expect(recordId(record.kind, recordKey(record))).to.equal(id)
      expect(isOfKind(id, record.kind)).to.equal(true)
    })
  }

  it('reads back every endpoint', () => {
    fc.assert(
      fc.property(endpoint, (record) => {
        const { id, value } = encodeRecord(record)
        expect(decodeRecord(id, value)).to.deep.equal(record)
      }),
    )
  })

  it('takes bytes of any kind and form without throwing', () => {
    const id = fc.tuple(fc.integer({ min: 0, max: 6 }), packed({ maxLength: 20 }))
    fc.assert(
      fc.property(id, packed({ maxLength: 80 }), ([kind, key], value) => {
        const record = decodeRecord(String.fromCharCode(kind) + key, value)
        if (record !== null) encodeRecord(record)
      }),
      { numRuns: 2000 },
    )
  })

  it('does not read what it does not know', () => {
    expect(decodeRecord('\x63key', '{}')).to.equal(null)
    expect(decodeRecord(recordId('pool', '10.0.0.0/8'), '{"gateway":"10.0.0.01"}')).to.equal(null)
    expect(decodeRecord(recordId('overlay', 'o'), '{"vni":0,"pools":[],"mtu":1450}')).to.equal(null)
    for (const mtu of ['0', '67', '65486', '1450.5', '"1450"'])
      expect(decodeRecord(recordId('overlay', 'o'), `{"vni":5,"pools":[],"mtu":${mtu}}`)).to.equal(
        null,
      )
  })

  it('refuses what it cannot say', () => {
    const [sample] = samples as readonly Extract<ClusterRecord, { kind: 'endpoint' }>[]
    const bad: ClusterRecord[] = [
      { ...sample!, ips: [] },
      { ...sample!, ips: Array<Ip>(5).fill('10.0.0.1' as Ip) },
      { ...sample!, claimedAt: 1.5 },
      { ...sample!, claimedAt: 2 ** 32 },
      { ...sample!, endpointId: 'ABC' },
      { ...sample!, vni: (2 ** 24) as Vni },
      { kind: 'block', poolKey: '10.0.0.0/8', index: -1, since: 0 },
      { kind: 'block', poolKey: '10.0.0.0/8', index: 0, since: 0.5 },
      {
        kind: 'pool',
        poolKey: 'x'.repeat(9000),
        gateway: null,
        reserved: [],
        auto: false,
        since: 0,
      },
    ]
    for (const record of bad) {
      expect(() => encodeRecord(record), JSON.stringify(record).slice(0, 100))
        .to.throw(OverlayError)
        .with.property('code', 'BAD_REQUEST')
    }
  })
})
