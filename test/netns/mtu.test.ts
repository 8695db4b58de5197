/** Hosts whose underlays carry packets of different sizes, whole plugins. */
import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginContainers } from './plugin-containers.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'

describe('the MTU of an overlay', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let containers: PluginContainers
  let lab: NetnsLab

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null) return
    process.stdout.write(`MTUs skipped: ${obstacle}\n`)
    this.skip()
  })
  afterEach(() => all?.close())

  it('follows the smallest host, in containers that run', async () => {
    all = await PluginHosts.create(2, '10.85.0.0/24', async (made) => {
      lab = made
      containers = await PluginContainers.create(lab, ['a', 'b'])
      return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off', AUDIT_SECONDS: '5' }
    })
    const [one, two] = all.hosts as [PluginHost, PluginHost]
    const mtuOf = async (netns: string): Promise<number> =>
      (await lab.json(netns, 'ip', 'link', 'show', 'eth0'))[0]!.mtu!
    await one.story.createNetwork()
    const a = await containers.run(one, 'a')
    expect(await mtuOf(a.netns)).to.equal(1450)
    await all.run(two.netns, 'ip', 'link', 'set', 'eth0', 'mtu', '1400')
    await two.story.createNetwork()
    const b = await containers.run(two, 'b')
    expect(await mtuOf(b.netns)).to.equal(1350)
    await until(async () => (await mtuOf(a.netns)) === 1350, 'the running container to follow')
    expect(await lab.ping(a.netns, b.ips[0]!, 1350)).to.equal(true)
    expect(await lab.ping(b.netns, a.ips[0]!, 1350)).to.equal(true)
    await until(async () => {
      const { disagreements, dataplane } = await one.plugin.status()
      return disagreements.count === 0 && dataplane.overlays[0]!.mtu === 1350
    }, 'both hosts to agree')
  })
})
