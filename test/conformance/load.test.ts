import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { expect } from 'chai'
import { Metrics } from '../../src/admin/metrics.ts'
import { adminRoutes } from '../../src/admin/admin-routes.ts'
import { addressSpaces } from '../../src/net/pool-id.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'

function id(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

describe('the whole plugin, under load', () => {
  let subject: ServerUnderTest
  let lone: LonePlugin
  let engine: FakeEngine

  beforeEach(async () => {
    lone = await startLonePlugin()
    const hostRoutes = adminRoutes({
      status: () => lone.plugin.status(),
      events: () => [],
      views: async () => ({}),
      metrics: new Metrics(() => []),
      illness: () => null,
      diagnosis: lone.plugin.diagnosis,
      evict: (members, options) => lone.plugin.ipam.evict(members, options),
      invite: async () => '',
      rotateKeys: async () => 1,
      rotateWireGuard: async () => 'public',
      recover: async () => '',
      addSubnet: async () => {},
      dropNetwork: (id) => lone.plugin.network.dropNetwork(id),
    })
    const { handlers } = lone.plugin
    subject = await startServer({ introduction: { addressSpaces }, handlers, hostRoutes })
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
  })
  afterEach(async () => {
    engine.close()
    await subject.dispose()
    await lone.plugin.stop()
    expect(subject.bugs).to.deep.equal([])
  })

  const call = (name: string, body: object) => engine.call(name, JSON.stringify(body))

  it('answers 500 calls at once: good ones, bad ones, empty ones and unknown ones', async () => {
    const space = addressSpaces.local
    const { PoolID, Pool } = await call('IpamDriver.RequestPool', {
      AddressSpace: space,
      Pool: '10.10.0.0/16',
    })
    await call('NetworkDriver.CreateNetwork', {
      NetworkID: id('n'),
      Options: { 'com.docker.network.generic': {} },
      IPv4Data: [{ AddressSpace: space, Pool, Gateway: '10.10.0.1/16' }],
    })
    const one = async (n: number): Promise<string> => {
      if (n % 5 === 1) return `${(await engine.send('NetworkDriver.Join', null)).status}`
      if (n % 5 === 2) return `${(await engine.send(`NetworkDriver.No${n}`, '{}')).status}`
      if (n % 5 === 3) return `${(await engine.send('NetworkDriver.Join', '{"x":')).status}`
      if (n % 5 === 4) return `${(await engine.send('IpamDriver.GetCapabilities', null)).status}`
      const { Address } = await call('IpamDriver.RequestAddress', { PoolID, Address: '' })
      const endpoint = { NetworkID: id('n'), EndpointID: id(`e${n}`) }
      await call('NetworkDriver.CreateEndpoint', {
        ...endpoint,
        Interface: { Address, AddressIPv6: '', MacAddress: '' },
      })
      await call('NetworkDriver.Join', { ...endpoint, SandboxKey: '/x' })
      return String(Address)
    }
    const answers = await Promise.all(Array.from({ length: 500 }, (_, n) => one(n)))
    const count = (wanted: string): number => answers.filter((text) => text === wanted).length
    expect([count('400'), count('404'), count('500'), count('200')]).to.deep.equal([
      100, 100, 100, 100,
    ])
    expect(new Set(answers.filter((text) => text.includes('/'))).size).to.equal(100)
    expect(lone.plugin.status().overlays[0]!.endpoints).to.have.length(100)
  })

  it('repeats of what it was asked only so much as a person reads', async () => {
    const long = 'x'.repeat(1024 * 1024)
    const body = {
      NetworkID: id('n'),
      Options: { 'com.docker.network.generic': { [long]: '\u001b[2J' } },
      IPv4Data: [{ AddressSpace: '', Pool: '10.10.0.0/16' }],
    }
    const bodies = [body, { ...body, NetworkID: long }, { NetworkID: '\u001b[2J\n' }]
    for (const each of bodies) {
      const { status, text } = await engine.send(
        'NetworkDriver.CreateNetwork',
        JSON.stringify(each),
      )
      expect(status).to.equal(500)
      expect(text.length).to.be.below(5000)
    }
    for (const line of subject.log) {
      expect(line.length).to.be.below(4100)
      // oxlint-disable-next-line no-control-regex
      expect(line).to.not.match(/[\u0000-\u001f]/)
    }
  })

  /** An admin request with the path as it is. */
  function ask(method: string, path: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: subject.legacy, method, path }, (answer) => {
        let text = ''
        answer.on('data', (part: Buffer) => (text += part.toString()))
        answer.on('end', () => resolve({ status: answer.statusCode!, text }))
      })
      call.once('error', reject)
      call.end()
    })
  }

  it('refuses to forget members whose names make no sense, in JSON', async () => {
    const names = [
      'nobody',
      ',',
      'a,,b',
      '%00',
      '%1b%5b2J',
      '..%2f..',
      '__proto__',
      'alone',
      '%F0%9F',
    ]
    for (const name of [...names, 'x'.repeat(8000), Array(2000).fill('a').join(',')]) {
      const { status, text } = await ask('DELETE', `/members/${name}`)
      expect(status, name.slice(0, 40)).to.be.oneOf([400, 404, 409, 500])
      expect(Object.keys(JSON.parse(text) as object), name.slice(0, 40)).to.have.length.above(0)
      expect(text.length).to.be.below(5000)
      // oxlint-disable-next-line no-control-regex
      expect(text).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    }
    for (const [method, path] of [
      ['POST', '/status'],
      ['DELETE', '/status'],
      ['GET', '/members/alone'],
      ['GET', '/../status'],
      ['GET', '/status/'],
    ] as const)
      expect((await ask(method, path)).status, `${method} ${path}`).to.be.oneOf([200, 404])
  })
})
