import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { Metrics } from '../../../../src/admin/metrics.ts'
import { adminRoutes } from '../../../../src/admin/admin-routes.ts'
import { systemClock } from '../../../../src/base/clock.ts'
import { refusal } from '../../../../src/base/errors.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { CallStatistics } from '../../../../src/engine-api/call-statistics.ts'
import { goodHost, goodPing, goodSnapshot } from './diagnosis-fixture.ts'
import { ownWords } from '../../src/docker.ts'
import { PluginServer } from '../../../../src/engine-api/plugin-server.ts'

const program = resolve(import.meta.dirname, '../../src/main.ts')

/** A status of two hosts, the second as given. */
function statusWith({ name = 'two', state = 'alive', finding = '' }): object {
  const since = new Date(new Date().getTime() - 7_300_000).toISOString()
  const common = { paused: false, since, overlays: 1 }
  const endpoint = (id: string, n: number) => ({
    endpointId: id.repeat(16),
    mac: macOf(n),
    names: [] as string[],
  })
  return {
    version: '1.2.3',
    member: 'one',
    vtep: '192.0.2.1',
    members: [
      { name: 'one', address: '192.0.2.1', state: 'alive', self: true, rttMs: null, endpoints: 2 },
      { name, address: '192.0.2.2', state, self: false, rttMs: 0.4, endpoints: 1 },
    ].map((member) => ({ ...member, ...common })),
    overlays: [
      {
        overlayId: '10.1.0.0/24',
        networkId: '0123456789abcdef',
        members: ['one', 'two'],
        addresses: { used: 3, usable: 254 },
        vni: 77,
        mtu: 1450,
        pools: ['10.1.0.0/24'],
        endpoints: [
          { ...endpoint('a', 2), addresses: ['10.1.0.2/24'], joined: true },
          { ...endpoint('b', 4), addresses: ['10.1.0.4/24'], joined: true },
        ],
        peers: [
          {
            ...endpoint('c', 3),
            member: 'two',
            vtep: '192.0.2.2',
            ips: ['10.1.0.3'],
            names: ['db', 'cccccccccccc'],
          },
        ],
      },
    ],
    consensus: { leader: 'one', voters: ['one', 'two'], missing: [] },
    admission: null,
    orphans: { waiting: [], released: {} },
    findings: { list: finding === '' ? [] : [{ text: finding, remedy: 'change it' }], unlisted: 0 },
  }
}

function macOf(n: number): string {
  return `02:42:0a:01:00:0${n}`
}

/** A host's view of itself and the others. */
function viewWith(vni: number, state = 'alive') {
  return {
    version: '1.2.3',
    clusterId: 'c',
    leader: 'one',
    root: 'r',
    members: { one: 'alive', two: state },
    overlays: { net: { vni, mtu: 1450, endpoints: 3 } },
    findings: [],
  }
}

