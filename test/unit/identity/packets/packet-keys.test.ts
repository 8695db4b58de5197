import { expect } from 'chai'
import {
  controlKey,
  dataKey,
  hintOf,
  proofOf,
} from '../../../../src/identity/packets/packet-keys.ts'

const byte = (value: number): Uint8Array => Uint8Array.of(value)

describe('identity/packet-keys', () => {
  it('are others for each epoch, pair, session, sender and purpose', () => {
    const all = [0, 1, 2, 3, 4, 5].flatMap((changed) => {
      const of = (which: number): Uint8Array => byte(which === changed ? 9 : which)
      const scope = { session: of(1), sender: of(2), counter: 7 }
      const data = dataKey(of(3), of(4), scope, of(5)).export()
      const proof = proofOf(of(3), of(4), scope, of(5), byte(6))
      return [data.toString('hex'), proof.toString('hex')]
    })
    const scope = { session: byte(1), sender: byte(2) }
    all.push(controlKey(byte(3), scope).export().toString('hex'))
    all.push(controlKey(Uint8Array.of(3, 4), scope).export().toString('hex'))
    all.push(hintOf(byte(3), scope, byte(5)).toString('hex'))
    expect(new Set(all).size).to.equal(all.length)
  })
})
