import { expect } from 'chai'
import { decodeMessage } from '../../../../src/wire/messages.ts'
import { MsgpackReader } from '../../../../src/wire/msgpack/msgpack-reader.ts'
import { MsgpackWriter } from '../../../../src/wire/msgpack/msgpack-writer.ts'
import { struct } from '../../../../src/wire/msgpack/struct.ts'
import { WireError } from '../../../../src/wire/wire-error.ts'
import { fromHex, readable, toHex } from '../../../support/vectors.ts'

const sample = struct({ count: 'u32', name: 'string', data: 'bytes', flag: 'bool' })

const key = { count: 'a5436f756e74', name: 'a44e616d65', data: 'a444617461', flag: 'a4466c6167' }

/** What Go's decoders take for the same value. */
const accepted: readonly [what: string, hex: string, expected: object][] = [
  ['raw', `81${key.name}a161`, { name: 'a' }],
  ['str8 for a string', `81${key.name}d90161`, { name: 'a' }],
  ['bin8 for a string, as go-msgpack 2 does', `81${key.name}c40161`, { name: 'a' }],
  ['str8 for a key', `81d9044e616d65a161`, { name: 'a' }],
  ['bin8 for bytes', `81${key.data}c40201ff`, { data: '01ff' }],
  ['bin16 for bytes', `81${key.data}c5000201ff`, { data: '01ff' }],
  ['raw16 for bytes', `81${key.data}da000201ff`, { data: '01ff' }],
  ['an array of integers for bytes', `81${key.data}9301ccff7f`, { data: '01ff7f' }],
  ['nil for anything', `83${key.name}c0${key.count}c0${key.data}c0`, {}],
  ['int8', `81${key.count}d07f`, { count: 127 }],
  ['int16', `81${key.count}d10190`, { count: 400 }],
  ['int32', `81${key.count}d200000190`, { count: 400 }],
  ['int64', `81${key.count}d30000000000000190`, { count: 400 }],
  ['uint64', `81${key.count}cf00000000ffffffff`, { count: 0xffffffff }],
  ['an integer for a boolean', `81${key.flag}01`, { flag: true }],
  [
    'an unknown key of any value',
    `82a15884a16190a16283c0c0c2c2c3c3a163cb0000000000000000a16400${key.count}05`,
    { count: 5 },
  ],
  ['a missing key', '80', {}],
  ['nil for the whole', 'c0', {}],
  [
    'an array in declaration order',
    '94 07 a161 a101 c3'.replaceAll(' ', ''),
    { count: 7, name: 'a', data: '01', flag: true },
  ],
  ['a short array', '9107', { count: 7 }],
  ['a long array', '9607a161a101c3c0a178', { count: 7, name: 'a', data: '01', flag: true }],
  ['map16', `de0001${key.count}05`, { count: 5 }],
]

const refused: readonly [what: string, hex: string, code: string][] = [
  ['a float for an integer', `81${key.count}cb4014000000000000`, 'malformed'],
  ['a negative number', `81${key.count}ff`, 'malformed'],
  ['a number out of range', `81${key.count}cf0000000100000000`, 'malformed'],
  ['an array for a string', `81${key.name}9161`, 'malformed'],
  ['an extension', `81a158d40100`, 'malformed'],
  ['a string that is not UTF-8', `81${key.name}a1ff`, 'malformed'],
  ['no map at all', 'a161', 'malformed'],
  ['a length beyond the end', `81${key.name}db0000010061`, 'truncated'],
  ['a map beyond the end', 'df000000ff', 'truncated'],
  ['a string of 4 GB', `81${key.name}dbffffffff61`, 'too-large'],
  ['a map of 4 billion fields', 'dfffffffff', 'too-large'],
  ['an unknown field of 65,535 numbers', `81a158dcffff${'01'.repeat(70_000)}`, 'too-large'],
  ['bytes as 65,535 numbers', `81${key.data}dcffff${'01'.repeat(70_000)}`, 'too-large'],
  ['deep nesting', `81a158${'91'.repeat(20)}c0`, 'too-deep'],
]

describe('msgpack', () => {
  for (const [what, hex, expected] of accepted) {
    it(`takes ${what}`, () => {
      const reader = new MsgpackReader(fromHex(hex))
      const zero = { count: 0, name: '', data: null, flag: false }
      expect(readable(sample.decode(reader))).to.deep.equal({ ...zero, ...expected })
      expect(reader.remaining).to.equal(0)
    })
  }

  for (const [what, hex, code] of refused) {
    it(`refuses ${what}`, () => {
      expect(() => sample.decode(new MsgpackReader(fromHex(hex))))
        .to.throw(WireError)
        .with.property('code', code)
    })
  }

  it('writes raw for strings and bytes of any length, nil for none', () => {
    const write = (data: Uint8Array | null) => toHex(new MsgpackWriter().byteArray(data).finish())
    expect(write(null)).to.equal('c0')
    expect(write(new Uint8Array())).to.equal('a0')
    expect(write(new Uint8Array(31)).slice(0, 2)).to.equal('bf')
    expect(write(new Uint8Array(32)).slice(0, 6)).to.equal('da0020')
    expect(write(new Uint8Array(65_535)).slice(0, 6)).to.equal('daffff')
    expect(write(new Uint8Array(65_536)).slice(0, 10)).to.equal('db00010000')
  })

  it('writes the integers of Go: unsigned at their shortest, int signed above 127', () => {
    const unsigned = [0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295]
    expect(unsigned.map((n) => toHex(new MsgpackWriter().unsigned(n).finish()))).to.deep.equal([
      '00',
      '7f',
      'cc80',
      'ccff',
      'cd0100',
      'cdffff',
      'ce00010000',
      'ceffffffff',
    ])
    const signed = [0, 127, 128, 32_767, 32_768, 2_147_483_647]
    expect(signed.map((n) => toHex(new MsgpackWriter().int(n).finish()))).to.deep.equal([
      '00',
      '7f',
      'd10080',
      'd17fff',
      'd200008000',
      'd27fffffff',
    ])
  })

  it('reads a name of any language unchanged', () => {
    const body = { count: 1, name: '\ufeffhôte-日本', data: null, flag: false }
    const writer = new MsgpackWriter()
    sample.encode(writer, body)
    expect(sample.decode(new MsgpackReader(writer.finish()))).to.deep.equal(body)
  })

  it('reads the short ping of old peers', () => {
    const ping = decodeMessage(fromHex('0082a44e6f6465a0a55365714e6f05'))
    expect(ping).to.deep.equal({
      type: 'ping',
      body: { seqNo: 5, node: '', sourceAddr: null, sourcePort: 0, sourceNode: '' },
    })
  })
})
