import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { statusRoutes } from '../../../src/admin/status-routes.ts'
import { OverlayError, failure, refusal } from '../../../src/base/errors.ts'
import { type Cidr, parseCidr } from '../../../src/net/cidr.ts'
import { EngineError, FakeEngine } from '../../support/fake-engine.ts'
import {
  type ServerOptions,
  type ServerUnderTest,
  startServer,
} from '../../support/plugin-server.ts'
import { type HandledCall, recordingHandlers } from '../../support/recording-handlers.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** How long the last answers get to leave the process. */
const lastAnswersMs = 100

const leave = JSON.stringify({ NetworkID: 'n', EndpointID: 'e' })
const createNetwork = JSON.stringify({
  NetworkID: 'n',
  Options: {},
  IPv4Data: [],
  IPv6Data: [],
})
const createEndpoint = JSON.stringify({
  NetworkID: 'n',
  EndpointID: 'e',
  Interface: { Address: '10.0.0.7/24', AddressIPv6: '', MacAddress: '' },
  Options: {},
})

describe('PluginServer', () => {
  let subject: ServerUnderTest
  let engine: FakeEngine
  let handled: HandledCall[]

  async function start(options: ServerOptions = {}): Promise<void> {
    handled = []
    subject = await startServer(options)
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
  }
  afterEach(async () => {
    engine.close()
    await subject.dispose()
  })

  /** Handlers of which `changed` is other. */
  function handlersWith(changed: Partial<ReturnType<typeof recordingHandlers>['network']>) {
    const handlers = recordingHandlers(handled)
    return { ...handlers, network: { ...handlers.network, ...changed } }
  }

  async function untilCalled(begun: () => boolean): Promise<void> {
    while (!begun()) await new Promise(setImmediate)
  }

  async function errorOf(call: Promise<unknown>): Promise<EngineError> {
    const error = await call.then(
      () => expect.fail('it succeeded'),
      (reason: unknown) => reason,
    )
    expect(error).to.be.instanceOf(EngineError)
    return error as EngineError
  }

  describe('introduces itself', () => {
    const ask = async (version: '20.10.24' | '28.5.2', role: 'managed' | 'legacy') => {
      const asking = new FakeEngine({ socket: subject[role], version })
      const capabilities = await asking.call('NetworkDriver.GetCapabilities', null)
      asking.close()
      return capabilities
    }

    it('before the driver is ready', async () => {
      await start()
      expect(await engine.call('Plugin.Activate', null)).to.deep.equal({
        Implements: ['NetworkDriver', 'IpamDriver'],
      })
      expect(await engine.call('IpamDriver.GetCapabilities', null)).to.deep.equal({
        RequiresMACAddress: false,
        RequiresRequestReplay: true,
      })
      expect(await engine.call('IpamDriver.GetDefaultAddressSpaces', null)).to.deep.equal({
        LocalDefaultAddressSpace: 'here',
        GlobalDefaultAddressSpace: 'everywhere',
      })
      expect(await ask('20.10.24', 'managed')).to.deep.equal(await ask('28.5.2', 'managed'))
    })

    it('as local at the legacy socket, whatever its scope is', async () => {
      await start({ introduction: { scope: 'global' } })
      expect(await ask('28.5.2', 'managed')).to.include({ Scope: 'global' })
      expect(await ask('28.5.2', 'legacy')).to.include({ Scope: 'local' })
    })
  })

  describe('before the driver is ready', () => {
    it('lets calls wait, and then runs them', async () => {
      await start()
      const call = engine.call('NetworkDriver.Leave', leave)
      await engine.call('NetworkDriver.GetCapabilities', null)
      expect(handled).to.deep.equal([])
      subject.server.ready(recordingHandlers(handled))
      await call
      expect(handled).to.deep.equal([{ method: 'leave', args: ['n', 'e'] }])
    })

    it('refuses bad arguments at once', async () => {
      await start()
      expect((await errorOf(engine.call('NetworkDriver.Leave', '{}'))).status).to.equal(500)
    })

    it('fails a call at its deadline, and does not run it later', async () => {
      const clock = new VirtualClock()
      await start({ clock, deadlineMs: 8000 })
      const call = errorOf(engine.call('NetworkDriver.Leave', leave))
      await engine.call('NetworkDriver.GetCapabilities', null)
      await clock.advance(7999)
      await clock.advance(1)
      const error = await call
      expect(error.status).to.equal(500)
      expect(error.message).to.match(/waits for the plugin to start.* within 8000 ms/)
      subject.server.ready(recordingHandlers(handled))
      await engine.call('NetworkDriver.DeleteEndpoint', leave)
      expect(handled.map(({ method }) => method)).to.deep.equal(['deleteEndpoint'])
    })
  })

  describe('a handler that', () => {
    it('refuses is heard in its own words, and only noted', async () => {
      await start()
      const inUse = async (): Promise<never> => {
        throw refusal('ADDRESS_IN_USE', '10.0.0.7 belongs to host b')
      }
      subject.server.ready(handlersWith({ createEndpoint: inUse }))
      const error = await errorOf(engine.call('NetworkDriver.CreateEndpoint', createEndpoint))
      expect(error.message).to.equal(
        'NetworkDriver.CreateEndpoint: 10.0.0.7 belongs to host b [ADDRESS_IN_USE]',
      )
      expect(subject.log.at(-1)).to.match(/^info .*10\.0\.0\.7 belongs to host b/)
      expect(subject.bugs).to.deep.equal([])
    })

    it('fails is heard, and warned of', async () => {
      await start()
      const full = async (): Promise<never> => {
        throw failure('STORE', 'the disk is full')
      }
      subject.server.ready(handlersWith({ leave: full }))
      const reply = await engine.send('NetworkDriver.Leave', leave)
      expect(reply).to.include({ status: 500 })
      expect(JSON.parse(reply.text)).to.deep.equal({
        Err: 'the disk is full [STORE]',
        Error: 'the disk is full [STORE]',
      })
      expect(subject.log.at(-1)).to.match(/^warn .*the disk is full/)
    })

    it('throws anything else gets its call answered first, and is reported as a bug after', async () => {
      await start()
      const bug = new TypeError('x is undefined')
      const broken = async (): Promise<never> => {
        throw bug
      }
      subject.server.ready(handlersWith({ leave: broken }))
      const error = await errorOf(engine.call('NetworkDriver.Leave', leave))
      expect(error.message).to.match(/fault in the plugin, which restarts now: x is undefined/)
      engine.close()
      while (subject.bugs.length === 0) await new Promise(setImmediate)
      expect(subject.bugs).to.deep.equal([bug])
    })

    it('names a link that the kernel would not take has a bug', async () => {
      await start()
      const join = async () => ({ sourceName: 'x'.repeat(16), prefix: 'eth', routes: [] })
      subject.server.ready(handlersWith({ join }))
      const body = JSON.stringify({ NetworkID: 'n', EndpointID: 'e', SandboxKey: '/s' })
      expect((await errorOf(engine.call('NetworkDriver.Join', body))).message).to.match(/x{16}/)
      engine.close()
      while (subject.bugs.length === 0) await new Promise(setImmediate)
    })

    it('has an overlay with more subnets says that they are on the link', async () => {
      await start()
      const routes = ['10.2.0.0/16', 'fd02::/64'].map((text) => parseCidr(text)!)
      const join = async () => ({ sourceName: 'tso1', prefix: 'eth', routes })
      subject.server.ready(handlersWith({ join }))
      const body = JSON.stringify({ NetworkID: 'n', EndpointID: 'e', SandboxKey: '/s' })
      const { StaticRoutes } = await engine.call('NetworkDriver.Join', body)
      expect(StaticRoutes).to.deep.equal([
        { Destination: '10.2.0.0/16', RouteType: 1, NextHop: '' },
        { Destination: 'fd02::/64', RouteType: 1, NextHop: '' },
      ])
      engine.close()
    })

    it('repeats the MAC address that was asked for is not heard in that', async () => {
      await start({ handlers: recordingHandlers([]) })
      const body = createEndpoint.replace('"MacAddress":""', '"MacAddress":"02:42:0a:00:00:07"')
      expect(await engine.call('NetworkDriver.CreateEndpoint', body)).to.deep.equal({
        Interface: {},
      })
      expect(await engine.call('NetworkDriver.CreateEndpoint', createEndpoint)).to.deep.equal({
        Interface: { MacAddress: '02:42:0a:00:00:07' },
      })
    })
  })

  describe('a slow handler', () => {
    let clock: VirtualClock
    let finish: (error?: unknown) => void

    beforeEach(async () => {
      clock = new VirtualClock()
      await start({ clock, deadlineMs: 8000 })
      const slow = (): Promise<void> =>
        new Promise((resolve, reject) => {
          handled.push({ method: 'leave', args: [] })
          finish = (error) => (error === undefined ? resolve() : reject(error))
        })
      subject.server.ready(handlersWith({ leave: slow }))
      const call = errorOf(engine.call('NetworkDriver.Leave', leave))
      while (handled.length === 0) await new Promise(setImmediate)
      await clock.advance(8000)
      const error = await call
      expect(error.message).to.match(
        /NetworkDriver\.Leave did not finish within 8000 ms; try again/,
      )
    })

    it('gets its call failed at the deadline, goes on, and is noted when it is done', async () => {
      finish()
      await clock.settled()
      expect(subject.log.at(-1)).to.match(/warn .*Leave finished after its deadline/)
    })

    it('has its late failure noted', async () => {
      finish(failure('KERNEL', 'no such device'))
      await clock.settled()
      expect(subject.log.at(-1)).to.match(/warn .*Leave, after its deadline failed: no such device/)
      expect(subject.bugs).to.deep.equal([])
    })

    it('has its late bug reported', async () => {
      finish(new TypeError('late'))
      await clock.settled()
      expect(subject.bugs).to.have.length(1)
    })
  })

  describe('work that is done after its deadline', () => {
    const request = (method: string, body: object): [string, string] => [
      method,
      JSON.stringify(body),
    ]
    const pool = { AddressSpace: 'here', Pool: '', SubPool: '', Options: null, V6: false }
    const address = { PoolID: 'here 10.0.0.0/24', Address: '', Options: null }
    const forGateway = { RequestAddressType: 'com.docker.network.gateway' }

    /** Everything that the handlers are asked for when each takes longer than it may. */
    async function lateCalls([method, body]: [string, string]): Promise<string[]> {
      const clock = new VirtualClock()
      await start({ clock, deadlineMs: 8000 })
      const { promise: finished, resolve: finish } = Promise.withResolvers<void>()
      const plain = recordingHandlers(handled)
      let begun = false
      const late = async <T>(work: () => Promise<T>): Promise<T> => {
        begun = true
        await finished
        return work()
      }
      subject.server.ready({
        network: {
          ...plain.network,
          createNetwork: (call) => late(() => plain.network.createNetwork(call)),
          createEndpoint: (call) => late(() => plain.network.createEndpoint(call)),
        },
        ipam: {
          ...plain.ipam,
          requestPool: (call) => late(() => plain.ipam.requestPool(call)),
          requestAddress: (call) => late(() => plain.ipam.requestAddress(call)),
        },
      })
      const call = errorOf(engine.call(method, body))
      await untilCalled(() => begun)
      await clock.advance(8000)
      expect((await call).message).to.match(/did not finish within/)
      finish()
      await clock.settled()
      const asked = handled
        .map(({ method: name, args }) => `${name} ${JSON.stringify(args)}`)
        .slice(1)
      engine.close()
      await subject.dispose()
      return asked
    }

    it('is taken back where it made something that the engine has never heard of', async () => {
      expect(
        await lateCalls(request('NetworkDriver.CreateEndpoint', JSON.parse(createEndpoint))),
      ).to.deep.equal(['deleteEndpoint ["n","e"]'])
      expect(
        await lateCalls(request('NetworkDriver.CreateNetwork', JSON.parse(createNetwork))),
      ).to.deep.equal(['dropNetwork ["n"]'])
      expect(await lateCalls(request('IpamDriver.RequestPool', pool))).to.deep.equal([
        'releasePool ["here 10.200.1.0/24"]',
      ])
      expect(await lateCalls(request('IpamDriver.RequestAddress', address))).to.deep.equal([
        'releaseAddress [{"poolId":"here 10.0.0.0/24","address":"10.0.0.1"}]',
      ])
    })

    it('stays where others may rely on it', async () => {
      const asked = { ...pool, Pool: '10.9.0.0/24' }
      expect(await lateCalls(request('IpamDriver.RequestPool', asked))).to.deep.equal([])
      const certain = { ...address, Address: '10.0.0.9' }
      expect(await lateCalls(request('IpamDriver.RequestAddress', certain))).to.deep.equal([])
      const gateway = { ...address, Options: forGateway }
      expect(await lateCalls(request('IpamDriver.RequestAddress', gateway))).to.deep.equal([])
    })
  })

  it('reports a bug although nobody waits for the answer any more', async () => {
    await start()
    const { promise: work, reject: fail } = Promise.withResolvers<void>()
    let begun = false
    const broken = (): Promise<void> => {
      begun = true
      return work
    }
    subject.server.ready(handlersWith({ leave: broken }))
    const impatient = createConnection(subject.managed)
    impatient.write(
      `POST /NetworkDriver.Leave HTTP/1.1\r\nContent-Length: ${leave.length}\r\n\r\n${leave}`,
    )
    await untilCalled(() => begun)
    await new Promise<void>((resolve) => impatient.destroy().once('close', () => resolve()))
    // A call on another connection: by then the server has seen the end of this one.
    await engine.call('NetworkDriver.GetCapabilities', null)
    fail(new TypeError('broken'))
    while (subject.bugs.length === 0) await new Promise(setImmediate)
    expect(subject.bugs).to.have.length(1)
  })

  it('refuses the retry of a call whose reply was lost: it comes without its body', async () => {
    await start({ closeGraceMs: 1 })
    const { managed: socket } = subject
    const impatient = new FakeEngine({ socket, version: '26.1.5', retryDelaysMs: [1] })
    const stuck = (): Promise<void> => {
      impatient.close()
      return new Promise(() => {})
    }
    subject.server.ready(handlersWith({ leave: stuck }))
    const error = await errorOf(impatient.call('NetworkDriver.Leave', leave))
    expect(error.status).to.equal(400)
    expect(error.message).to.match(/without its arguments/)
    impatient.close()
  })

  it('counts and times the calls by method', async () => {
    await start({ handlers: recordingHandlers([]) })
    await engine.call('NetworkDriver.Leave', leave)
    await engine.send('NetworkDriver.Leave', '{}')
    await engine.call('NetworkDriver.GetCapabilities', null)
    const summary = subject.calls.summary()
    expect(summary['NetworkDriver.Leave']).to.include({ count: 2, errors: 1 })
    expect(summary['NetworkDriver.Leave']!.lastError!.message).to.match(/NetworkID is missing/)
    expect(summary['NetworkDriver.GetCapabilities']).to.include({ count: 1, errors: 0 })
  })

  it('answers many calls at once on many connections, all dialled in one moment', async () => {
    await start({ handlers: recordingHandlers((handled = [])) })
    const bodies = Array.from({ length: 1500 }, (_, n) => ({ NetworkID: 'n', EndpointID: `e${n}` }))
    await Promise.all(
      bodies.map((body) => engine.call('NetworkDriver.DeleteEndpoint', JSON.stringify(body))),
    )
    expect(subject.calls.summary()['NetworkDriver.DeleteEndpoint']).to.include({ count: 1500 })
  })

  it('hangs up on who stops in the middle of a body, and on nobody else', async () => {
    const clock = new VirtualClock()
    await start({ clock, handlers: recordingHandlers((handled = [])) })
    const [half, idle] = [createConnection(subject.managed), createConnection(subject.managed)]
    half.write('POST /NetworkDriver.Leave HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Net')
    const closed = once(half, 'close')
    half.resume()
    idle.once('close', () => expect.fail('the engine keeps connections for later'))
    // A call on another connection: by then the server has read what came before.
    await engine.call('NetworkDriver.GetCapabilities', null)
    await clock.advance(29_999)
    expect(half.destroyed).to.equal(false)
    await clock.advance(1)
    await closed
    expect(subject.bugs).to.deep.equal([])
    idle.removeAllListeners('close').destroy()
  })

  describe('GET /status', () => {
    function fetchStatus(socketPath: string): Promise<{ status: number; text: string }> {
      return new Promise((resolve, reject) => {
        get({ socketPath, path: '/status' }, (response) => {
          let text = ''
          response.on('data', (chunk: Buffer) => (text += chunk.toString()))
          response.once('end', () => resolve({ status: response.statusCode!, text }))
        }).once('error', reject)
      })
    }

    const routes = { events: () => [], views: async () => ({}) }

    it('is answered at the legacy socket alone', async () => {
      await start({
        hostRoutes: statusRoutes({ ...routes, status: () => ({ version: '1', members: [] }) }),
      })
      const { status, text } = await fetchStatus(subject.legacy)
      expect(status).to.equal(200)
      expect(JSON.parse(text)).to.deep.equal({ version: '1', members: [] })
      expect((await fetchStatus(subject.managed)).status).to.equal(404)
    })

    it('reports a bug in what it shows', async () => {
      const broken = (): never => {
        throw new TypeError('no status')
      }
      await start({ hostRoutes: statusRoutes({ ...routes, status: broken }) })
      expect((await fetchStatus(subject.legacy)).status).to.equal(500)
      while (subject.bugs.length === 0) await new Promise(setImmediate)
    })
  })

  describe('closing', () => {
    it('lets a call that runs finish, on a connection that then ends', async () => {
      await start()
      let finish: (() => void) | null = null
      const slow = (): Promise<void> => new Promise((resolve) => (finish = resolve))
      subject.server.ready(handlersWith({ leave: slow }))
      const reply = engine.send('NetworkDriver.Leave', leave)
      await untilCalled(() => finish !== null)
      const closed = subject.server.close()
      finish!()
      expect((await reply).headers.connection).to.equal('close')
      await closed
    })

    it('answers the calls that do not finish in time with an error', async () => {
      const clock = new VirtualClock()
      await start({ clock, closeGraceMs: 50 })
      let begun = false
      const stuck = (): Promise<void> => {
        begun = true
        return new Promise(() => {})
      }
      subject.server.ready(handlersWith({ leave: stuck }))
      const reply = engine.send('NetworkDriver.Leave', leave)
      await untilCalled(() => begun)
      let isAnswered = false
      void reply.then(() => (isAnswered = true))
      const closed = subject.server.close()
      await clock.advance(49)
      expect(isAnswered).to.equal(false)
      await clock.advance(1)
      expect((await reply).status).to.equal(500)
      expect((await reply).text).to.match(/the plugin is stopping; try again/)
      await closed
    })

    it('hangs up on idle connections at once', async () => {
      await start({ clock: new VirtualClock(), handlers: recordingHandlers([]) })
      await engine.call('NetworkDriver.Leave', leave)
      await subject.server.close()
    })

    it('hangs up, when its time is over, on one that stopped in the middle of a request', async () => {
      const clock = new VirtualClock()
      await start({ clock, handlers: recordingHandlers([]), closeGraceMs: 50 })
      const half = createConnection(subject.managed)
      half.write('POST /NetworkDriver.Leave HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{')
      half.on('error', () => {})
      const ended = new Promise((resolve) => half.once('close', resolve))
      await engine.call('NetworkDriver.Leave', leave)
      const closed = subject.server.close()
      await clock.advance(50 + lastAnswersMs - 1)
      expect(half.destroyed).to.equal(false)
      await clock.advance(1)
      await Promise.all([closed, ended])
    })

    it('leaves no socket behind, refuses connections, and may come twice', async () => {
      await start()
      await Promise.all([subject.server.close(), subject.server.close()])
      expect(await readdir(join(subject.managed, '..'))).to.deep.equal([])
      expect((await errorOf(engine.call('Plugin.Activate', null))).status).to.equal(null)
    })
  })

  describe('listening', () => {
    let directory: string
    let path: string

    beforeEach(async () => {
      await start()
      directory = await mkdtemp(join(tmpdir(), 'ts-overlay-sockets-'))
      path = join(directory, 'x.sock')
    })
    afterEach(() => rm(directory, { recursive: true }))

    async function refusalOfListening(): Promise<string> {
      const error = await subject.server.listen({ managed: null, legacy: path }).then(
        () => expect.fail('it listens'),
        (reason: unknown) => reason,
      )
      expect(error).to.be.instanceOf(OverlayError).and.include({ code: 'SOCKET' })
      return (error as OverlayError).message
    }

    it('gives the socket to its owner alone, from the first moment on and whatever the mask', async () => {
      expect((await stat(subject.managed)).mode & 0o777).to.equal(0o600)
      const before = process.umask(0)
      const listening = subject.server.listen({ managed: null, legacy: path })
      let mode = 0
      while (mode === 0) {
        await new Promise(setImmediate)
        mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0
      }
      expect(mode & 0o777).to.equal(0o600)
      expect(process.umask(before), 'the mask of the process').to.equal(0)
      await listening
    })

    it('takes the place of a socket that a killed process left', async () => {
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
      await execa(process.execPath, ['-e', script], { reject: false })
      expect((await stat(path)).isSocket()).to.equal(true)
      await subject.server.listen({ managed: null, legacy: path })
      const asking = new FakeEngine({ socket: path, version: '28.5.2' })
      await asking.call('Plugin.Activate', null)
      asking.close()
    })

    it('leaves a socket alone that another process serves', async () => {
      const other = createServer().listen(path).unref()
      expect(await refusalOfListening()).to.match(/another process serves .*x\.sock/)
      other.close()
    })

    it('leaves a file alone that is no socket', async () => {
      await writeFile(path, 'precious')
      expect(await refusalOfListening()).to.match(/no socket; remove it/)
      await rm(path)
      await mkdir(path)
      expect(await refusalOfListening()).to.match(/no socket; remove it/)
    })

    it('says so when the directory is not there', async () => {
      path = join(directory, 'none', 'x.sock')
      expect(await refusalOfListening()).to.match(/cannot listen at .*none\/x\.sock/)
    })
  })

  it('calls with pools that the address management chose', async () => {
    await start()
    const handlers = recordingHandlers(handled)
    const pool = '10.128.4.0/24' as Cidr
    const requestPool = async () => ({ poolId: 'p', pool })
    subject.server.ready({ ...handlers, ipam: { ...handlers.ipam, requestPool } })
    const body = '{"AddressSpace":"here","Pool":"","SubPool":"","Options":null,"V6":false}'
    expect(await engine.call('IpamDriver.RequestPool', body)).to.deep.equal({
      PoolID: 'p',
      Pool: pool,
      Data: {},
    })
  })
})
