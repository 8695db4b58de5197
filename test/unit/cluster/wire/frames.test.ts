import { expect } from 'chai'
import fc from 'fast-check'
import { CodecError } from '../../../../src/base/bytes.ts'
import type { Coverage } from '../../../../src/cluster/log/coverage.ts'
import { epochLimit } from '../../../../src/cluster/log/own-epoch.ts'
import {
  type Frame,
  decodeMessage,
  encodeFrame,
  encodeMessage,
} from '../../../../src/cluster/wire/frames.ts'
import { decodeMeta, encodeMeta } from '../../../../src/cluster/wire/piggyback.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { delta, epoch, oid } from '../arbitraries.ts'

const version = fc.nat({ max: 2 ** 31 - 1 })
const head = fc
  .record({ oid, epoch, prefix: version, more: version })
  .map(({ more, ...rest }) => ({ ...rest, head: rest.prefix + more }))
const coverage: fc.Arbitrary<Coverage> = fc
  .tuple(
    version,
    fc.array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 99 })), {
      maxLength: 64,
    }),
  )
  .map(([prefix, steps]) => {
    let at = prefix
    const above = steps.map(([gap, length]) => {
      const from = at + gap
      at = from + length
      return { from, to: at }
    })
    return { prefix, above }
  })
const id = fc.nat({ max: 2 ** 31 - 1 }).map((n) => n * 1000)
const body = fc.json()
const leaveSignature = fc.constantFrom('', 's'.repeat(64))

const frame: fc.Arbitrary<Frame> = fc.oneof(
  delta.map((each): Frame => ({ kind: 'delta', delta: each })),
  fc
    .uint8Array({ minLength: 512, maxLength: 512 })
    .map((bytes): Frame => ({ kind: 'digest', buckets: Buffer.from(bytes) })),
  fc.record({
    kind: fc.constant('summaries' as const),
    answer: fc.boolean(),
    buckets: fc.uniqueArray(fc.nat({ max: 63 })),
    summaries: fc.array(head),
  }),
  fc.record({
    kind: fc.constant('deltaRequest' as const),
    requests: fc.array(fc.record({ oid, epoch, coverage }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('transfer' as const),
    state: fc.constantFrom('more' as const, 'done' as const, 'busy' as const),
  }),
  fc.record({ kind: fc.constant('leave' as const), oid, epoch, signature: leaveSignature }),
  fc.record({ kind: fc.constant('request' as const), id, channel: fc.string(), body }),
  fc.record({ kind: fc.constant('answer' as const), id, ok: fc.boolean(), body }),
)

function messageOf(sender: string, frames: readonly Frame[]): Uint8Array {
  return encodeMessage(sender, frames.map(encodeFrame))
}

describe('cluster/frames', () => {
  it('reads back every message', () => {
    fc.assert(
      fc.property(oid, fc.array(frame, { maxLength: 6 }), (sender, frames) => {
        expect(decodeMessage(messageOf(sender, frames))).to.deep.equal({ sender, frames })
      }),
    )
  })

  it('begins with our byte and the version of the format', () => {
    expect([...messageOf('sender-1', []).subarray(0, 2)]).to.deep.equal([0x4f, 2])
  })

  it('leaves alone what is not of this format', () => {
    for (const bytes of [[], [0x4f], [0x4f, 1, 0], [1, 2, 3]]) {
      expect(decodeMessage(Uint8Array.from(bytes))).to.equal(null)
    }
  })

  it('skips frames of kinds that a later release may have', () => {
    const leave: Frame = { kind: 'leave', oid: 'origin-1', epoch: 5, signature: '' }
    const unknown = Uint8Array.of(99, 3, 1, 2, 3)
    const bytes = encodeMessage('sender-1', [unknown, encodeFrame(leave)])
    expect(decodeMessage(bytes)?.frames).to.deep.equal([leave])
  })

  it('throws nothing but CodecError at bytes that were cut or changed', () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }), cut: fc.option(fc.nat()) })
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 4 }),
        change,
        (frames, { at, to, cut }) => {
          const bytes = messageOf('sender-1', frames)
          bytes[2 + (at % (bytes.length - 2))] = to
          try {
            decodeMessage(cut === null ? bytes : bytes.subarray(0, cut % bytes.length))
          } catch (error) {
            expect(error).to.be.instanceOf(CodecError)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('refuses epochs that their owner could not rise above, in whatever they come', () => {
    const coverage: Coverage = { prefix: 0, above: [] }
    for (const [epoch, fine] of [
      [epochLimit - 1, true],
      [epochLimit, false],
    ] as const) {
      const about = { oid: 'origin-1', epoch }
      const bare = { floor: 0, head: 0, reset: null, repair: false, ranges: [] }
      const frames: Frame[] = [
        { kind: 'delta', delta: { ...about, ...bare } },
        {
          kind: 'summaries',
          answer: true,
          buckets: [1],
          summaries: [{ ...about, prefix: 0, head: 0 }],
        },
        { kind: 'deltaRequest', requests: [{ ...about, coverage }] },
        { kind: 'leave', ...about, signature: '' },
      ]
      for (const each of frames) {
        const decode = (): unknown => decodeMessage(messageOf('sender-1', [each]))
        if (fine) expect(decode()).to.deep.equal({ sender: 'sender-1', frames: [each] })
        else expect(decode, each.kind).to.throw(CodecError, 'epoch')
      }
      const meta = decodeMeta(encodeMeta({ epoch, address: '192.0.2.1' as Ip }))
      expect(meta !== null, 'metadata').to.equal(fine)
    }
  })

  it('throws nothing but CodecError at noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          decodeMessage(Uint8Array.of(0x4f, 2, ...noise))
        } catch (error) {
          expect(error).to.be.instanceOf(CodecError)
        }
      }),
      { numRuns: 3000 },
    )
  })
})
