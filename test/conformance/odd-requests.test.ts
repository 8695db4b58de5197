import { createConnection } from 'node:net'
import { expect } from 'chai'
import fc from 'fast-check'
import { FakeEngine } from '../support/fake-engine.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'
import { type HandledCall, recordingHandlers } from '../support/recording-handlers.ts'

const [networkId, endpointId] = ['4'.repeat(64), 'e'.repeat(64)]
const endpoint = { NetworkID: networkId, EndpointID: endpointId }
const ipamData = {
  AddressSpace: 'here',
  Pool: '10.0.0.0/24',
  Gateway: '10.0.0.1/24',
  AuxAddresses: { printer: '10.0.0.5/24' },
}
const poolId = 'here 10.0.0.0/24'

/** A good body for each method that needs arguments, with every field that is looked at. */
const goodBodies: Readonly<Record<string, object>> = {
  'NetworkDriver.CreateNetwork': {
    NetworkID: networkId,
    Options: {
      'com.docker.network.generic': { vni: '4097' },
      'com.docker.network.internal': true,
    },
    IPv4Data: [ipamData],
    IPv6Data: [{ AddressSpace: 'here', Pool: 'fd00::/64', Gateway: 'fd00::1/64' }],
  },
  'NetworkDriver.DeleteNetwork': { NetworkID: networkId },
  'NetworkDriver.AllocateNetwork': {
    NetworkID: networkId,
    Options: { zz: '1' },
    IPv4Data: [{ AddressSpace: '', Pool: '10.93.0.0/24', Gateway: '10.93.0.1/24' }],
    IPv6Data: null,
  },
  'NetworkDriver.FreeNetwork': { NetworkID: networkId },
  'NetworkDriver.CreateEndpoint': {
    ...endpoint,
    Interface: {
      Address: '10.0.0.7/24',
      AddressIPv6: 'fd00::7/64',
      MacAddress: '02:42:0a:00:00:07',
    },
    Options: {},
  },
  'NetworkDriver.DeleteEndpoint': endpoint,
  'NetworkDriver.Join': { ...endpoint, SandboxKey: '/var/run/docker/netns/0fa3f61fbd90' },
  'NetworkDriver.Leave': endpoint,
  'NetworkDriver.EndpointOperInfo': endpoint,
  'NetworkDriver.ProgramExternalConnectivity': endpoint,
  'NetworkDriver.RevokeExternalConnectivity': endpoint,
  'NetworkDriver.DiscoverNew': {
    DiscoveryType: 1,
    DiscoveryData: { Address: '192.0.2.7', Self: true },
  },
  'NetworkDriver.DiscoverDelete': {
    DiscoveryType: 1,
    DiscoveryData: { Address: 'fd00::7', Self: false },
  },
  'IpamDriver.RequestPool': {
    AddressSpace: 'here',
    Pool: '10.0.0.0/24',
    SubPool: '10.0.0.128/25',
    Options: { overlay: 'x' },
    V6: false,
  },
  'IpamDriver.ReleasePool': { PoolID: poolId },
  'IpamDriver.RequestAddress': {
    PoolID: poolId,
    Address: '10.0.0.7',
    Options: { RequestAddressType: 'com.docker.network.gateway' },
  },
  'IpamDriver.ReleaseAddress': { PoolID: poolId, Address: '10.0.0.7' },
}

const introductions = [
  'Plugin.Activate',
  'NetworkDriver.GetCapabilities',
  'IpamDriver.GetCapabilities',
  'IpamDriver.GetDefaultAddressSpaces',
]

type Path = readonly (string | number)[]

/** The place of every value inside `value`, of objects and lists too. */
function pathsOf(value: unknown, here: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [here]
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
  return [
    here,
    ...[...keys].flatMap((key) =>
      pathsOf((value as Record<string | number, unknown>)[key], [...here, key]),
    ),
  ]
}

/** A copy of `value` with `other` at that place. */
function withValue(value: unknown, [key, ...rest]: Path, other: unknown): unknown {
  if (key === undefined) return other
  const copy = structuredClone(value) as Record<string | number, unknown>
  copy[key] = withValue(copy[key], rest, other)
  return copy
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value)
}

/** Values of every JSON type but null, which stands for an absent one. */
const anyOfEachType = ['?', 5, true, [7], { odd: [] }]

function typeOf(value: unknown): string {
  return Array.isArray(value) ? 'list' : typeof value
}

