import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import { seededRandom } from 'memberlist-js'
import { MAX_REMEMBERED_NONCES } from '../../../../src/limits.ts'
import { decrypt, encrypt } from '../../../../src/wire/layers/crypt.ts'
import { ReplayFilter } from '../../../../src/wire/layers/replay-filter.ts'
import { SEED } from '../../../support/seed.ts'

const key = createSecretKey(new Uint8Array(16).fill(7))
const none = new Uint8Array()

/** A nonce as a sender that counts makes it: they differ at their end only. */
function counted(count: number): Uint8Array {
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setUint32(8, count)
  return nonce
}

describe('the memory against replay', () => {
  it('knows the last ones, half of it always, and forgets what is older than all of it', () => {
    const replays = new ReplayFilter()
    for (let i = 0; i < 4 * MAX_REMEMBERED_NONCES; i++) {
      const nonce = counted(i)
      expect(replays.has(nonce), `nonce ${i}`).to.equal(false)
      replays.add(nonce)
      if (i % 1000 !== 0) continue
      const kept = Math.max(0, i - MAX_REMEMBERED_NONCES + 1)
      expect([replays.has(counted(kept)), replays.has(nonce)]).to.deep.equal([true, true])
      const gone = i - 2 * MAX_REMEMBERED_NONCES
      if (gone >= 0) expect(replays.has(counted(gone))).to.equal(false)
    }
  })

  it('opens each message once', () => {
    const replays = new ReplayFilter()
    const random = seededRandom(SEED)
    const blobs = [0, 1, 2].map(() => encrypt(key, 1, random.bytes(12), Buffer.from('hi'), none))
    for (const blob of blobs) decrypt([key], blob, none, replays)
    for (const blob of blobs) {
      expect(() => decrypt([key], blob, none, replays))
        .to.throw()
        .with.property('code', 'replayed')
    }
  })

  it('is not filled by those who have no key', () => {
    const replays = new ReplayFilter()
    const blob = encrypt(key, 1, counted(1), Buffer.from('hi'), none)
    const forged = Uint8Array.from(blob)
    forged[20]! ^= 1
    expect(() => decrypt([key], forged, none, replays))
      .to.throw()
      .with.property('code', 'wrong-key')
    expect(Buffer.from(decrypt([key], blob, none, replays)).toString()).to.equal('hi')
  })
})
