import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type LabHost, LabUnderlay } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()
const port = 7946

/** Sends so many short packets as fast as it can, from an address to another. */
const flood = `
  const [from, to, count] = process.argv.slice(1)
  const socket = require('node:dgram').createSocket(from.includes(':') ? 'udp6' : 'udp4')
  socket.bind(0, from, () => {
    let left = Number(count)
    const more = () => {
      for (let i = 0; i < 500 && left > 0; i++, left--) socket.send('x', ${port}, to)
      if (left > 0) setImmediate(more)
      else socket.close()
    }
    more()
  })
`

describe('the filter of the gossip port', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let stranger: LabHost
  let dataplane: LinuxDataplane

  before(function () {
    if (obstacle !== null) this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    host = await underlay.addHost()
    stranger = await underlay.addHost()
    const directory = lab.folder('limited')
    const parts = { directory, hostNetns: host.netns, gossipPort: port, logger: silentLogger }
    dataplane = new LinuxDataplane(parts)
    await dataplane.start()
  })

  afterEach(async () => {
    await dataplane.close()
    await host.close()
    await stranger.close()
    lab.close()
  })

  const run = (...command: string[]): Promise<string> => lab.run(host.netns, ...command)

  async function dropped(): Promise<Record<string, number>> {
    const { nftables } = JSON.parse(await run('nft', '-j', 'list', 'counters')) as {
      nftables: { counter?: { name: string; packets: number } }[]
    }
    const counters = nftables.flatMap(({ counter }) => counter ?? [])
    return Object.fromEntries(counters.map(({ name, packets }) => [name, packets]))
  }

  async function send(from: Ip, to: Ip, count: number): Promise<void> {
    await lab.run(stranger.netns, process.execPath, '-e', flood, from, to, String(count))
  }

  for (const family of ['vtep', 'vtep6'] as const)
    it(`drops what one source sends beyond its rate, by ${family}, and nothing of another`, async () => {
      await dataplane.ensureHost()
      await send(stranger[family], host[family], 1000)
      expect(await dropped()).to.include({ packets: 0 })
      await send(stranger[family], host[family], 60_000)
      const { packets } = await dropped()
      expect(packets).to.be.greaterThan(1000)
      const other = family === 'vtep' ? host.vtep6 : host.vtep
      await send(family === 'vtep' ? stranger.vtep6 : stranger.vtep, other, 1000)
      expect(await dropped()).to.include({ packets, connections: 0 })
    })

  it('is made again with that of the tunnels when somebody flushes them, and goes with the process', async () => {
    await dataplane.ensureOverlay(await host.links('uber-net', 5001))
    expect(await dataplane.ensureHost()).to.deep.equal(['filter made'])
    expect(await dataplane.ensureHost()).to.deep.equal([])
    await run('nft', 'delete', 'table', 'inet', 'ts-overlay-tunnels')
    expect(await dataplane.ensureHost()).to.deep.equal(['filter made'])
    await run('nft', 'flush', 'ruleset').catch(() => {})
    const changed = await dataplane.ensureHost()
    expect(changed).to.include('filter made')
    expect(await run('nft', 'list', 'tables')).to.match(/tunnels[^]*gossip|gossip[^]*tunnels/)
    await dataplane.removeOverlay('uber-net')
    await dataplane.close()
    expect(await run('nft', 'list', 'ruleset')).to.equal('')
  })
})
