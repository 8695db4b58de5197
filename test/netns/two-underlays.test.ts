import { expect } from 'chai'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginHosts, gossipMostMs } from './plugin-hosts.ts'

const obstacle = NetnsLab.obstacle()
/** The network of gossip carries no frame of an overlay. */
const rules = [
  'add table bridge data',
  'add chain bridge data forward { type filter hook forward priority 0; }',
  'add rule bridge data forward ip saddr 192.0.2.0/24 udp dport 4789 drop',
]

describe('hosts with a network for frames and one for gossip', function () {
  this.timeout(180_000)
  let all: PluginHosts

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`two underlays skipped: ${obstacle}\n`)
      this.skip()
    }
    all = await PluginHosts.create(2, '10.46.0.0/24')
    await all.onUnderlay('ip', 'link', 'add', 'data', 'type', 'bridge', 'mcast_snooping', '0')
    await all.onUnderlay('ip', 'link', 'set', 'data', 'up')
    for (const rule of rules) await all.onUnderlay('nft', rule)
    for (const [i, { netns }] of all.hosts.entries()) {
      const port = `data${i + 1}`
      const veth = ['type', 'veth', 'peer', 'name', 'eth1', 'netns', netns]
      await all.onUnderlay('ip', 'link', 'add', port, ...veth)
      await all.onUnderlay('ip', 'link', 'set', port, 'master', 'data', 'up')
      await all.run(netns, 'ip', 'addr', 'add', `198.51.100.${i + 1}/24`, 'dev', 'eth1')
      await all.run(netns, 'ip', 'link', 'set', 'eth1', 'up')
    }
  })
  after(() => all?.close())

  it('send each where it belongs', async () => {
    for (const [i, host] of all.hosts.entries()) {
      await host.kill()
      await host.start(i === 0 ? '' : '192.0.2.1', { DATA_ADDR: `198.51.100.${i + 1}` })
    }
    await all.together()
    const containers: { netns: string; ip: string }[] = []
    for (const host of all.hosts) {
      await host.story.createNetwork()
      containers.push(await all.container(host, `c-${host.name}`))
    }
    const ping = async (): Promise<boolean> =>
      await all
        .run(containers[0]!.netns, 'ping', '-n', '-c', '1', '-W', '1', containers[1]!.ip)
        .then(() => true)
        .catch(() => false)
    await until(ping, 'an answer through the data network', gossipMostMs, 200)
    const { members } = await all.hosts[0]!.plugin.status()
    const addresses = members.map(({ name, address }) => `${name} ${address}`)
    expect(addresses).to.have.members(['host-1 198.51.100.1', 'host-2 198.51.100.2'])
    for (const { plugin } of all.hosts) {
      const { findings } = await plugin.status()
      // A host that was killed has reset a handshake.
      const texts = findings.list.map(({ text }) => text)
      expect(texts.filter((text) => !text.includes('ECONNRESET'))).to.deep.equal([])
    }
  })
})
