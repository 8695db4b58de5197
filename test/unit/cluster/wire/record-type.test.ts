import { expect } from 'chai'
import * as v from 'valibot'
import { OverlayError } from '../../../../src/base/errors.ts'
import {
  RecordFault,
  RecordTypes,
  defineRecord,
  encodeRecord,
  fieldKey,
  recordId,
} from '../../../../src/cluster/wire/record-type.ts'

const rackRecord = defineRecord({
  kind: 'rack',
  number: 9,
  key: fieldKey('rackId'),
  schema: v.object({
    units: v.pipe(v.array(v.number()), v.readonly()),
    row: v.optional(v.string()),
  }),
  validate: ({ units, rackId }) => (units.length > 3 ? `has over 3 units: ${rackId}` : null),
})

const decode = (key: string, value: string) => rackRecord.decode(rackRecord.packKey(key)!, value)

describe('cluster/record-type', () => {
  it('keeps the key out of the value, and puts it back', () => {
    const { id, value } = encodeRecord(rackRecord, { rackId: 'é 1', units: [1, 2] })
    expect(id.charCodeAt(0)).to.equal(9)
    expect(value).to.equal('{"units":[1,2]}')
    expect(recordId(rackRecord, 'é 1')).to.equal(id)
    expect(decode('é 1', value)).to.deep.equal({ kind: 'rack', rackId: 'é 1', units: [1, 2] })
  })

  it('ignores fields of a later release', () => {
    expect(decode('a', '{"units":[],"colour":"red"}')).to.deep.equal({
      kind: 'rack',
      rackId: 'a',
      units: [],
    })
  })

  it('says what is wrong with a value', () => {
    for (const value of ['', '{}', '{"units":1}', '[]', '\xff'])
      expect(decode('a', value)).to.deep.equal(new RecordFault('cannot be read'))
    expect(decode('a', '{"units":[1,2,3,4]}')).to.deep.equal(new RecordFault('has over 3 units: a'))
  })

  it('refuses to publish what others could not read', () => {
    for (const [record, what] of [
      [{ rackId: 'a', units: [1, 2, 3, 4] }, /rack record "a" has over 3 units/],
      [{ rackId: 'a', units: [Number.NaN] }, /rack record "a" cannot be read/],
      [{ rackId: '\ud800', units: [] }, /has a key that is no text/],
      [{ rackId: 'a', units: [], row: 'x'.repeat(9000) }, /has 90\d\d bytes; the limit is 8192/],
    ] as const) {
      expect(() => encodeRecord(rackRecord, record))
        .to.throw(OverlayError, what)
        .with.property('code', 'BAD_REQUEST')
    }
  })

  it('tells its records from others', () => {
    expect(rackRecord.is({ kind: 'rack' })).to.equal(true)
    for (const other of [{ kind: 'block' }, null, undefined])
      expect(rackRecord.is(other)).to.equal(false)
  })

  it('knows types by the number in an id, each number once', () => {
    const types = new RecordTypes([rackRecord])
    const { id, value } = encodeRecord(rackRecord, { rackId: 'a', units: [] })
    expect(types.of(id)).to.equal(rackRecord)
    expect(types.decode(id, value)).to.deep.equal({ kind: 'rack', rackId: 'a', units: [] })
    expect(types.decode(id, 'bad')).to.equal(null)
    expect(types.decode('\x63key', '{}')).to.equal(null)
    expect(() => new RecordTypes([rackRecord, rackRecord])).to.throw(/two kinds of records/)
  })
})
