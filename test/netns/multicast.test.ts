/** Frames to groups between the containers of three hosts, whole plugins. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { GroupSocket, sendTo } from './group-socket.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginContainers, type RunningContainer } from './plugin-containers.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'

const subnets = ['10.84.0.0/24', 'fd00:84::/64']

type Three = [RunningContainer, RunningContainer, RunningContainer]

/** Frames in flight arrive meanwhile. */
const settled = (): Promise<void> => sleep(300)

describe('multicast', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let containers: PluginContainers
  const sockets: GroupSocket[] = []
  let sent = 0
  let counters = 0

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`multicast skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    all = await PluginHosts.create(3, subnets, async (lab) => {
      containers = await PluginContainers.create(lab, ['a', 'b', 'c'])
      return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off', AUDIT_SECONDS: '5' }
    })
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close()
    await all?.close()
  })

  /** One container on each host. */
  async function three(options: Record<string, string>): Promise<RunningContainer[]> {
    const running: RunningContainer[] = []
    for (const [number, host] of all.hosts.entries()) {
      await host.story.createNetwork(options)
      const last = number + 10
      const wanted = [`10.84.0.${last}`, `fd00:84::${last}`]
      running.push(await containers.run(host, 'abc'[number]!, wanted))
    }
    return running
  }

  async function join({ netns, ips }: RunningContainer, group: string): Promise<GroupSocket> {
    const socket = await GroupSocket.join(netns, group, ips[group.includes(':') ? 1 : 0]!)
    sockets.push(socket)
    return socket
  }

  /** Sends until it has arrived: routes, filters and memberships follow within moments. */
  async function reaches(
    from: RunningContainer,
    group: string,
    to: readonly GroupSocket[],
  ): Promise<void> {
    const address = from.ips[group.includes(':') ? 1 : 0]!
    const arrived = async (): Promise<boolean> => {
      const text = `message-${++sent}`
      await sendTo(from.netns, group, address, [text])
      return to.every(({ received }) => received.some((line) => line.startsWith('message')))
    }
    for (const socket of to) socket.received.length = 0
    await until(arrived, `${from.name} to reach ${group}`, 30_000, 200)
  }

  async function dropped({ plugin }: PluginHost): Promise<Readonly<Record<string, number>>> {
    return (await plugin.status()).dataplane.overlays[0]!.dropped
  }

  /** Counts packets in a namespace that match an expression of `nft`. */
  async function counting(netns: string, expression: string): Promise<() => Promise<number>> {
    const name = `count${++counters}`
    const chain = 'type filter hook prerouting priority -400;'
    await all.run(netns, 'nft', 'add', 'table', 'inet', name)
    await all.run(netns, 'nft', 'add', 'chain', 'inet', name, 'c', `{ ${chain} }`)
    await all.run(netns, 'nft', 'add', 'rule', 'inet', name, 'c', `${expression} counter`)
    return async () => {
      const listed = await all.run(netns, 'nft', 'list', 'table', 'inet', name)
      return Number(/packets (\d+)/.exec(listed)![1])
    }
  }

  /** Of the frames that a host receives through tunnels, those to an IPv4 address. */
  const fromTunnel = (ip: string): string => {
    const [a, b, c, d] = ip.split('.').map(Number)
    const value = ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0
    return `udp dport 4789 @th,368,32 ${value}`
  }

  const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `text-${i}`)

  it('reaches the sockets that joined a group, on all hosts', async () => {
    const [a, b, c] = (await three({ multicast: 'on' })) as Three
    for (const group of ['224.0.0.251', 'ff02::fb', '239.1.2.3', 'ff05::1:3']) {
      const [onB, onC] = [await join(b, group), await join(c, group)]
      await reaches(a, group, [onB, onC])
      await reaches(c, group, [onB])
      expect(onB.received.at(-1)).to.include(c.ips[group.includes(':') ? 1 : 0])
      for (const socket of sockets.splice(0)) socket.close()
    }
    const onB = await join(b, '239.1.2.4')
    await reaches(a, '255.255.255.255', [onB])
    await reaches(c, '10.84.0.255', [onB])
  })

  it('is sent where somebody joined, to members with endpoints, and nothing else is', async () => {
    const [a, b, c] = (await three({ multicast: 'on' })) as Three
    const [one, two, three_] = all.hosts as [PluginHost, PluginHost, PluginHost]
    const send = (group: string, count = 1): Promise<void> =>
      sendTo(a.netns, group, a.ips[0]!, many(count))
    // For some seconds after it was made, the bridge floods.
    const unjoined = await counting(two.netns, fromTunnel('239.9.9.9'))
    const isStill = async (count: () => Promise<number>, group: string): Promise<boolean> => {
      const before = await count()
      await send(group, 20)
      await settled()
      return (await count()) === before
    }
    await until(() => isStill(unjoined, '239.9.9.9'), 'an unjoined group to stay', 60_000, 500)

    const onB = await join(b, '239.1.2.3')
    await reaches(a, '239.1.2.3', [onB])
    const inC = await counting(c.netns, 'ip daddr 239.1.2.3')
    const onHost = await counting(two.netns, fromTunnel('239.1.2.3'))
    await send('239.1.2.3', 20)
    await until(async () => (await onHost()) >= 20, 'the joined group to arrive', 20_000)
    expect(await inC(), 'frames in a container that did not join').to.equal(0)
    onB.leave()
    await until(() => isStill(onHost, '239.1.2.3'), 'a group to stay that all left', 60_000, 500)

    // Unicast to an address that nobody has is not multiplied.
    const unknown = await counting(two.netns, fromTunnel('10.84.0.77'))
    const nobody = ['10.84.0.77', 'lladdr', '02:42:0a:54:00:4d', 'dev', 'eth0', 'nud', 'permanent']
    await containers.in(a, 'ip', 'neigh', 'add', ...nobody)
    await send('10.84.0.77', 5)
    await until(async () => ((await dropped(one))['unknown'] ?? 0) >= 5, 'those to be dropped')
    expect(await unknown()).to.equal(0)

    // A host without endpoints gets nothing.
    const onThree = await counting(three_.netns, fromTunnel('224.0.0.251'))
    await three_.story.stop(c.endpointId)
    await until(() => isStill(onThree, '224.0.0.251'), 'the copies for a host to end', 30_000, 200)

    // At once, and without waiting for an answer.
    const flood = 'ping -n -q -I eth0 -c 9000 -l 9000 -w 1 224.0.0.251 || true'
    await until(
      async () => {
        await containers.in(a, 'sh', '-c', flood)
        return ((await dropped(one))['multicast'] ?? 0) > 0
      },
      'the limit to show',
      60_000,
      500,
    )
  })

  it('is off by default, and the same on all hosts', async () => {
    const [one, two] = all.hosts as [PluginHost, PluginHost, PluginHost]
    const known = async (): Promise<number> => (await two.plugin.status()).cluster.records.visible
    const before = await known()
    await one.story.createNetwork({ multicast: 'on' })
    await until(async () => (await known()) > before, 'the record to arrive')
    let refused = ''
    await two.story.createNetwork().catch((error: Error) => (refused = error.message))
    expect(refused).to.match(/multicast on; create the network with -o multicast=on/)
    await one.story.removeNetwork()
    const [a, b] = (await three({})) as Three
    const onB = await join(b, '224.0.0.251')
    const arrived = await counting(two.netns, fromTunnel('224.0.0.251'))
    await sendTo(a.netns, '224.0.0.251', a.ips[0]!, many(20))
    expect(await containers.lost(a, b)).to.equal(0)
    expect([await arrived(), onB.received]).to.deep.equal([0, []])
  })
})
