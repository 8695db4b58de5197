import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import { Keyring, type Memberlist, type Transport } from 'memberlist-js'
import { addChecksum } from '../../../src/wire/layers/checksum.ts'
import { compress } from '../../../src/wire/layers/compress.ts'
import { addLabel } from '../../../src/wire/layers/label.ts'
import { encodeMessage } from '../../../src/wire/messages.ts'
import { sealPacket } from '../../../src/wire/packet.ts'
import { bytes, Cluster, endpointOf, present, record } from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'

const secret = new Uint8Array(32).fill(1)
const label = bytes('blue')
const user = encodeMessage({ type: 'user', body: bytes('believe me') })
const nobody = { node: 'nobody', incarnation: 1, port: 7946, meta: null }
const versions = Uint8Array.of(1, 5, 2, 2, 5, 4)
const alive = (changes: object): Uint8Array =>
  encodeMessage({
    type: 'alive',
    body: { ...nobody, addr: Uint8Array.of(10, 0, 0, 99), vsn: versions, ...changes },
  })

let lastNonce = 0
/** As a member with this key would send it. */
function sealed(message: Uint8Array, key = secret, under = label): Uint8Array {
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setUint32(0, ++lastNonce)
  const encryption = { key: createSecretKey(key), version: 1 as const, nonce }
  return sealPacket(message, { label: under, compress: false, checksum: false, encryption })
}
const damaged = (packet: Uint8Array, at: number): Uint8Array =>
  packet.map((byte, i) => (i === at ? byte ^ 2 : byte))
const copy = sealed(encodeMessage({ type: 'nack', body: { seqNo: 1 } }))

/** What a member with a key and a label drops, and under which name it counts it. */
const keyed: readonly (readonly [what: string, packets: Uint8Array[], counter: string])[] = [
  ['an empty packet', [new Uint8Array()], 'packet-bad-label'],
  ['one without the label', [sealed(user, secret, new Uint8Array())], 'packet-bad-label'],
  ['one with another label', [sealed(user, secret, bytes('red'))], 'packet-bad-label'],
  ['one under a wrong key', [sealed(user, new Uint8Array(32))], 'packet-wrong-key'],
  ['one whose cipher text was changed', [damaged(sealed(user), 25)], 'packet-wrong-key'],
  ['one whose nonce was changed', [damaged(sealed(user), 8)], 'packet-wrong-key'],
  ['one that is cut', [sealed(user).subarray(0, 30)], 'packet-truncated'],
  ['one in clear text', [addLabel(user, label)], 'packet-malformed'],
  ['one of an unknown encryption', [damaged(sealed(user), 6)], 'packet-malformed'],
  ['one that comes again', [copy, copy], 'packet-replayed'],
  ['an oversized one', [sealed(compress(new Uint8Array(2 << 20)))], 'packet-too-large'],
  ['one of an unknown type', [sealed(Uint8Array.of(99))], 'packet-unknown-type'],
  ['an empty message', [sealed(new Uint8Array())], 'packet-truncated'],
  ['a message that is none', [sealed(Uint8Array.of(4, 0xff))], 'packet-malformed'],
  ['a member without an address', [sealed(alive({ addr: null }))], 'alive-malformed'],
  ['a member without a name', [sealed(alive({ node: '' }))], 'alive-malformed'],
  ['a name of 256 bytes', [sealed(alive({ node: 'x'.repeat(256) }))], 'alive-malformed'],
  ['meta of 513 bytes', [sealed(alive({ meta: new Uint8Array(513) }))], 'alive-malformed'],
  ['a member of other versions', [sealed(alive({ vsn: null }))], 'alive-incompatible'],
]
/** The same for a member without either. */
const open: typeof keyed = [
  ['a wrong checksum', [damaged(addChecksum(user), 2)], 'packet-bad-crc'],
  ['a label', [addLabel(user, label)], 'packet-bad-label'],
  ['an oversized packet', [compress(new Uint8Array(2 << 20))], 'packet-too-large'],
  ['a packet that is cut', [alive({}).subarray(0, 40)], 'packet-truncated'],
]

describe(`refused, counted and not answered (SEED=${SEED})`, () => {
  let cluster: Cluster
  let outsider: Transport
  let answers: number
  beforeEach(() => {
    cluster = new Cluster(SEED)
    outsider = cluster.network.transport({ address: '10.9.9.9', port: 1 })
    answers = 0
    outsider.onPacket(() => answers++)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  async function refuses(list: Memberlist, packets: Uint8Array[], counter: string) {
    const seen = record(list)
    list.on('message', () => seen.push('message'))
    for (const packet of packets) outsider.send(packet, endpointOf(0))
    await cluster.clock.advance(100)
    expect(list.counters[counter], counter).to.equal(1)
    expect([seen, present(list), answers]).to.deep.equal([[], ['m0'], 0])
  }

  for (const [what, packets, counter] of keyed) {
    it(`with a key: ${what}`, async () => {
      const keyring = new Keyring([secret])
      await refuses(cluster.add({ keyring, label: 'blue' }), packets, counter)
    })
  }
  for (const [what, packets, counter] of open) {
    it(`in the open: ${what}`, async () => await refuses(cluster.add(), packets, counter))
  }

  it('what is well made is believed', async () => {
    const list = cluster.add({ keyring: new Keyring([secret]), label: 'blue' })
    outsider.send(sealed(alive({})), endpointOf(0))
    await cluster.clock.advance(100)
    expect(present(list)).to.deep.equal(['m0', 'nobody'])
  })
})