describe('the command line', () => {
  let views: Record<string, object | null> = {}
  let status: object = statusWith({})
  let ping = goodPing()
  let asked: readonly string[] = []
  const snapshots = { one: goodSnapshot(1), two: goodSnapshot(2) }
  const hosts = { one: goodHost(1), two: goodHost(2) }
  let folder: string
  let server: PluginServer
  const evicted: string[][] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-cli-'))
    server = new PluginServer({
      introduction: {
        scope: 'local',
        connectivityScope: 'global',
        addressSpaces: { local: 'a', global: 'b' },
        requestReplay: false,
      },
      clock: systemClock,
      logger: silentLogger,
      calls: new CallStatistics(),
      onBug: (error) => {
        throw error
      },
      hostRoutes: adminRoutes({
        status: () => status,
        views: async () => views,
        metrics: new Metrics(() => []),
        illness: () => null,
        diagnosis: {
          ping: async (member) => {
            if (member !== 'two') throw refusal('MEMBER_UNKNOWN', `no member ${member}`)
            return ping
          },
          snapshots: async (members, overlayId, ips) => {
            asked = [...members, overlayId, ...ips]
            return snapshots
          },
          hosts: async () => hosts,
        },
        events: () => [
          {
            sequence: 1,
            at: '2026-01-01T00:00:00.000Z',
            event: 'member-joined',
            message: 'two joined',
          },
          {
            sequence: 2,
            at: '2026-01-01T00:00:01.000Z',
            event: 'member-dead',
            message: 'two is dead',
          },
        ],
        evict: async (members, { force }) => {
          if (members.includes('four')) throw refusal('MEMBER_UNKNOWN', 'no member four')
          if (members.includes('one') && !force) throw refusal('MEMBER_ALIVE', 'one can be reached')
          evicted.push([...members])
        },
        invite: async (options) =>
          `docker plugin install ts-overlay/ts-overlay ${JSON.stringify(options)}`,
        rotateKeys: async () => 7,
        rotateWireGuard: async () => 'public',
        recover: async ({ force }) => {
          if (!force) throw refusal('MEMBER_ALIVE', 'a majority still answers; two leads it')
          return 'ab.1.cd'
        },
        addSubnet: async (network, subnet) => {
          if (network !== 'my net') throw refusal('NETWORK_NOT_FOUND', `no ${network} ${subnet}`)
        },
        dropNetwork: async (id) => {
          if (id !== 'abc') throw refusal('NETWORK_NOT_FOUND', `0 networks begin with "${id}"`)
          return 'abcdef'
        },
      }),
    })
    await server.listen({ managed: null, legacy: join(folder, 's.sock') })
  })

  after(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  const run = (...args: string[]) => runWith({}, ...args)
  const runWith = (env: Record<string, string>, ...args: string[]) =>
    execa(
      process.execPath,
      ['--conditions=source', program, '--socket', join(folder, 's.sock'), ...args],
      { reject: false, env: { NO_COLOR: '1', ...env } },
    )

  it('invites, within limits, and has the gossip key replaced', async () => {
    const line = 'docker plugin install ts-overlay/ts-overlay'
    expect((await run('invite')).stdout).to.equal(`${line} {"rotate":false}`)
    const limited = await run('invite', '--hours', '2', '--uses', '3', '--rotate')
    expect(limited.stdout).to.equal(`${line} {"validMs":7200000,"uses":3,"rotate":true}`)
    const wrong = await run('invite', '--uses', 'many')
    expect(wrong.stderr).to.include('whole numbers')
    expect(wrong.exitCode).to.equal(1)
    expect((await run('keys', 'rotate')).stdout).to.include('gossip key 7 is being replaced')
    const { stdout } = await run('keys', 'rotate', '--wireguard')
    expect(stdout).to.include('the WireGuard key is being replaced by public')
  })

  it('invites under the name that the engine has for the plugin', async () => {
    const docker = join(folder, 'docker')
    const plugin = 'ts-overlay.sock true registry.example/net/overlay:1'
    const script = `#!/bin/sh\n[ "$2" = ls ] && echo 1 || printf '%s\\n' 'x.sock true other' '${plugin}'\n`
    await writeFile(docker, script, { mode: 0o755 })
    const path = { PATH: `${folder}:${process.env['PATH']}` }
    expect((await runWith(path, 'invite', '--uses', '9')).stdout).to.match(
      /^docker plugin install registry\.example\/net\/overlay:1 /,
    )
    await rm(docker)
  })

  it('shows hosts and networks, and ends with 0 when all is well', async () => {
    status = statusWith({})
    const { stdout, exitCode } = await run('status')
    expect(stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '))).to.deep.equal([
      'OK on one (1.2.3): 2 hosts, 1 network, 3 containers',
      'HOST  ADDRESS  STATE  FOR  GOSSIP  VXLAN  NETWORKS  CONTAINERS',
      'one*  192.0.2.1  alive  2 h  -  -  1  2',
      'two  192.0.2.2  alive  2 h  0.4 ms  -  1  1',
      'NETWORK  SUBNET  HOSTS  MTU  VNI  ADDRESSES',
      '0123456789ab  10.1.0.0/24  2 of 2  1450  77  3 of 254',
    ])
    expect(exitCode).to.equal(0)
  })

  it('says what is wrong, and ends with 1', async () => {
    status = statusWith({ state: 'dead', finding: 'two differs' })
    const { stdout, exitCode } = await run('status')
    expect(stdout).to.match(/^TROUBLE on one/)
    expect(stdout.split('\n').slice(-2)).to.deep.equal([
      '! two differs; change it',
      '! two does not answer (dead for 2 h); is the host up? If it is gone for good: evict',
    ])
    expect(exitCode).to.equal(1)
  })

  it('has colours where they are wanted only, and prints nothing that moves a cursor', async () => {
    status = statusWith({ name: 'two\u001b[2J\u009b' })
    expect((await run('members')).stdout).to.include('two\\u001b[2J\\u009b')
    // oxlint-disable-next-line no-control-regex
    expect((await run('members')).stdout).to.not.match(/\u001b/)
    const inColour = await runWith({ NO_COLOR: '', FORCE_COLOR: '1' }, 'members')
    expect(inColour.stdout).to.include('\u001b[32malive')
    expect((await run('members', '--json')).stdout).to.include('two\\u001b[2J\\u009b')
  })

  it('lists members that have left only when asked', async () => {
    status = statusWith({ state: 'left' })
    expect((await run('members')).stdout).to.not.include('two')
    expect((await run('members', '--all')).stdout).to.match(/^two .* left /m)
    expect(JSON.parse((await run('members', '--json')).stdout)).to.have.length(1)
  })

  it('prints the whole status as JSON', async () => {
    status = statusWith({})
    const { stdout, exitCode } = await run('status', '--json')
    expect(JSON.parse(stdout)).to.deep.equal(status)
    expect(exitCode).to.equal(0)
  })

  it('prints what happened, also as lines of JSON', async () => {
    expect((await run('events')).stdout.split('\n')).to.deep.equal([
      '2026-01-01T00:00:00.000Z  member-joined    two joined',
      '2026-01-01T00:00:01.000Z  member-dead      two is dead',
    ])
    const lines = (await run('events', '--json')).stdout.split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { sequence: number }).sequence)).to.deep.equal([
      1, 2,
    ])
  })

  it('compares what the hosts say, and ends with 2 where they differ', async () => {
    views = { one: viewWith(7), two: viewWith(7) }
    expect(await run('diff')).to.include({ stdout: 'OK: all hosts agree', exitCode: 0 })
    views = { one: viewWith(7, 'dead'), two: viewWith(8), three: null }
    const { stdout, exitCode } = await run('diff')
    expect(stdout).to.match(/^VNI of net +7: one; 8: two$/m)
    expect(stdout).to.match(/^state of two +dead: one; alive: two$/m)
    expect(stdout).to.match(/^answer +yes: one, two; none: three$/m)
    expect(stdout).to.not.include('MTU')
    expect(exitCode).to.equal(2)
    status = statusWith({})
    const all = await run('status', '--all')
    expect(all.stdout).to.match(/^two +1\.2\.3 +one +1 +-$/m)
    expect(all.stdout).to.match(/^three +no answer/m)
  })

  it('probes a host, and ends with 1 when something is lost', async () => {
    ping = goodPing()
    expect(await run('ping', 'two')).to.include({ exitCode: 0 })
    expect((await run('ping', 'two')).stdout).to.match(
      /^VXLAN, net +1450 +0 of 5 +0\.4 ms +0\.5 ms/m,
    )
    expect(JSON.parse((await run('ping', '--json', 'two')).stdout)).to.deep.equal(ping)
    ping = { ...goodPing(), gossip: { ...ping.gossip, udp: { sent: 5, rttMs: [] } } }
    const { stdout, exitCode } = await run('ping', 'two')
    expect(stdout).to.include('! gossip by UDP with two does not work; is the port GOSSIP_PORT')
    expect(exitCode).to.equal(1)
    expect(await run('ping', 'nobody')).to.include({ exitCode: 1 })
    ping = goodPing()
  })

  it('takes a host without the suffix of its name', async () => {
    status = statusWith({ name: 'two-fc9d0ea4' })
    expect((await run('ping', 'two')).stderr).to.include('no member two-fc9d0ea4')
    expect(await run('evict', 'two')).to.include({ stdout: 'evicted: two-fc9d0ea4' })
    evicted.length = 0
    status = statusWith({})
  })

  it('walks between containers and hosts, and ends with 1 at what is wrong', async () => {
    status = statusWith({})
    const good = await run('trace', '10.1.0.2', 'db')
    expect(good.exitCode, good.stderr).to.equal(0)
    expect(good.stdout).to.match(/^two +FDB row +ok +02:42:0a:01:00:02 is behind 192\.0\.2\.1$/m)
    expect(asked).to.deep.equal(['one', 'two', '10.1.0.0/24', '10.1.0.2', '10.1.0.3'])
    snapshots.two.overlay.links.bridge = { up: false, carrier: false, mtu: 1450 }
    const bad = await run('trace', 'one', 'two')
    expect(bad.stdout).to.match(/^! two, bridge: br0 is down; an audit repairs it/m)
    expect(bad.exitCode).to.equal(1)
    snapshots.two = goodSnapshot(2)
    const unknown = await run('trace', '10.1.0.2', 'nowhere')
    expect(unknown.stderr).to.include('no network of this host has nowhere')
  })

  it('checks the hosts, and ends with 1 when something is wrong', async () => {
    status = statusWith({})
    expect(await run('doctor')).to.include({ exitCode: 0 })
    expect((await run('doctor')).stdout).to.match(/^OK: \d+ checks are well$/)
    expect((await run('doctor', '--all')).stdout).to.match(/^two +neighbour table +ok +10 of/m)
    status = statusWith({ finding: 'two differs' })
    const { stdout, exitCode } = await run('doctor')
    expect(stdout)
      .to.match(/^one +finding +WRONG +two differs$/m)
      .and.to.include('change it')
    expect(exitCode).to.equal(1)
  })

  it('finds an address, a MAC address, an endpoint and a network', async () => {
    status = statusWith({})
    const lines = async (what: string): Promise<string[]> =>
      (await run('where', what)).stdout.split('\n').slice(1)
    expect((await lines('10.1.0.3'))[0]).to.match(
      /^10\.1\.0\.3 +02:42:0a:01:00:03 +0123456789ab +two +192\.0\.2\.2 +db +cccccccccccc$/,
    )
    expect((await lines('02:42:0A:01:00:02'))[0]).to.match(/^10\.1\.0\.2 .* one /)
    for (const word of ['cccccc', 'db', 'DB', 'cccccccccccc'])
      expect(await lines(word), word).to.have.length(1)
    expect(await lines('0123456789ab')).to.have.length(3)
    const unknown = await run('where', '10.9.9.9')
    expect(unknown).to.include({ exitCode: 1, stdout: '' })
    expect(unknown.stderr).to.include('no network of this host has 10.9.9.9')
  })

  it('is called by Docker with its options and our name, and completes', async () => {
    expect(ownWords('docker-ts-overlay', ['--context', 'x', 'ts-overlay', 'status'])).to.deep.equal(
      ['status'],
    )
    expect(ownWords('ts-overlay', ['where', 'ts-overlay'])).to.deep.equal(['where', 'ts-overlay'])
    expect(ownWords('docker-tsoverlay', ['tsoverlay', 'where', 'x'])).to.deep.equal(['where', 'x'])
    expect(ownWords('docker-tsoverlay', ['help', 'tsoverlay', 'ping'])).to.deep.equal([
      'ping',
      '--help',
    ])
    const complete = ownWords('docker-tsoverlay', ['__complete', 'tsoverlay', 'mem'])
    expect((await run(...complete)).stdout).to.equal('members\tthe hosts of the cluster\n:4')
    const options = (await run('__complete', 'members', '--a')).stdout
    expect(options).to.equal('--all\tthose that have left, too\n:4')
    for (const [above, below] of [
      ['keys', 'rotate\thave the gossip key replaced on all hosts'],
      ['network', 'add-subnet\tgive a network one more subnet, on all hosts, while it runs'],
    ] as const)
      expect((await run('__complete', above, '')).stdout).to.equal(`${below}\n:4`)
    for (const shell of ['bash', 'zsh'])
      expect((await run('completion', shell)).stdout).to.include('ts-overlay __complete')
    expect(await run('completion', 'fish')).to.include({ exitCode: 2 })
  })

  it('writes an archive without secrets', async () => {
    status = { ...statusWith({}), note: 'TOKEN=abc TSO-1-0123-4567 SECRET=x,y' }
    const archive = join(folder, 'report.tar.gz')
    expect(await run('report', '--json', '--output', archive)).to.include({ exitCode: 0 })
    const { stdout } = await execa('tar', ['-xzOf', archive, 'ts-overlay-report/status.json'])
    expect((JSON.parse(stdout) as { note: string }).note).to.equal(
      'TOKEN=(removed) TSO-(removed) SECRET=(removed),y',
    )
    expect(await run('report', '--output', archive), 'it overwrites nothing').to.include({
      exitCode: 1,
    })
  })

  it('recovers a cluster, and says why it does not', async () => {
    const refused = await run('recover')
    expect(refused.stderr).to.include('a majority still answers; two leads it [MEMBER_ALIVE]')
    expect(refused.exitCode).to.equal(1)
    expect(await run('recover', '--force')).to.include({ stdout: 'recovered: ab.1.cd' })
  })

  it('evicts members by name, and says why it cannot', async () => {
    expect(await run('evict', 'two', 'three')).to.include({
      stdout: 'evicted: two, three',
      exitCode: 0,
    })
    expect(await run('evict', 'one')).to.include({
      stderr: 'ts-overlay: one can be reached [MEMBER_ALIVE]',
      exitCode: 1,
    })
    expect(await run('evict', '--force', 'one')).to.include({ exitCode: 0 })
    expect(evicted).to.deep.equal([['two', 'three'], ['one']])
    expect(await run('evict', 'four')).to.include({
      stderr: 'ts-overlay: no member four [MEMBER_UNKNOWN]',
      exitCode: 1,
    })
  })

  it('answers with 404 for a member that the cluster does not have, 409 for a living one', async () => {
    const statusOf = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const socketPath = join(folder, 's.sock')
        const call = request({ socketPath, method: 'DELETE', path }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        call.on('error', reject).end()
      })
    expect(await statusOf('/members/four')).to.equal(404)
    expect(await statusOf('/members/one')).to.equal(409)
  })

  it('removes a network that the engine does not have, and says why it cannot', async () => {
    expect(await run('drop-network', 'abc')).to.include({ stdout: 'removed: abcdef', exitCode: 0 })
    const refused = await run('drop-network', 'x/y')
    expect(refused).to.include({
      stderr: 'ts-overlay: 0 networks begin with "x/y" [NETWORK_NOT_FOUND]',
      exitCode: 1,
    })
  })

  it('adds a subnet to a network, and says why it cannot', async () => {
    const added = { network: 'my net', subnet: 'fd00::/64' }
    const words = ['network', 'add-subnet', 'my net', 'fd00::/64']
    expect((await run(...words)).stdout).to.equal('added to my net: fd00::/64')
    expect(JSON.parse((await run(...words, '--json')).stdout)).to.deep.equal(added)
    expect(await run('network', 'add-subnet', 'other', '10.0.0.0/8')).to.include({
      stderr: 'ts-overlay: no other 10.0.0.0/8 [NETWORK_NOT_FOUND]',
      exitCode: 1,
    })
    expect((await run('network', 'add-subnet', 'other')).exitCode).to.equal(2)
  })

  it('says how it is used, and what is wrong when there is no plugin', async () => {
    expect(await run('frobnicate')).to.include({ exitCode: 2 })
    const nowhere = await execa(
      process.execPath,
      ['--conditions=source', program, '--socket', join(folder, 'none.sock'), 'status'],
      { reject: false },
    )
    expect(nowhere.stderr).to.match(/none\.sock.*is the plugin enabled/)
  })
})