describe('odd requests', () => {
  let subject: ServerUnderTest
  let engine: FakeEngine
  let handled: HandledCall[]

  beforeEach(async () => {
    handled = []
    subject = await startServer({ handlers: recordingHandlers(handled) })
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
  })
  afterEach(async () => {
    engine.close()
    await subject.dispose()
    expect(subject.bugs).to.deep.equal([])
  })

  /** The message of a reply that must be an error with both keys, and must have changed nothing. */
  async function refused(name: string, body: string | null, status = 500): Promise<string> {
    const reply = await engine.send(name, body)
    const answer = JSON.parse(reply.text) as { Err: string; Error: string }
    expect(reply.status, reply.text).to.equal(status)
    expect(Object.keys(answer)).to.deep.equal(['Err', 'Error'])
    expect(answer.Err).to.be.a('string').and.equal(answer.Error).and.not.equal('')
    expect(handled).to.deep.equal([])
    return answer.Err
  }

  for (const [name, good] of Object.entries(goodBodies))
    describe(name, () => {
      it('takes the good body that the odd ones are made from', async () => {
        await engine.call(name, JSON.stringify(good))
        const constant = /OperInfo|Connectivity/.test(name)
        expect(handled).to.have.length(constant ? 0 : 1)
      })

      it('refuses an empty body: a retry that has lost it', async () => {
        for (const body of [null, '', ' \t'])
          expect(await refused(name, body, 400)).to.match(/without its arguments.*repeat/)
        expect(subject.log.filter((line) => line.startsWith('warn'))).to.have.length(3)
      })

      it('refuses what is not JSON', async () => {
        for (const body of ['{', 'NetworkID=1', '{"NetworkID":}', 'undefined', '\u0000'])
          expect(await refused(name, body)).to.include(`${name}: the body is not JSON`)
      })

      it('refuses JSON that is no object', async () => {
        for (const body of ['null', '[]', '[{}]', '"text"', '5', 'true'])
          expect(await refused(name, body)).to.match(/the body: expected an object, got /)
      })

      it('refuses a value of another type in any place, and names the field', async () => {
        for (const path of pathsOf(good).slice(1))
          for (const odd of anyOfEachType) {
            const was = valueAt(good, path)
            if (typeOf(was) === typeOf(odd)) continue
            const message = await refused(name, JSON.stringify(withValue(good, path, odd)))
            expect(message)
              .to.include(name)
              .and.match(/expected .*, got /)
            expect(message).to.include(String(path.findLast((key) => typeof key === 'string')))
          }
      })

      it('refuses text that is no address, prefix or id where there has to be one', async () => {
        const free = /AddressSpace|generic|Options|Scope/
        for (const path of pathsOf(good)) {
          const was = valueAt(good, path)
          if (typeof was !== 'string' || free.test(path.join())) continue
          const odd = /ID$|Key$/.test(String(path.at(-1))) ? '' : '10.0.0.256/24'
          expect(await refused(name, JSON.stringify(withValue(good, path, odd)))).to.match(
            /expected (an|a|text) /,
          )
        }
      })

      it('refuses a body without its ids', async () => {
        if (name !== 'IpamDriver.RequestPool') {
          expect(await refused(name, '{}')).to.match(/field (NetworkID|PoolID|\w+) is missing/)
        }
      })
    })

  it('does not look at the bodies of calls without arguments', async () => {
    for (const name of introductions)
      for (const body of [null, '{}', '{', '[]', 'null', '5'])
        expect((await engine.send(name, body)).status, `${name} ${body}`).to.equal(200)
  })

  it('reads null, nothing and an empty list alike', async () => {
    const none = [
      { IPv6Data: null, Options: null },
      { IPv6Data: [], Options: {} },
      {},
      { Options: { 'com.docker.network.generic': null, 'com.docker.network.internal': null } },
    ]
    for (const rest of none)
      await engine.call(
        'NetworkDriver.CreateNetwork',
        JSON.stringify({ NetworkID: networkId, IPv4Data: [ipamData], ...rest }),
      )
    const [first] = handled
    expect(handled).to.deep.equal(none.map(() => first))
    expect(first!.args).to.have.nested.property('[0].pools.length', 1)
  })

  it('leaves the keys alone that it does not know', async () => {
    const good = goodBodies['NetworkDriver.Join']!
    await engine.call('NetworkDriver.Join', JSON.stringify({ ...good, New: { a: [1] } }))
    expect(handled).to.have.length(1)
  })

  it('takes the names of fields as they are written, capitals and all', async () => {
    const body = JSON.stringify({ networkid: networkId, NETWORKID: networkId })
    expect(await refused('NetworkDriver.DeleteNetwork', body)).to.match(/NetworkID is missing/)
  })

  it('masks the host bits of a pool that an old engine passes on', async () => {
    const body = { ...goodBodies['IpamDriver.RequestPool'], Pool: '10.0.0.7/24', SubPool: '' }
    await engine.call('IpamDriver.RequestPool', JSON.stringify(body))
    expect(handled[0]!.args[0]).to.include({ pool: '10.0.0.0/24', subPool: null })
  })

  it('refuses an address in the place of one of the other family', async () => {
    const good = goodBodies['NetworkDriver.CreateEndpoint']!
    for (const [field, odd] of [
      ['Address', 'fd00::7/64'],
      ['AddressIPv6', '10.0.0.7/24'],
    ] as const) {
      const body = withValue(good, ['Interface', field], odd)
      const message = await refused('NetworkDriver.CreateEndpoint', JSON.stringify(body))
      expect(message).to.include(`Interface.${field}: expected an IPv`)
    }
  })

  it('refuses option names that JavaScript would lose', async () => {
    for (const key of ['__proto__', 'constructor'])
      expect(await refused('IpamDriver.RequestPool', `{"Options":{"${key}":"1"}}`)).to.match(
        /without the keys/,
      )
  })

  it('does nothing about discoveries of other things than hosts', async () => {
    await engine.call('NetworkDriver.DiscoverNew', '{"DiscoveryType":3,"DiscoveryData":[1,"key"]}')
    expect(handled).to.deep.equal([])
  })

  it('answers a method that it does not know', async () => {
    for (const name of ['NetworkDriver.GwAllocCheck', 'NetworkDriver.', 'VolumeDriver.Create', 'x'])
      expect(await refused(name, '{}', 404)).to.include(name)
    expect(await refused('NetworkDriver.Join/x', '{}', 404)).to.include(
      'POST /NetworkDriver.Join/x',
    )
    expect(await refused('%zz', '{}')).to.match(/could not be read/)
    expect(Object.keys(subject.calls.summary())).to.deep.equal(['unknown method'])
  })

  it('answers a body that is too large', async () => {
    const body = `{"NetworkID":"${'x'.repeat(33 * 1024 * 1024)}"}`
    expect(await refused('NetworkDriver.Leave', body)).to.match(/could not be read: .*too large/)
  })

  it('reads a body with every port published', async () => {
    const port = {
      Proto: 6,
      IP: '',
      Port: 65_535,
      HostIP: '',
      HostPort: 65_535,
      HostPortEnd: 65_535,
    }
    const body = {
      ...goodBodies['NetworkDriver.CreateEndpoint'],
      Options: { 'com.docker.network.portmap': Array.from({ length: 65_535 }, () => port) },
    }
    await engine.call('NetworkDriver.CreateEndpoint', JSON.stringify(body))
    expect(handled).to.have.length(1)
  })

  /** Sends bytes as they are; resolves with what came back once that ends in `end`. */
  function sendRaw(bytes: string, end: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(subject.managed)
      let text = ''
      socket.once('error', reject)
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (!end.test(text)) return
        socket.destroy()
        resolve(text)
      })
      socket.write(bytes)
    })
  }

  it('answers the exact bytes of an old engine: an empty host, no content type', async () => {
    const text = await sendRaw(
      'POST /NetworkDriver.GetCapabilities HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n' +
        'Content-Length: 0\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\r\n',
      /\}\n$/,
    )
    expect(text).to.match(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).to.include('Content-Type: application/vnd.docker.plugins.v1.2+json\r\n')
    expect(text).to.not.match(/etag|powered|keep-alive: /i)
  })

  it('answers GET, and bytes that are no HTTP', async () => {
    const get = await sendRaw('GET /NetworkDriver.Join HTTP/1.1\r\nHost: x\r\n\r\n', /\}\n$/)
    expect(get).to.match(/^HTTP\/1\.1 404 /)
    expect(get).to.match(/there is no GET \/NetworkDriver\.Join/)
    expect(await sendRaw('nonsense\r\n\r\n', /\r\n\r\n/)).to.match(/^HTTP\/1\.1 400 /)
  })

  it('goes on with others while one stops in the middle of a request', async () => {
    const half = createConnection(subject.managed)
    half.write('POST /NetworkDriver.Leave HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Net')
    await engine.call('NetworkDriver.Leave', JSON.stringify(endpoint))
    half.destroy()
    await engine.call('NetworkDriver.Leave', JSON.stringify(endpoint))
    expect(handled).to.have.length(2)
  })

  it('reaches a handler with what its types say, or none, whatever the body', async () => {
    const names = Object.keys(goodBodies)
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.jsonValue({ maxDepth: 3 }),
        async (name, at, odd) => {
          const good = goodBodies[name]!
          const paths = pathsOf(good)
          const body = withValue(good, paths[at % paths.length]!, odd)
          const reply = await engine.send(name, JSON.stringify(body))
          const keys = Object.keys(JSON.parse(reply.text) as object)
          if (reply.status !== 200) expect(keys).to.deep.equal(['Err', 'Error'])
          expect(reply.status).to.be.oneOf([200, 500])
        },
      ),
      { numRuns: 300 },
    )
  })
})
