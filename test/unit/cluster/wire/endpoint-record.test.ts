import { expect } from 'chai'
import fc from 'fast-check'
import { OverlayError } from '../../../../src/base/errors.ts'
import {
  type EndpointRecord,
  endpointRecord,
} from '../../../../src/cluster/wire/endpoint-record.ts'
import { RecordFault, encodeRecord } from '../../../../src/cluster/wire/record-type.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import type { Mac } from '../../../../src/net/mac.ts'
import type { Vni } from '../../../../src/net/vni.ts'
import { endpoint, packed } from '../arbitraries.ts'

const sample: EndpointRecord = {
  kind: 'endpoint',
  vni: 4097 as Vni,
  endpointId: '00112233445566ff',
  ips: ['10.0.0.7' as Ip, 'fd00::7' as Ip, '10.0.0.8' as Ip],
  mac: '02:42:0a:00:00:07' as Mac,
  claimedAt: 1_790_000_000,
}

describe('cluster/endpoint-record', () => {
  it('reads back every endpoint', () => {
    const readsBack = (record: EndpointRecord): void => {
      const { id, value } = encodeRecord(endpointRecord, record)
      expect(endpointRecord.decode(id.slice(1), value)).to.deep.equal(record)
      expect(endpointRecord.packKey(endpointRecord.keyOf(record))).to.equal(id.slice(1))
    }
    readsBack(sample)
    readsBack({ ...sample, encrypted: true })
    fc.assert(fc.property(endpoint, readsBack))
  })

  it('takes any bytes without throwing', () => {
    fc.assert(
      fc.property(packed({ maxLength: 14 }), packed({ maxLength: 80 }), (key, value) => {
        const record = endpointRecord.decode(key, value)
        if (!(record instanceof RecordFault)) encodeRecord(endpointRecord, record)
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses what it cannot say', () => {
    for (const bad of [
      { ips: [] },
      { ips: Array<Ip>(5).fill('10.0.0.1' as Ip) },
      { claimedAt: 1.5 },
      { claimedAt: 2 ** 32 },
      { endpointId: 'ABC' },
      { vni: (2 ** 24) as Vni },
    ]) {
      expect(
        () => encodeRecord(endpointRecord, { ...sample, ...bad }),
        JSON.stringify(bad).slice(0, 100),
      )
        .to.throw(OverlayError)
        .with.property('code', 'BAD_REQUEST')
    }
  })
})
