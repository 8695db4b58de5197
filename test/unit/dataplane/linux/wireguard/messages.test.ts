import { expect } from 'chai'
import fc from 'fast-check'
import { MessageWriter, readMessages } from '../../../../../src/dataplane/linux/netlink/message.ts'
import {
  readDevice,
  setDevice,
  setPeers,
} from '../../../../../src/dataplane/linux/wireguard/messages.ts'
import { peerChanges } from '../../../../../src/dataplane/linux/wireguard/peer-changes.ts'
import type { ActualWireGuardPeer, WireGuardPeer } from '../../../../../src/dataplane/wireguard.ts'
import { type Ip, ipBits, ipFromBytes } from '../../../../../src/net/ip.ts'

const device = { family: 32, name: 'wg0' }

const key = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((byte) => byte !== 0))
  .map((bytes) => Buffer.from(bytes).toString('base64'))
const ip4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => ipFromBytes(bytes)!)
const ip6 = fc
  .uint8Array({ minLength: 15, maxLength: 15 })
  .map((bytes) => ipFromBytes(Uint8Array.of(0xfd, ...bytes))!)
const peers = fc.uniqueArray(
  fc.record<WireGuardPeer>({
    publicKey: key,
    presharedKey: fc.option(key),
    endpoint: fc.record({ ip: fc.oneof(ip4, ip6), port: fc.integer({ min: 1, max: 65_535 }) }),
    vtep: fc.oneof(ip4, ip6),
    keepaliveSeconds: fc.integer({ min: 0, max: 65_535 }),
  }),
  { selector: ({ publicKey }) => publicKey, maxLength: 20 },
)

/** As the kernel would have the peer, had nothing been received. */
function actualOf({ vtep, ...peer }: WireGuardPeer): ActualWireGuardPeer {
  const counts = { lastHandshakeSeconds: 0, receivedBytes: 0, sentBytes: 0 }
  return { ...peer, allowed: [`${vtep}/${ipBits(vtep)}`], ...counts }
}

function written(request: ReturnType<typeof setPeers>): Buffer {
  const writer = new MessageWriter()
  writer.message(request, 0, 1)
  return Buffer.from(writer.bytes)
}

describe('messages of WireGuard', () => {
  it('have the layout of the kernel', () => {
    const peer: WireGuardPeer = {
      publicKey: Buffer.alloc(32, 0xaa).toString('base64'),
      presharedKey: null,
      endpoint: { ip: '192.0.2.7' as Ip, port: 51_820 },
      vtep: '198.18.0.7' as Ip,
      keepaliveSeconds: 25,
    }
    const header = '0000000020000000010000000000000001010000'
    const name = '0800020077673000'
    const attributes =
      `24000100${'aa'.repeat(32)}` +
      '0800030002000000' +
      `24000200${'00'.repeat(32)}` +
      '14000400' +
      '0200ca6cc00002070000000000000000' +
      '0600050019000000' +
      '20000980' +
      '1c000080' +
      '0600010002000000' +
      '08000200c6120007' +
      '0500030020000000'
    const nested = (type: string, body: string): string =>
      Buffer.from([body.length / 2 + 4, 0]).toString('hex') + type + body
    const list = nested('0880', nested('0080', attributes))
    expect(
      written(setPeers(device, [{ op: 'set', peer }]))
        .toString('hex')
        .slice(8),
    ).to.equal((header + name + list).slice(8))
  })

  it('are read as they were written, in one message or two', () => {
    fc.assert(
      fc.property(peers, fc.nat(20), (wanted, cut) => {
        const [first, second] = [wanted.slice(0, cut), wanted.slice(cut)]
        const sets = [first, second].map((some) =>
          setPeers(
            device,
            some.map((peer) => ({ op: 'set', peer })),
          ),
        )
        const messages = sets.flatMap((request) => readMessages(written(request)))
        expect(readDevice(messages).peers).to.deep.equal(wanted.map(actualOf))
      }),
    )
  })

  it('join the allowed addresses of a peer that goes on in the next message', () => {
    const [a] = fc.sample(
      peers.filter((some) => some.length > 0),
      1,
    )[0]!
    const requests = [a!, { ...a!, vtep: '198.18.9.9' as Ip }].map((peer) =>
      setPeers(device, [{ op: 'set', peer }]),
    )
    const read = readDevice(requests.flatMap((request) => readMessages(written(request))))
    expect(read.peers.map(({ allowed }) => allowed.length)).to.deep.equal([2])
  })

  it('carry the private key to the kernel and nowhere else', () => {
    const privateKey = Buffer.alloc(32, 0x55).toString('base64')
    const request = setDevice(device, privateKey, 51_820)
    expect(request.what).to.equal('configuring WireGuard device wg0')
    expect(written(request).toString('hex')).to.contain('55'.repeat(32))
    expect(readDevice(readMessages(written(request)))).to.not.have.property('privateKey')
  })
})

describe('changes of peers', () => {
  it('lead from any peers to the wanted ones, and are none where all is right', () => {
    fc.assert(
      fc.property(peers, peers, (before, wanted) => {
        const table = new Map(before.map((peer) => [peer.publicKey, actualOf(peer)]))
        for (const change of peerChanges(wanted, [...table.values()]))
          if (change.op === 'set') table.set(change.peer.publicKey, actualOf(change.peer))
          else table.delete(change.publicKey)
        const expected = new Map(wanted.map((peer) => [peer.publicKey, actualOf(peer)]))
        expect(table).to.deep.equal(expected)
        expect(peerChanges(wanted, [...table.values()])).to.deep.equal([])
      }),
    )
  })

  it('repair a peer that differs in any one field', () => {
    const [peer] = fc.sample(
      peers.filter((some) => some.length > 0),
      1,
    )[0]!
    const right = actualOf(peer!)
    const drifts: Partial<ActualWireGuardPeer>[] = [
      { presharedKey: Buffer.alloc(32, 1).toString('base64') },
      { endpoint: null },
      { endpoint: { ip: peer!.endpoint.ip, port: (peer!.endpoint.port % 65_535) + 1 } },
      { keepaliveSeconds: (peer!.keepaliveSeconds + 1) % 65_536 },
      { allowed: [] },
      { allowed: [...right.allowed, '0.0.0.0/0'] },
    ]
    for (const drift of drifts)
      expect(peerChanges([peer!], [{ ...right, ...drift }]), JSON.stringify(drift)).to.have.length(
        1,
      )
  })
})
