/** Random values of this room, for property tests. */
import fc from 'fast-check'
import { type Packed, pack } from '../../../src/base/bytes.ts'
import type { Delta, Entry } from '../../../src/cluster/log/origin-log.ts'
import { type EndpointRecord, endpointRecord } from '../../../src/cluster/wire/endpoint-record.ts'
import { encodeRecord } from '../../../src/cluster/wire/record-type.ts'
import { type Ip, ipFromInteger } from '../../../src/net/ip.ts'
import { macFromBytes, macOfIp } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'

export const packed = (constraints: {
  minLength?: number
  maxLength?: number
}): fc.Arbitrary<Packed> => fc.uint8Array(constraints).map(pack)

export const oid = packed({ minLength: 8, maxLength: 8 })
export const epoch = fc.nat({ max: 2 ** 31 - 1 }).map((n) => 1_700_000_000_000 + n * 64)

export const ip: fc.Arbitrary<Ip> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((n) => ipFromInteger(n, 32)),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((n) => ipFromInteger(n, 128)),
)

export const endpoint: fc.Arbitrary<EndpointRecord> = fc
  .record({
    vni: fc.integer({ min: 1, max: 2 ** 24 - 1 }),
    id: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    ips: fc.array(ip, { minLength: 1, maxLength: 4 }),
    mac: fc.option(fc.uint8Array({ minLength: 6, maxLength: 6 })),
    docker: fc.boolean(),
    claimedAt: fc.integer({ min: 0, max: 0xffff_ffff }),
    encrypted: fc.constantFrom({}, { encrypted: true as const }),
  })
  .map(({ vni, id, ips, mac, docker, claimedAt, encrypted }) => {
    const bytes = mac === null ? null : docker ? Uint8Array.of(2, 0x42, ...mac.subarray(2)) : mac
    return {
      kind: 'endpoint' as const,
      vni: vni as Vni,
      endpointId: Buffer.from(id).toString('hex'),
      ips,
      mac: bytes === null ? macOfIp(ips[0]!) : macFromBytes(bytes),
      claimedAt,
      ...encrypted,
    }
  })

/** An entry's id and value: mostly endpoints, also kinds that this release does not know. */
const content: fc.Arbitrary<{ id: Packed; value: Packed | null }> = fc.oneof(
  { weight: 4, arbitrary: endpoint.map((record) => encodeRecord(endpointRecord, record)) },
  {
    weight: 1,
    arbitrary: endpoint.map((record) => ({
      id: encodeRecord(endpointRecord, record).id,
      value: null,
    })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      id: packed({ minLength: 1, maxLength: 40 }),
      value: fc.option(packed({ maxLength: 300 })),
    }),
  },
  // Of the endpoint's kind, but not of its form.
  {
    weight: 1,
    arbitrary: fc.record({
      id: packed({ maxLength: 14 }).map((key) => `\x01${key}`),
      value: packed({ maxLength: 30 }),
    }),
  },
)

export const delta: fc.Arbitrary<Delta> = fc
  .record({
    oid,
    epoch,
    floor: fc.nat(),
    head: fc.maxSafeNat(),
    reset: fc.option(fc.nat()),
    repair: fc.boolean(),
    ranges: fc.array(
      fc.record({
        gap: fc.nat({ max: 300 }),
        tail: fc.nat({ max: 3 }),
        entries: fc.array(fc.record({ step: fc.nat({ max: 200 }), content }), { maxLength: 8 }),
      }),
      { maxLength: 5 },
    ),
  })
  .map(({ ranges, ...bare }) => {
    let version = 0
    return {
      ...bare,
      ranges: ranges.map(({ gap, tail, entries }) => {
        const from = (version += gap)
        const listed: Entry[] = entries.map(({ step, content }) => {
          version += step + 1
          return { ...content, version }
        })
        version += tail
        return { from, to: version, entries: listed }
      }),
    }
  })
