import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts, gossipMostMs } from './plugin-hosts.ts'

const obstacle = NetnsLab.obstacle()
const answer = /^\[(\d+\.\d+)\] \d+ bytes from/
const route = ['ip', 'route', 'replace', 'default', 'dev', 'eth0']

describe('a host whose address changes', function () {
  this.timeout(300_000)
  let all: PluginHosts

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`moving hosts skipped: ${obstacle}\n`)
      this.skip()
    }
    all = await PluginHosts.create(3, '10.45.0.0/24', { ADVERTISE_ADDR: '' })
  })
  after(() => all?.close())

  /** As DHCP does with another lease. */
  async function readdress({ netns }: PluginHost, from: string, to: string): Promise<void> {
    const script = `ip addr del ${from}/24 dev eth0; ip addr add ${to}/24 dev eth0; ${route.join(' ')}`
    await all.run(netns, 'sh', '-c', script)
  }

  const isSeenAt = (host: PluginHost, name: string, address: string) => async () =>
    (await host.plugin.status()).members.some(
      (member) => member.name === name && member.address === address && member.state === 'alive',
    )

  it('is followed by the others, with its traffic', async () => {
    const containers: { netns: string; ip: string }[] = []
    for (const host of all.hosts) {
      await host.story.createNetwork()
      containers.push(await all.container(host, `c-${host.name}`))
    }
    const [first, second, third] = all.hosts as [PluginHost, PluginHost, PluginHost]
    const near = containers[0]!
    const far = containers[1]!
    const ping = ['ping', '-n', '-D', '-i', '0.05', '-w', '40', far.ip]
    const pinging = all.run(near.netns, ...ping)
    await until(isSeenAt(first, second.name, '192.0.2.2'), 'the first address', gossipMostMs)
    await readdress(second, '192.0.2.2', '192.0.2.77')
    await second.startAgain('192.0.2.1')
    for (const host of [first, third])
      await until(isSeenAt(host, second.name, '192.0.2.77'), 'the new address', gossipMostMs)
    const times = (await pinging).split('\n').flatMap((line) => answer.exec(line)?.[1] ?? [])
    const gaps = times.slice(1).map((time, i) => Number(time) - Number(times[i]))
    process.stdout.write(`      longest silence ${Math.max(...gaps).toFixed(1)} s\n`)
    const isAnswered = (): Promise<boolean> =>
      all
        .run(near.netns, 'ping', '-n', '-c', '1', '-W', '1', far.ip)
        .then(() => true)
        .catch(() => false)
    await until(isAnswered, 'an answer from the new address', gossipMostMs)
    for (const { plugin } of all.hosts) {
      const { findings } = await plugin.status()
      // A host that was killed or away is a finding for some minutes.
      const texts = findings.list.map(({ text }) => text)
      const isAway = /ECONNRESET|ECONNREFUSED|EHOSTUNREACH|ETIMEDOUT|answer/
      expect(texts.filter((text) => !isAway.test(text))).to.deep.equal([])
      expect(plugin.said).to.not.match(/MEMBER_NAME/)
    }
    expect(first.plugin.said + third.plugin.said).to.not.match(/copy of/)
  })

  it('is followed, too, when it is the first one of the cluster', async () => {
    const [first, second] = all.hosts as [PluginHost, PluginHost]
    await readdress(first, '192.0.2.1', '192.0.2.78')
    await first.startAgain('')
    await until(isSeenAt(second, first.name, '192.0.2.78'), 'the new address', gossipMostMs)
    await all.together()
  })
})
