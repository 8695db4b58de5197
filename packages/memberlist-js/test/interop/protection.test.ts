import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Keyring, SocketTransport, type Memberlist, type MemberlistOptions } from 'memberlist-js'
import { present } from '../support/cluster.ts'
import { realMember } from '../support/real-member.ts'
import { eventually, pause, SerfAgent, skipWithoutSerf } from '../support/serf.ts'

const keys = {
  'AES-128': new Uint8Array(16).map((_, i) => i),
  'AES-192': new Uint8Array(24).map((_, i) => 3 * i),
  'AES-256': new Uint8Array(32).map((_, i) => 7 * i),
}

const base64 = (key: Uint8Array) => Buffer.from(key).toString('base64')

describe('encrypted and compressed with serf', function () {
  this.timeout(60_000)
  before(function () {
    skipWithoutSerf(this)
  })

  let alpha: SerfAgent | undefined
  let ours: Memberlist | undefined
  afterEach(async () => {
    await ours?.close()
    await alpha?.[Symbol.asyncDispose]()
  })

  const begin = async (flags: string[], options: Partial<MemberlistOptions>) => {
    alpha = await SerfAgent.start('alpha', '127.77.2.1', ...flags)
    ours = await realMember('ours', '127.77.2.2', options)
    return await ours.join(['127.77.2.1'])
  }
  /** Each probes the other for a while without complaint. */
  const thrives = async () => {
    await eventually(
      'it holds us for alive',
      async () => (await alpha!.statusOf('ours')) === 'alive',
    )
    await pause(2500)
    expect(present(ours!)).to.deep.equal(['alpha', 'ours'])
    expect(await alpha!.statusOf('ours')).to.equal('alive')
    expect(ours!.counters).to.deep.equal({})
    expect(alpha!.log).not.to.match(/\[ERR\]/)
  }

  for (const [name, key] of Object.entries(keys)) {
    it(`${name} with the same key`, async () => {
      const { contacted } = await begin([`-encrypt=${base64(key)}`], {
        keyring: new Keyring([key]),
      })
      expect(contacted).to.equal(1)
      await thrives()
    })
  }

  it('encryption version 0, as old speakers have it', async () => {
    const key = keys['AES-128']
    const config = { encryptionVersion: 0 as const }
    const { contacted } = await begin([`-encrypt=${base64(key)}`], {
      keyring: new Keyring([key]),
      config,
    })
    expect(contacted).to.equal(1)
    await thrives()
  })

  it('any key of our ring is understood', async () => {
    const keyring = new Keyring([keys['AES-128'], keys['AES-256']])
    keyring.use(keys['AES-256'])
    const { contacted } = await begin([`-encrypt=${base64(keys['AES-256'])}`], { keyring })
    expect(contacted).to.equal(1)
    await thrives()
  })

  it('our primary key changes while it runs, and theirs stays', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'serf-'))
    const file = join(directory, 'keys')
    writeFileSync(file, JSON.stringify([keys['AES-128'], keys['AES-256']].map(base64)))
    try {
      const keyring = new Keyring([keys['AES-128']])
      await begin([`-keyring-file=${file}`], { keyring })
      await thrives()
      keyring.add(keys['AES-256'])
      keyring.use(keys['AES-256'])
      await thrives()
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('packets of theirs that come twice are dropped once, and nothing else changes', async () => {
    const key = keys['AES-256']
    const transport = await SocketTransport.bind({ bindAddress: '127.77.2.2' })
    const onPacket = transport.onPacket.bind(transport)
    let packets = 0
    transport.onPacket = (receive) =>
      onPacket((packet, from, at) => {
        packets++
        receive(Uint8Array.from(packet), from, at)
        receive(packet, from, at)
      })
    await begin([`-encrypt=${base64(key)}`], { transport, keyring: new Keyring([key]) })
    await pause(5000)
    expect(present(ours!)).to.deep.equal(['alpha', 'ours'])
    expect(packets).to.be.greaterThan(10)
    expect(ours!.counters).to.deep.equal({ 'packet-replayed': packets })
    expect(alpha!.log).not.to.match(/\[ERR\]/)
  })

  it('the wrong key keeps both apart', async () => {
    const keyring = new Keyring([keys['AES-256']])
    const { contacted, errors } = await begin([`-encrypt=${base64(keys['AES-128'])}`], { keyring })
    expect(contacted).to.equal(0)
    expect(errors).to.have.length(1)
    await pause(1000)
    expect(await alpha!.statusOf('ours')).to.equal(undefined)
    expect(present(ours!)).to.deep.equal(['ours'])
  })

  it('no key where one is needed, and a key where none is', async () => {
    const plain = await begin([`-encrypt=${base64(keys['AES-128'])}`], {})
    expect(plain.errors[0]!.message).to.match(/the stream is encrypted and no key is configured/)
    await ours!.close()
    await alpha![Symbol.asyncDispose]()
    const keyed = await begin([], { keyring: new Keyring([keys['AES-128']]) })
    // Go answers in clear, which we do not read for an answer.
    expect(keyed.errors[0]!.message).to.match(/encryption is configured but the stream is in clear/)
  })

  for (const compression of ['none', 'streams', 'all'] as const) {
    it(`we compress ${compression}`, async () => {
      const { contacted } = await begin([], { config: { compression } })
      expect(contacted).to.equal(1)
      await thrives()
    })
  }

  it('they do not compress', async () => {
    const { contacted } = await begin(['-disable-compression'], { config: { compression: 'all' } })
    expect(contacted).to.equal(1)
    await thrives()
  })
})
