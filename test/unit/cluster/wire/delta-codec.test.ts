import { expect } from 'chai'
import fc from 'fast-check'
import { ByteReader, ByteWriter, CodecError, pack } from '../../../../src/base/bytes.ts'
import { deltasOf } from '../../../../src/cluster/sync/packing.ts'
import { decodeDelta, encodeDelta } from '../../../../src/cluster/wire/delta-codec.ts'
import { type Delta, type Entry, OriginLog } from '../../../../src/cluster/log/origin-log.ts'
import { replyTo } from '../../../../src/cluster/sync/sync-server.ts'
import { sorted } from '../sorted.ts'
import {
  type EndpointRecord,
  endpointRecord,
} from '../../../../src/cluster/wire/endpoint-record.ts'
import { encodeRecord } from '../../../../src/cluster/wire/record-type.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { type Mac, macOfIp } from '../../../../src/net/mac.ts'
import type { Vni } from '../../../../src/net/vni.ts'
import { delta } from '../arbitraries.ts'

const oid = 'origin-1'
/** The host was started in 2026, the endpoint is claimed eleven days later. */
const epoch = Date.UTC(2026, 4, 1)
const claimedAt = epoch / 1000 + 11 * 86_400

function endpoint(i: number, mac: Mac | null = null): EndpointRecord {
  const ips = [`10.0.${i >> 8}.${i & 255}` as Ip]
  const endpointId = i.toString(16).padStart(16, '0')
  const vni = 70_000 as Vni
  return {
    kind: 'endpoint',
    vni,
    endpointId,
    ips,
    mac: mac ?? macOfIp(ips[0]!),
    claimedAt: claimedAt + i,
  }
}

function bytesOf(entries: readonly Omit<Entry, 'version'>[]): number {
  const listed = entries.map((entry, i) => ({ ...entry, version: i + 1 }))
  const to = listed.length
  const bare = { oid, epoch, floor: 0, head: to, reset: null, repair: false }
  return encodeDelta({ ...bare, ranges: [{ from: 0, to, entries: listed }] }).length
}

/** What each record adds, the first apart from the others. */
function recordBytes(make: (i: number) => Omit<Entry, 'version'>): { first: number; next: number } {
  const [empty, one, two] = [[], [1], [1, 2]].map((list) => bytesOf(list.map(make)))
  return { first: one! - empty!, next: two! - one! }
}

