import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { FakeEngine } from '../support/fake-engine.ts'
import { until as waitUntil } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'

const root = resolve(import.meta.dirname, '../..')
const address = '192.0.2.1'
/** No start takes longer, in milliseconds. */
const startMostMs = 15_000

const network = {
  NetworkID: 'n1',
  Options: { 'com.docker.network.generic': { overlay: 'blue' } },
  IPv4Data: [{ AddressSpace: 'x', Pool: '10.20.0.0/24', Gateway: '10.20.0.1/24' }],
  IPv6Data: [],
}
const wanted = { Address: '10.20.0.5/24', AddressIPv6: '', MacAddress: '' }
const endpoint = { NetworkID: 'n1', EndpointID: 'e1' }

/** Makes the start longer by the time that it takes to find nobody there. */
const slowJoin = { JOIN: '192.0.2.77', TOKEN: '0123456789abcdef0123456789abcdef' }

/** The program as it is started on a host, in a namespace that plays one. */
interface Started {
  readonly process: ChildProcess
  readonly socket: string
  readonly state: string
  readonly ended: Promise<{ code: number | null; signal: string | null; output: string }>
}

describe('the program', () => {
  let lab: NetnsLab
  let host: string
  let sockets: string
  let started: Started[]

  beforeEach(async () => {
    lab = await NetnsLab.create()
    started = []
    host = await lab.namespace('host')
    await lab.run(host, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'wire')
    await lab.run(host, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await lab.run(host, 'ip', 'link', 'set', 'eth0', 'up')
    sockets = join(lab.directory, 'sockets')
    mkdirSync(sockets)
    mkdirSync(join(sockets, 'ts-overlay.netns'))
    lab.pinsIn(join(sockets, 'ts-overlay.netns'))
  })
  afterEach(async () => {
    for (const { process: child, ended } of started) {
      child.kill('SIGKILL')
      await ended
    }
    lab.close()
  })

  function start(name: string, env: Readonly<Record<string, string>> = {}): Started {
    const state = join(lab.directory, name)
    mkdirSync(join(state, 'netns'), { recursive: true })
    lab.pinsIn(join(state, 'netns'))
    const socket = join(sockets, `${name}.sock`)
    const child = spawn(
      'nsenter',
      [`--net=${host}`, process.execPath, '--conditions=source', join(root, 'src/main.ts')],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          ADVERTISE_ADDR: address,
          STATE_DIR: state,
          LEGACY_SOCKET_DIR: sockets,
          MANAGED_SOCKET: socket,
          ...env,
        },
      },
    )
    let output = ''
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      // After a start that failed, the process waits for the engine to end it.
      if (/^ts-overlay: .* \[[A-Z_]+\]$/m.test(output)) child.kill('SIGTERM')
    })
    const ended = new Promise<Awaited<Started['ended']>>((tell) => {
      child.once('close', (code, signal) => tell({ code, signal, output }))
    })
    const program = { process: child, socket, state, ended }
    started.push(program)
    return program
  }

  async function until(what: string, holds: () => boolean): Promise<void> {
    await waitUntil(holds, what, startMostMs, 2)
  }

  it('leaves alone what another one on this host runs, and does not start', async () => {
    const first = start('first')
    await until('the first starts', () => existsSync(first.socket))
    const engine = new FakeEngine({ socket: first.socket, version: '28.5.2' })
    const call = (method: string, body: object): Promise<unknown> =>
      engine.call(`NetworkDriver.${method}`, JSON.stringify(body))
    await call('CreateNetwork', network)
    await call('CreateEndpoint', { ...endpoint, Interface: wanted })
    await call('Join', { ...endpoint, SandboxKey: '/x' })
    const links = async () => (await lab.json(host, 'ip', 'link')).map(({ ifname }) => ifname)
    const before = await links()
    const pins = join(sockets, 'ts-overlay.netns')
    expect(readdirSync(pins)).to.have.length(1)
    const second = await start('second', { GOSSIP_PORT: '17946' }).ended
    expect(second.code).to.equal(1)
    expect(second.output).to.match(/is in use by another process; stop the plugin/)
    expect(readdirSync(pins)).to.have.length(1)
    expect(await links()).to.deep.equal(before)
    engine.close()
  })

  it('opens the sandboxes of its containers again after it was killed', async () => {
    const sandbox = await lab.namespace('sandbox')
    const env = { SANDBOX_DIR: lab.directory }
    const options = { 'com.docker.network.generic': { overlay: 'named' } }
    const named = { ...network, Options: options }
    const tables = (): Promise<string> => lab.run(sandbox, 'nft', 'list', 'ruleset')
    const isSteered = async (): Promise<boolean> => (await tables()).includes('@alive udp dport 53')
    const first = start('killed', env)
    await until('it starts', () => existsSync(first.socket))
    const engine = new FakeEngine({ socket: first.socket, version: '28.5.2' })
    const call = (method: string, body: object) =>
      engine.call(`NetworkDriver.${method}`, JSON.stringify(body))
    await call('CreateNetwork', named)
    await call('CreateEndpoint', { ...endpoint, Interface: wanted })
    const joined = await call('Join', { ...endpoint, SandboxKey: '/var/run/docker/netns/sandbox' })
    const { SrcName: link } = joined['InterfaceName'] as { SrcName: string }
    await lab.run(host, 'ip', 'link', 'set', link, 'netns', sandbox)
    await waitUntil(isSteered, 'a resolver in the sandbox', startMostMs)
    engine.close()
    first.process.kill('SIGKILL')
    await first.ended
    expect(await isSteered()).to.equal(false)
    start('killed', env)
    await waitUntil(isSteered, 'a resolver in the sandbox again', startMostMs)
  })

  it('does not start with an address that is not one of the host', async () => {
    const { code, output } = await start('lost', { ADVERTISE_ADDR: '192.0.2.99' }).ended
    expect(code).to.equal(1)
    expect(output).to.match(
      /no interface of this host has the address 192\.0\.2\.99; set ADVERTISE/,
    )
  })

  it('serves metrics and its health where it is told, and says when it cannot', async () => {
    const program = start('measured', { METRICS_ADDR: '9467' })
    await until('it starts', () => existsSync(program.socket))
    const ask = (path: string): Promise<string> => {
      const script = `fetch('http://127.0.0.1:9467${path}').then((r) => r.text()).then(console.log)`
      return lab.run(host, process.execPath, '-e', script)
    }
    expect(await ask('/healthz')).to.match(/^(ok|starting)\n/)
    expect(await ask('/metrics')).to.include('ts_overlay_members{state="alive"} 1')
    program.process.kill('SIGTERM')
    await program.ended
    const { output } = await start('elsewhere', { METRICS_ADDR: '192.0.2.98:9467' }).ended
    expect(output).to.match(/metrics at 192\.0\.2\.98 port 9467: .*METRICS_ADDR has to be/)
  })

  it('says what gossip could not listen at', async () => {
    const { code, output } = await start('bound', { BIND_ADDR: '192.0.2.98' }).ended
    expect(code).to.equal(1)
    expect(output).to.match(/gossip cannot listen at 192\.0\.2\.98 port 7946.*BIND_ADDR/)
  })

  it('does not start with JOIN and no token, or a weak one, and says how to get one', async () => {
    const table = [
      [{ JOIN: '192.0.2.77' }, /JOIN needs TOKEN: on a member, "ts-overlay invite" prints/],
      [{ TOKEN: 'tooshort' }, /TOKEN=\(not shown\) has less than 128 random bits/],
      [{ TOKEN: `TSO-1-${'a'.repeat(64)}-${'b'.repeat(64)}` }, /name a member .* in JOIN/],
      [{ TOKEN: 'x', TOKEN_FILE: '/x' }, /TOKEN and TOKEN_FILE are both set/],
    ] as const
    for (const [i, [env, reason]] of table.entries()) {
      const { code, output } = await start(`closed-${i}`, env).ended
      expect(code).to.equal(1)
      expect(output).to.match(reason).and.not.include('tooshort')
    }
  })

  it('ends at once when it is asked to while it starts', async () => {
    const program = start('hasty', slowJoin)
    await until('the store is there', () => existsSync(join(program.state, 'store/journal')))
    program.process.kill('SIGTERM')
    const { code, signal, output } = await program.ended
    expect({ code, signal }).to.deep.equal({ code: 0, signal: null })
    expect(output).to.not.contain('listening at')
  })
})
