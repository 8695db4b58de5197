import { expect } from 'chai'
import { execa } from 'execa'
import { join } from 'node:path'
import { pinName, portNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts, gossipMostMs } from './plugin-hosts.ts'

const obstacle = NetnsLab.obstacle()
const subnet = '10.45.0.0/24'

/** A container: its namespace, its endpoint and its address. */
interface Container {
  readonly netns: string
  readonly endpointId: string
  readonly ip: string
  readonly mac: string
}

/** A fault, the one command that is to name it, and what that has to say. */
interface Fault {
  readonly name: string
  readonly plant: () => Promise<unknown>
  readonly undo: () => Promise<unknown>
  readonly command: () => string[]
  readonly cause: RegExp
}

/** Each of these is planted, and one command, run on the first host, has to name the cause. */
describe('the cause of a fault', function () {
  this.timeout(300_000)
  let all: PluginHosts
  let lab: NetnsLab
  const containers: Container[] = []

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`diagnosis skipped: ${obstacle}\n`)
      this.skip()
    }
    const settings = { AUDIT_SECONDS: '3600', ENGINE_API: 'off', FAST_PATH: 'off' }
    all = await PluginHosts.create(2, subnet, async (made) => {
      lab = made
      return settings
    })
    for (const [index, host] of all.hosts.entries()) {
      await host.story.createNetwork()
      const { endpointId, link } = await host.story.start(`container ${index}`)
      const netns = await lab.namespace(`container-${index}`)
      const ip = host.story.containers.get(endpointId)!.split('/')[0]!
      await lab.run(host.netns, 'ip', 'link', 'set', link, 'netns', netns, 'name', 'eth0')
      await lab.run(netns, 'ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0')
      await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
      const [shown] = await lab.json(netns, 'ip', 'link', 'show', 'eth0')
      containers.push({ netns, endpointId, ip, mac: shown!.address! })
    }
    const isUp = async (): Promise<boolean> =>
      (await cli('trace', ...ips())).exitCode === 0 && (await cli('ping', 'host-2')).exitCode === 0
    await until(isUp, 'all is well', gossipMostMs, 500)
  })
  after(() => all?.close())

  const cli = (...words: string[]) =>
    execa(
      process.execPath,
      [join(all.program.folder, 'cli.cjs'), '--socket', all.hosts[0]!.plugin.socket, ...words],
      { reject: false, env: { NO_COLOR: '1' } },
    )
  const ips = (): string[] => containers.map(({ ip }) => ip)
  const trace = (): string[] => ['trace', ...ips()]
  const near = (): PluginHost => all.hosts[0]!
  const far = (): PluginHost => all.hosts[1]!
  const inOverlay = (host: PluginHost, ...command: string[]): Promise<string> =>
    host.plugin.exec(
      'nsenter',
      `--net=${host.plugin.stateFile(`netns/${pinName(subnet)}`)}`,
      ...command,
    )
  const underlay = async (...rules: string[]): Promise<void> => {
    for (const rule of rules) await all.onUnderlay('nft', rule)
  }
  const drop = (match: string) => (): Promise<void> =>
    underlay(
      'add table bridge fault',
      'add chain bridge fault forward { type filter hook forward priority 0; }',
      `add rule bridge fault forward ${match} drop`,
    )
  const pass = (): Promise<void> => underlay('delete table bridge fault')
  const row = (op: string, vtep: string) => (): Promise<string> =>
    inOverlay(near(), 'bridge', 'fdb', op, containers[1]!.mac, 'dev', 'vxlan0', 'dst', vtep, 'self')
  const neighbour = (op: string, mac: () => string) => (): Promise<string> => {
    const to = [containers[1]!.ip, 'lladdr', mac(), 'dev', 'vxlan0', 'nud', 'permanent']
    return inOverlay(near(), 'ip', 'neigh', op, ...to)
  }
  const portElement = (): string => {
    const { endpointId, ip } = containers[1]!
    return `{ "${portNameOf(subnet, endpointId)}" . ${ip} }`
  }
  const link = (host: () => PluginHost, name: string, state: string) => (): Promise<string> =>
    inOverlay(host(), 'ip', 'link', 'set', name, state)

  const faults: Fault[] = [
    {
      name: 'a firewall that drops VXLAN, by status',
      plant: drop('udp dport 4789'),
      undo: pass,
      command: () => ['status'],
      cause: /gossip with host-2 works, VXLAN does not, in neither direction; is 4789\/udp open/,
    },
    {
      name: 'a hole of 100 bytes in the MTU, by ping',
      plant: drop('udp dport 4789 meta length > 1400'),
      undo: pass,
      command: () => ['ping', 'host-2'],
      cause: /packets of 1450 bytes on \S+ do not reach host-2, at most 13[45]\d bytes do/,
    },
    {
      name: 'the same hole, by status',
      plant: drop('udp dport 4789 meta length > 1400'),
      undo: pass,
      command: () => ['status'],
      cause: /packets of 1450 bytes do not reach host-2, small ones do/,
    },
    {
      name: 'gossip’s datagrams that are dropped, by doctor',
      plant: drop('udp dport 7946'),
      undo: pass,
      command: () => ['doctor'],
      cause: /gossip by UDP with host-2 does not work/,
    },
    {
      name: 'an underlay with a smaller MTU, by doctor',
      plant: () => lab.run(far().netns, 'ip', 'link', 'set', 'eth0', 'mtu', '1400'),
      undo: () => lab.run(far().netns, 'ip', 'link', 'set', 'eth0', 'mtu', '1500'),
      command: () => ['doctor'],
      cause: /host-2 +MTU +WRONG +\S+ has 1450, and 1400 of the underlay leaves no room/,
    },
    {
      name: 'the far host’s bridge, by trace',
      plant: link(far, 'br0', 'down'),
      undo: link(far, 'br0', 'up'),
      command: trace,
      cause: /^! host-2, bridge: br0 is down/m,
    },
    {
      name: 'a lost FDB row, by trace',
      plant: row('del', '192.0.2.2'),
      undo: row('add', '192.0.2.2'),
      command: trace,
      cause: /^! host-1, FDB row: none for /m,
    },
    {
      name: 'a neighbour row with another MAC address, by trace',
      plant: neighbour('replace', () => '02:00:00:00:00:99'),
      undo: neighbour('replace', () => containers[1]!.mac),
      command: trace,
      cause: /^! host-1, neighbour row: \S+ is at 02:00:00:00:00:99, not at /m,
    },
    {
      name: 'a container’s link that is down, by trace',
      plant: () => lab.run(containers[1]!.netns, 'ip', 'link', 'set', 'eth0', 'down'),
      undo: () => lab.run(containers[1]!.netns, 'ip', 'link', 'set', 'eth0', 'up'),
      command: trace,
      cause: /^! host-2, link of \S+: the container’s end is down/m,
    },
    {
      name: 'a filter that does not let the far container answer, by trace',
      plant: () =>
        inOverlay(far(), 'nft', `delete element bridge ts-overlay-ports sources4 ${portElement()}`),
      undo: () =>
        inOverlay(far(), 'nft', `add element bridge ts-overlay-ports sources4 ${portElement()}`),
      command: trace,
      cause: /^! host-2, filter of \S+: the filter lets it send from no address/m,
    },
    {
      name: 'a tunnel filter that does not admit this host, by trace',
      plant: () => far().plugin.exec('nft', 'flush set inet ts-overlay-tunnels sources4'),
      // Its start repairs what differs; nft cannot write the keys of this set.
      undo: async () => {
        await far().kill()
        await far().start('192.0.2.1')
      },
      command: trace,
      cause: /^! host-2, tunnel filter: 192\.0\.2\.1 is not admitted/m,
    },
  ]

  it('is none when all is well', async () => {
    expect((await cli(...trace())).stdout).to.include('every hop is as it should be')
    // On a busy machine an answer is late, and a host that was suspect is told for some minutes.
    const isAnswered = async (): Promise<boolean> => {
      const { stdout, exitCode } = await cli('ping', 'host-2')
      return exitCode === 0 && /gossip, TCP +- +0 of 5/.test(stdout) && /1450 +0 of 5/.test(stdout)
    }
    await until(isAnswered, 'answers to all probes', gossipMostMs, 500)
    const unknown = await cli('ping', 'nobody')
    expect(unknown).to.include({ exitCode: 1 })
    expect(unknown.stderr).to.include('no other member "nobody"')
    expect((await cli('trace', 'host-1', containers[1]!.ip)).exitCode).to.equal(0)
    const isWell = async (): Promise<boolean> => {
      const { stdout, exitCode } = await cli('doctor')
      return exitCode === 0 && !stdout.includes('WRONG')
    }
    await until(isWell, 'doctor without a cause', 4 * gossipMostMs, 500)
  })

  for (const { name, plant, undo, command, cause } of faults)
    it(`is named: ${name}`, async () => {
      await plant()
      try {
        const isNamed = async (): Promise<boolean> => {
          const { stdout, exitCode } = await cli(...command())
          return exitCode === 1 && cause.test(stdout)
        }
        await until(isNamed, `${command().join(' ')} names it`, gossipMostMs, 500)
      } finally {
        await undo()
      }
      // Other findings may last: a host that was away for a moment is told for some minutes.
      const isOver = async (): Promise<boolean> =>
        !cause.test((await cli(...command())).stdout) && (await cli(...trace())).exitCode === 0
      await until(isOver, 'its end', gossipMostMs, 500)
    })
})