describe('cluster/delta-codec', () => {
  it('reads back every delta', () => {
    fc.assert(
      fc.property(delta, (sent) => {
        expect(decodeDelta(new ByteReader(encodeDelta(sent)))).to.deep.equal(sent)
      }),
    )
  })

  it('throws nothing but CodecError at bytes that were cut or changed', () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }), cut: fc.option(fc.nat()) })
    fc.assert(
      fc.property(delta, change, (sent, { at, to, cut }) => {
        const bytes = encodeDelta(sent)
        bytes[at % bytes.length] = to
        const read = cut === null ? bytes : bytes.subarray(0, cut % bytes.length)
        let result: Delta | null = null
        try {
          result = decodeDelta(new ByteReader(read))
        } catch (error) {
          expect(error).to.be.instanceOf(CodecError)
        }
        // What was read can be applied and told on, whatever it says.
        if (result === null) return
        new OriginLog(result.oid, result.epoch).apply(result, 0)
        expect(decodeDelta(new ByteReader(encodeDelta(result)))).to.deep.equal(result)
      }),
      { numRuns: 2000 },
    )
  })

  it('packs an endpoint into 15 to 21 bytes, 19 to 25 with all that is told of it alone', () => {
    const derived = recordBytes((i) => encodeRecord(endpointRecord, endpoint(i)))
    const docker = recordBytes((i) =>
      encodeRecord(endpointRecord, endpoint(i, '02:42:ac:11:00:02' as Mac)),
    )
    const foreign = recordBytes((i) =>
      encodeRecord(endpointRecord, endpoint(i, '1a:2b:3c:4d:5e:6f' as Mac)),
    )
    const gone = recordBytes((i) => ({
      id: encodeRecord(endpointRecord, endpoint(i)).id,
      value: null,
    }))
    // Three bytes of a first one are the time, which the delta's head has: 16, 20 and 22 are the
    // record's.
    expect(derived).to.deep.equal({ first: 19, next: 15 })
    expect(docker).to.deep.equal({ first: 23, next: 19 })
    expect(foreign).to.deep.equal({ first: 25, next: 21 })
    expect(gone).to.deep.equal({ first: 12, next: 10 })
  })

  it('skips what a later release says besides', () => {
    const more = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(delta, fc.integer({ min: 1, max: 15 }), more, (sent, flags, bytes) => {
        const reader = new ByteReader(encodeDelta(sent))
        const later = new ByteWriter().packed(reader.packed(14))
        later.uint(reader.uint(1) | (flags << 4), 1).block(pack(bytes))
        later.packed(reader.packed(reader.left))
        expect(decodeDelta(new ByteReader(later.bytes()))).to.deep.equal(sent)
      }),
    )
  })

  it('cuts a log into deltas that fit and together say all', () => {
    const log = new OriginLog(oid, epoch)
    for (let i = 0; i < 500; i++) {
      const { id, value } = encodeRecord(endpointRecord, endpoint(i % 300))
      log.write(id, i % 7 === 0 ? null : value, 0)
    }
    for (const maxBytes of [100, 1350, 131_072]) {
      const copy = new OriginLog(oid, epoch)
      const ranges = [{ from: 0, to: log.head }]
      for (const each of deltasOf(log, ranges, { reset: null, repair: true, maxBytes })) {
        expect(encodeDelta(each).length).to.be.at.most(maxBytes)
        copy.apply(each, 0)
      }
      expect(sorted(copy)).to.deep.equal(sorted(log))
      expect(copy.complete).to.equal(true)
    }
  })

  it('tells of an epoch even when there is nothing in it', () => {
    const log = new OriginLog(oid, epoch)
    log.hearOf(0)
    const deltas = [...deltasOf(log, [], { reset: null, repair: true, maxBytes: 1350 })]
    expect(deltas).to.have.length(1)
    expect(deltas[0]).to.deep.include({ oid, epoch, head: 0, ranges: [] })
  })

  it('tells the floor of the moment, so that no deletion dropped between two deltas is missed', () => {
    const owner = new OriginLog(oid, 7)
    const reader = new OriginLog(oid, 7)
    for (let i = 0; i < 10; i++) owner.write(`a${i}`, 'x'.repeat(50), 0)
    const web = owner.write('web', 'up', 0)
    for (let i = 0; i < 10; i++) owner.write(`b${i}`, 'x'.repeat(50), 0)
    owner.write('web', null, 0)
    owner.write('last', 'x', 0)
    const heard = { from: 10, to: 11, entries: [web] }
    const bare = { oid, epoch: 7, floor: 0, head: 11, reset: null, repair: false }
    reader.apply({ ...bare, ranges: [heard] }, 0)
    const lacked = () => replyTo({ oid, epoch: 7, coverage: reader.coverage }, owner)!
    const { ranges, reset } = lacked()
    const deltas = deltasOf(owner, ranges, { reset, repair: true, maxBytes: 300 })
    reader.apply(deltas.next().value as Delta, 0)
    owner.dropTombstones(1, 4096)
    for (const delta of deltas) reader.apply(delta, 0)
    expect(reader.complete, 'it asks again').to.equal(false)
    const again = lacked()
    const most = { reset: again.reset, repair: true, maxBytes: 9000 }
    for (const delta of deltasOf(owner, again.ranges, most)) reader.apply(delta, 0)
    expect(reader.complete).to.equal(true)
    expect(reader.value('web')).to.equal(null)
  })
})
