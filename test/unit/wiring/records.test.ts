import { expect } from 'chai'
import fc from 'fast-check'
import { OverlayError } from '../../../src/base/errors.ts'
import { RecordTypes, encodeRecord, recordId } from '../../../src/cluster/wire/record-type.ts'
import type { Cidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'
import {
  blockRecord,
  namesRecord,
  networkRecord,
  overlayRecord,
  poolRecord,
  prefixRecord,
  recordTypes,
} from '../../../src/wiring/records.ts'
import { packed } from '../cluster/arbitraries.ts'

const types = new RecordTypes(recordTypes)

const pool = { gateway: null, reserved: [], auto: false, since: 0 }

const samples = [
  encodeRecord(overlayRecord, {
    overlayId: '10.0.0.0/8 prod é',
    vni: 9000 as Vni,
    pools: ['10.0.0.0/8' as Cidr, 'fd00::/64' as Cidr],
    mtu: 1450,
    port: 4789,
    encrypted: true,
  }),
  encodeRecord(overlayRecord, {
    overlayId: 'of an earlier release',
    vni: 9001 as Vni,
    pools: [],
    mtu: 1450,
    encrypted: false,
  }),
  encodeRecord(overlayRecord, {
    overlayId: 'engine:10.0.0.0/24',
    vni: 9002 as Vni,
    pools: ['10.0.0.0/24' as Cidr],
    mtu: 1450,
    ranges: ['10.0.0.0/25' as Cidr],
    encrypted: false,
  }),
  encodeRecord(prefixRecord, { prefix: '172.17.0.0/16' }),
  encodeRecord(poolRecord, {
    poolKey: '10.0.0.0/8 prod',
    gateway: '10.0.0.1' as Ip,
    reserved: ['10.0.0.2' as Ip],
    auto: true,
    since: 5,
  }),
  encodeRecord(poolRecord, { ...pool, poolKey: 'fd00::/64' }),
  encodeRecord(blockRecord, {
    poolKey: '10.0.0.0/8 two words',
    index: 17,
    since: 1_790_000_000_000,
  }),
  encodeRecord(namesRecord, {
    vni: 9000 as Vni,
    endpointId: '0123456789abcdef',
    names: ['web', 'ALIAS', '0123456789ab'],
  }),
  encodeRecord(networkRecord, {
    name: 'blue',
    generation: { counter: 2, member: 'host1' },
    spec: {
      overlayId: '10.0.0.0/24',
      internal: false,
      attachable: true,
      ipv4: true,
      ipv6: false,
      options: { vni: '7' },
      labels: {},
      ipamOptions: {},
      pools: [
        {
          subnet: '10.0.0.0/24',
          ipRange: '',
          gateway: '10.0.0.1',
          auxAddresses: { a: '10.0.0.9' },
        },
      ],
    },
  }),
  encodeRecord(networkRecord, {
    name: 'gone',
    generation: { counter: 3, member: 'host2' },
    spec: null,
  }),
]

describe('wiring/records', () => {
  it('are of these numbers on the wire, for ever', () => {
    expect(recordTypes.map(({ kind, number }) => [kind, number])).to.deep.equal([
      ['endpoint', 1],
      ['overlay', 2],
      ['pool', 3],
      ['block', 4],
      ['names', 5],
      ['network', 6],
      ['wireguard', 8],
      ['prefix', 9],
    ])
  })

  it('have this form on the wire, for ever', () => {
    expect(samples).to.deep.equal([
      {
        id: '\x0210.0.0.0/8 prod \xc3\xa9',
        value:
          '{"vni":9000,"pools":["10.0.0.0/8","fd00::/64"],"mtu":1450,"port":4789,"encrypted":true}',
      },
      {
        id: '\x02of an earlier release',
        value: '{"vni":9001,"pools":[],"mtu":1450,"encrypted":false}',
      },
      {
        id: '\x02engine:10.0.0.0/24',
        value:
          '{"vni":9002,"pools":["10.0.0.0/24"],"mtu":1450,"ranges":["10.0.0.0/25"],"encrypted":false}',
      },
      { id: '\x09172.17.0.0/16', value: '{}' },
      {
        id: '\x0310.0.0.0/8 prod',
        value: '{"gateway":"10.0.0.1","reserved":["10.0.0.2"],"auto":true,"since":5}',
      },
      { id: '\x03fd00::/64', value: '{"gateway":null,"reserved":[],"auto":false,"since":0}' },
      { id: '\x0417 10.0.0.0/8 two words', value: '{"since":1790000000000}' },
      {
        id: '\x059000/0123456789abcdef',
        value: '{"names":["web","ALIAS","0123456789ab"]}',
      },
      {
        id: '\x06blue',
        value:
          '{"generation":{"counter":2,"member":"host1"},"spec":{"overlayId":"10.0.0.0/24",' +
          '"internal":false,"attachable":true,"ipv4":true,"ipv6":false,"options":{"vni":"7"},' +
          '"labels":{},"ipamOptions":{},"pools":[{"subnet":"10.0.0.0/24","ipRange":"",' +
          '"gateway":"10.0.0.1","auxAddresses":{"a":"10.0.0.9"}}]}}',
      },
      {
        id: '\x06gone',
        value: '{"generation":{"counter":3,"member":"host2"},"spec":null}',
      },
    ])
  })

  it('are read back as they were written', () => {
    for (const { id, value } of samples) {
      const type = types.of(id)!
      const record = types.decode(id, value)!
      expect(encodeRecord(type, record)).to.deep.equal({ id, value })
    }
  })

  it('take bytes of any kind and form without throwing', () => {
    const id = fc.tuple(fc.integer({ min: 0, max: 6 }), packed({ maxLength: 20 }))
    fc.assert(
      fc.property(id, packed({ maxLength: 80 }), ([number, key], value) => {
        const record = types.decode(String.fromCharCode(number) + key, value)
        if (record !== null) encodeRecord(types.of(String.fromCharCode(number))!, record)
      }),
      { numRuns: 2000 },
    )
  })

  it('are not read when a field is out of its range', () => {
    expect(types.decode(recordId(poolRecord, '10.0.0.0/8'), '{"gateway":"10.0.0.01"}')).to.equal(
      null,
    )
    const overlay = recordId(overlayRecord, 'o')
    expect(types.decode(overlay, '{"vni":0,"pools":[],"mtu":1450}')).to.equal(null)
    for (const mtu of ['0', '67', '65486', '1450.5', '"1450"'])
      expect(types.decode(overlay, `{"vni":5,"pools":[],"mtu":${mtu}}`)).to.equal(null)
    expect(types.decode('\x04x 10.0.0.0/8', '{"since":0}')).to.equal(null)
  })

  it('are not published when a field is out of its range', () => {
    for (const put of [
      () => encodeRecord(blockRecord, { poolKey: '10.0.0.0/8', index: -1, since: 0 }),
      () => encodeRecord(blockRecord, { poolKey: '10.0.0.0/8', index: 0, since: 0.5 }),
      () => encodeRecord(poolRecord, { ...pool, poolKey: 'x'.repeat(9000) }),
    ]) {
      expect(put).to.throw(OverlayError).with.property('code', 'BAD_REQUEST')
    }
  })
})
