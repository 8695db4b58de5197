import { expect } from 'chai'
import { once } from 'node:events'
import { connect } from 'node:net'
import { SocketTransport, type SocketAddress } from 'memberlist-js'
import { addressToBytes } from '../../src/socket-address.ts'
import { decodeBody, encodeMessage, type Message, type Ping } from '../../src/wire/messages.ts'
import { openPacket } from '../../src/wire/packet.ts'
import { openStream, sealStream } from '../../src/wire/stream-frame.ts'
import { eventually, pause, SerfAgent, skipWithoutSerf } from '../support/serf.ts'

const clear = { label: new Uint8Array(), skipLabelCheck: false, keys: [], verify: true }
const versions = Uint8Array.of(1, 5, 2, 2, 5, 4)

/** A peer made of nothing but the codec, to see how Go answers single messages. */
describe('single messages to a serf agent', function () {
  this.timeout(20_000)
  before(function () {
    skipWithoutSerf(this)
  })

  let alpha: SerfAgent
  let peer: SocketTransport
  let heard: Message[]
  const at: SocketAddress = { address: '127.77.1.1', port: 7946 }

  beforeEach(async () => {
    alpha = await SerfAgent.start('alpha', '127.77.1.1')
    peer = await SocketTransport.bind({ bindAddress: '127.77.1.9' })
    heard = []
    peer.onPacket((packet) => {
      openPacket(
        packet,
        clear,
        (message) => heard.push(message),
        (error) => expect.fail(error.code),
      )
    })
  })
  afterEach(async () => {
    await peer.close()
    await alpha[Symbol.asyncDispose]()
  })

  const send = (message: Message) => peer.send(encodeMessage(message), at)
  const ping = (changes: Partial<Ping> = {}): Message => ({
    type: 'ping',
    body: { seqNo: 7, node: 'alpha', sourceAddr: null, sourcePort: 0, sourceNode: '', ...changes },
  })
  /** Go keeps its old alive message in the queue beside the refutation. */
  const refutedWith = (incarnation: number) =>
    heard.some(
      (m) => m.type === 'alive' && m.body.node === 'alpha' && m.body.incarnation === incarnation,
    )
  const acks = () => heard.flatMap((m) => (m.type === 'ack' ? [m.body.seqNo] : []))

  /** Makes alpha take us for a member, so that it gossips to us. */
  const introduce = async () => {
    const { address, port } = peer.advertise
    const body = {
      incarnation: 1,
      node: 'peer',
      addr: addressToBytes(address),
      port,
      meta: null,
      vsn: versions,
    }
    send({ type: 'alive', body })
    await eventually('alpha knows us', async () => (await alpha.statusOf('peer')) === 'alive')
  }

  it('a ping is answered, a minimal one too, one for another name is not', async () => {
    send(ping())
    await eventually('the ack', () => acks().includes(7))
    send(ping({ seqNo: 8, node: '' }))
    await eventually('the second ack', () => acks().includes(8))
    send(ping({ seqNo: 9, node: 'omega' }))
    await pause(300)
    expect(acks()).to.deep.equal([7, 8])
  })

  it('an accusation is refuted above it', async () => {
    await introduce()
    send({ type: 'suspect', body: { incarnation: 1, node: 'alpha', from: 'peer' } })
    await eventually('the refutation', () => refutedWith(2))
    send({ type: 'dead', body: { incarnation: 40, node: 'alpha', from: 'peer' } })
    await eventually('the second refutation', () => refutedWith(41))
  })

  it('pings for us: an ack from the living, a nack for the silent', async () => {
    const beta = await SerfAgent.start('beta', '127.77.1.2', '-join=127.77.1.1')
    const ask = (seqNo: number, target: string, node: string, nack: boolean) =>
      send({
        type: 'indirectPing',
        body: {
          ...(ping({ seqNo }).body as Ping),
          target: addressToBytes(target),
          port: 7946,
          node,
          nack,
        },
      })
    ask(11, '127.77.1.2', 'beta', true)
    ask(12, '127.77.1.8', 'nobody', true)
    ask(13, '127.77.1.8', 'nobody', false)
    await eventually('the ack', () => acks().includes(11))
    await eventually('the nack', () => heard.some((m) => m.type === 'nack' && m.body.seqNo === 12))
    await pause(200)
    expect(heard.filter((m) => m.type === 'nack').length).to.equal(1)
    await beta[Symbol.asyncDispose]()
  })

  it('pings over TCP are answered, compressed', async () => {
    const socket = connect({ host: at.address, port: at.port })
    await once(socket, 'connect')
    const options = { label: new Uint8Array(), compress: false }
    socket.write(sealStream(encodeMessage(ping({ seqNo: 21 })), { ...options, dialler: true }))
    const { type, reader } = await openStream(socket as AsyncIterable<Uint8Array>, {
      ...clear,
      dialler: true,
    })
    const reply = await reader.record((record) => decodeBody(type, record))
    expect(reply).to.deep.equal({ type: 'ack', body: { seqNo: 21, payload: null } })
  })

  it('a member of another version range stays out of the cluster of ours', async () => {
    const { realMember } = await import('../support/real-member.ts')
    const apart = await realMember('apart', '127.77.1.5', { delegateVersions: [16, 16, 16] })
    const { contacted, errors } = await apart.join([at.address])
    await apart.close()
    expect(contacted).to.equal(0)
    expect(errors[0]!.message).to.match(/speaks delegate version/)
    expect(await alpha.statusOf('apart')).to.equal(undefined)
  })
})
