/** Resolvers in sandboxes: who answers what, and what is left when the process hangs or dies. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { systemClock } from '../../src/base/clock.ts'
import { SandboxResolver } from '../../src/dataplane/linux/resolver/sandbox-resolver.ts'
import { EngineResolver, DnsClient, answerOf } from './sandbox-dns.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'

const program = join(import.meta.dirname, 'resolver-process.ts')

describe('a resolver in a sandbox', () => {
  let lab: NetnsLab
  let sandbox: string
  let engine: EngineResolver
  let client: DnsClient
  let processes: ChildProcess[]

  beforeEach(async () => {
    lab = await NetnsLab.create()
    sandbox = await lab.namespace('sandbox')
    processes = []
    engine = new EngineResolver(sandbox, {
      local: '10.0.0.1',
      there: '192.0.2.99',
      '1.0.0.10.in-addr.arpa': 'local.net',
    })
    await engine.start()
    client = new DnsClient(sandbox)
  })
  afterEach(async () => {
    for (const child of processes) await end(child, 'SIGKILL')
    client.close()
    engine.stop()
    lab.close()
  })

  async function start(...sandboxes: string[]): Promise<ChildProcess> {
    const args = ['--conditions=source', program, lab.directory, ...sandboxes]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    processes.push(child)
    await once(child.stdout, 'data')
    return child
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await exit
  }

  /** The tables of ours in the sandbox, by nft. */
  async function tables(): Promise<string[]> {
    const list = await lab.run(sandbox, 'nft', 'list', 'tables')
    return list.split('\n').filter((line) => line.includes('ts-overlay'))
  }

  it('answers what is ours, and hands the engine everything else', async () => {
    await start('sandbox')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    expect(await client.ask('local')).to.equal('10.0.0.1')
    expect(await client.ask('unknown')).to.equal('NXDOMAIN')
    expect(await client.ask('1.0.0.10.in-addr.arpa', 'PTR')).to.equal('local.net')
    expect(engine.asked).to.deep.equal(['local', 'unknown', '1.0.0.10.in-addr.arpa'])
  })

  it('does so over TCP, several queries in one connection', async () => {
    await start('sandbox')
    const answers = await client.askOverTcp('there', 'local', 'there', 'unknown')
    expect(answers).to.have.members(['10.0.0.9', '10.0.0.1', '10.0.0.9', 'NXDOMAIN'])
  })

  it('steers without state and binds no port that a container could want', async () => {
    await start('sandbox')
    await client.ask('there')
    const rules = await lab.run(sandbox, 'nft', '-n', 'list', 'ruleset')
    const ours = rules.slice(rules.indexOf('ts-overlay-dns'))
    expect(ours).to.match(/flags owner/)
    expect(ours).to.match(/type filter hook output priority -300; policy accept;/)
    expect(ours).to.match(/elements = \{ 127\.0\.0\.11 timeout 2s expires/)
    const [mark, ...others] = ours
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /^(meta|ip) /.test(line))
    expect(mark).to.match(/^meta mark 0x0074736f return$/)
    const port = String.raw`\d{4,5}`
    const wanted = ['udp', 'tcp'].flatMap((name) => [
      `^ip daddr @alive ${name} dport 53 notrack ${name} dport set ${port}$`,
      `^ip saddr 127\\.0\\.0\\.11 ${name} sport ${port} notrack ${name} sport set 53$`,
    ])
    expect(others).to.have.length(4)
    for (const [i, line] of others.entries()) expect(line).to.match(new RegExp(wanted[i]!))
    const sockets = await lab.run(sandbox, 'ss', '-Hulnt')
    expect(sockets).to.not.match(/:53 /)
  })

  it('works where loopback is not up yet', async () => {
    await lab.run(sandbox, 'ip', 'link', 'set', 'lo', 'down')
    await start('sandbox')
    await lab.run(sandbox, 'ip', 'link', 'set', 'lo', 'up')
    expect(await client.ask('there')).to.equal('10.0.0.9')
  })

  it('comes as soon as a namespace is there that was not', async () => {
    await start('later')
    const later = await lab.namespace('later')
    const other = new EngineResolver(later, {})
    await other.start()
    const asking = new DnsClient(later)
    await until(async () => (await asking.ask('there')) === '10.0.0.9', 'a resolver')
    asking.close()
    other.stop()
  })

  it('leaves everything to the engine when its process is killed, for open sockets too', async () => {
    const child = await start('sandbox')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    await end(child, 'SIGKILL')
    expect(await client.ask('there')).to.equal('192.0.2.99')
    expect(await client.ask('local')).to.equal('10.0.0.1')
    expect(await tables()).to.deep.equal([])
    // The next process answers, for open sockets and for new ones.
    await start('sandbox')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    client.renew()
    expect(await client.ask('there')).to.equal('10.0.0.9')
    expect(await client.ask('local')).to.equal('10.0.0.1')
  })

  it('leaves everything to the engine when it stops in good order', async () => {
    const child = await start('sandbox')
    await end(child, 'SIGTERM')
    expect(child.exitCode).to.equal(0)
    expect(await client.askOnce('there', 'A', 60_000)).to.equal('192.0.2.99')
    expect(await tables()).to.deep.equal([])
  })

  it('leaves everything to the engine while it hangs, and answers again when it goes on', async () => {
    const child = await start('sandbox')
    child.kill('SIGSTOP')
    await until(async () => (await client.ask('there')) === '192.0.2.99', 'the engine answers')
    expect(await client.ask('local')).to.equal('10.0.0.1')
    child.kill('SIGCONT')
    await until(async () => (await client.ask('there')) === '10.0.0.9', 'we answer')
  })

  it('is answered by the engine beyond the tables that it may own, when it is killed', async () => {
    const more = Array.from({ length: 66 }, (_, i) => `more${i}`)
    for (const name of more) await lab.namespace(name)
    const child = await start(...more, 'sandbox')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    const rules = await lab.run(sandbox, 'nft', 'list', 'ruleset')
    expect(rules.slice(rules.indexOf('ts-overlay-dns'))).to.not.match(/flags owner/)
    await end(child, 'SIGKILL')
    await until(async () => (await client.ask('there')) === '192.0.2.99', 'the engine answers')
    // The next process removes what is left.
    const next = await start('sandbox')
    expect(await tables()).to.have.length(1)
    await end(next, 'SIGTERM')
    expect(await tables()).to.deep.equal([])
  }).timeout(120_000)

  it('survives what a container does to tables', async () => {
    await start('sandbox')
    await lab.run(sandbox, 'nft', 'flush', 'ruleset')
    expect(await client.ask('there')).to.equal('10.0.0.9')
  })

  it('tells at once that the engine is away, and reaches it at its new ports', async () => {
    await start('sandbox')
    expect(await client.ask('local')).to.equal('10.0.0.1')
    engine.stop()
    expect(await client.ask('local')).to.equal('SERVFAIL')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    await engine.start()
    expect(await client.ask('local')).to.equal('10.0.0.1')
    expect(await client.askOverTcp('local')).to.deep.equal(['10.0.0.1'])
  })

  for (const [libc, compiler] of [
    ['glibc', 'gcc'],
    ['musl', 'musl-gcc'],
  ] as const)
    it(`is understood by ${libc}, for all families, also while it hangs`, async function () {
      const client = join(lab.directory, libc)
      const source = join(import.meta.dirname, 'look-up.c')
      const built = await execa(compiler, ['-O1', '-o', client, source], { reject: false })
      if (built.exitCode !== 0) return this.skip()
      const config = join(lab.directory, 'resolv.conf')
      await writeFile(config, 'nameserver 127.0.0.11\noptions ndots:0\n')
      const script = 'mount --bind "$1" /etc/resolv.conf && exec "$2" "$3"'
      const lookUp = (name: string): Promise<string> =>
        lab.run(sandbox, 'unshare', '-m', 'sh', '-c', script, 'sh', config, client, name)
      const child = await start('sandbox')
      expect((await lookUp('there')).trim()).to.equal('10.0.0.9')
      expect((await lookUp('local')).trim()).to.equal('10.0.0.1')
      child.kill('SIGSTOP')
      // The library asks again by itself, once, before it gives up.
      expect((await lookUp('there')).trim()).to.equal('192.0.2.99')
      child.kill('SIGCONT')
    })

  for (const own of ['10.0.0.9', null])
    it(`may be closed before it replies ${own === null ? 'what it forwards' : 'itself'}`, async () => {
      const resolver: SandboxResolver = new SandboxResolver(sandbox, {
        sandbox: 'sandbox',
        clock: systemClock,
        processName: 'closing',
        isOwned: false,
        answer: (_source, query) => {
          resolver.close()
          return own === null ? null : answerOf(Buffer.from(query), own)
        },
        onError: (error) => {
          throw error
        },
      })
      expect(await client.ask('there', 'A', 300)).to.equal('192.0.2.99')
    })

  it('is there beside a program of the container that has port 53', async () => {
    await start('sandbox')
    const own = new EngineResolver(sandbox, {})
    const script = 'require("dgram").createSocket("udp4").bind(53,()=>console.log("bound"))'
    const bound = spawn('nsenter', [`--net=${sandbox}`, process.execPath, '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    processes.push(bound)
    await once(bound.stdout, 'data')
    expect(await client.ask('there')).to.equal('10.0.0.9')
    expect(await client.ask('local')).to.equal('10.0.0.1')
    own.stop()
  })
})
