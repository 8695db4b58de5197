import { expect } from 'chai'
import { execa } from 'execa'
import { pinName } from '../../src/dataplane/linux/netlink/names.ts'
import type { HostView } from '../../src/wiring/views.ts'
import { callUnixSocket } from '../support/lab/unix-http.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginHosts, gossipMostMs } from './plugin-hosts.ts'

const obstacle = NetnsLab.obstacle()
const subnet = '10.44.0.0/24'

/** What a fault is made and unmade by on the underlay. */
const addTable = 'add table bridge fault'
const addChain = 'add chain bridge fault forward { type filter hook forward priority 0; }'
const drop = (match: string): string[] => [
  addTable,
  addChain,
  `add rule bridge fault forward ${match} udp dport 4789 drop`,
]

describe('the paths between hosts', function () {
  this.timeout(180_000)
  let all: PluginHosts

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`paths skipped: ${obstacle}\n`)
      this.skip()
    }
    all = await PluginHosts.create(2, subnet, { AUDIT_SECONDS: '3600' })
    for (const [index, { story }] of all.hosts.entries()) {
      await story.createNetwork()
      await story.start(`container ${index}`)
    }
  })
  after(() => all?.close())

  /** `CODE: text` of what each host finds about tunnels. */
  const found = (): Promise<string[][]> =>
    Promise.all(
      all.hosts.map(async ({ plugin }) => {
        const { findings } = await plugin.status()
        return findings.list
          .filter(({ code }) => code.startsWith('TUNNEL'))
          .map(({ code, text }) => `${code}: ${text}`)
      }),
    )
  const isFound = (expected: string[][]) => async () =>
    JSON.stringify(await found()) === JSON.stringify(expected)
  const nft = async (...rules: string[]): Promise<void> => {
    for (const rule of rules) await all.onUnderlay('nft', rule)
  }

  it('are measured', async () => {
    const tunnelOf = async (index: number) => {
      const { members } = (await all.hosts[index]!.plugin.status()) as unknown as {
        members: { self: boolean; tunnel: { state: string; rttMs: number; bytes: number } }[]
      }
      return members.find(({ self }) => !self)!.tunnel
    }
    for (const index of [0, 1]) {
      const isUp = async () => (await tunnelOf(index))?.bytes === 1450
      await until(isUp, 'the path is up', gossipMostMs, 200)
      expect(await tunnelOf(index)).to.include({ state: 'up' })
    }
    expect(await found()).to.deep.equal([[], []])
  })

  it('are between hosts that agree', async () => {
    const { body } = await callUnixSocket(all.hosts[0]!.plugin.socket, 'GET', '/views')
    const views = body as Record<string, HostView>
    expect(Object.keys(views)).to.have.members(['host-1', 'host-2'])
    expect(views['host-2']!.overlays[subnet]!.endpoints).to.equal(2)
    expect(views['host-1']!.clusterId).to.equal(views['host-2']!.clusterId)
  })

  const both = (other: string): string =>
    `TUNNEL_BLOCKED: gossip with ${other} works, VXLAN does not, in neither direction`
  const oneWay =
    'TUNNEL_ONE_WAY: VXLAN from host-1 does not arrive at host-2; the other direction works'
  const hole = 'TUNNEL_MTU: packets of 1450 bytes do not reach host-2, small ones do'
  const cases: [name: string, rules: string[], expected: string[][]][] = [
    ['a firewall that drops VXLAN both ways', drop(''), [[both('host-2')], [both('host-1')]]],
    ['one that drops it one way', drop('ip saddr 192.0.2.1'), [[oneWay], [oneWay]]],
    [
      'a hole of 100 bytes in the MTU, one way',
      drop('ip saddr 192.0.2.1 meta length > 1400'),
      [[hole], []],
    ],
  ]
  for (const [name, rules, expected] of cases)
    it(`show ${name} on the right hosts, and its end`, async () => {
      await nft(...rules)
      await until(isFound(expected), name, gossipMostMs, 200)
      await nft('delete table bridge fault')
      await until(isFound([[], []]), 'its end', gossipMostMs, 200)
    })

  it('show that every fifth packet is lost, on both hosts, and its end', async () => {
    await nft(addTable, addChain)
    await nft('add rule bridge fault forward udp dport 4789 numgen inc mod 5 == 0 drop')
    const isLossy = async (): Promise<boolean> =>
      (await found()).every(
        (list, index) =>
          list.length === 1 &&
          list[0]!.startsWith(`TUNNEL_LOSS: VXLAN to host-${2 - index} and back loses packets`),
      )
    await until(isLossy, 'loss', gossipMostMs, 200)
    await nft('delete table bridge fault')
    await until(isFound([[], []]), 'its end', gossipMostMs, 200)
  })

  it('have a link whose MTU is watched on its own host', async () => {
    const { netns, plugin } = all.hosts[1]!
    const mtu = (bytes: number) =>
      execa('nsenter', [`--net=${netns}`, 'ip', 'link', 'set', 'eth0', 'mtu', String(bytes)])
    const isTold = async (): Promise<boolean> => {
      const { findings } = await plugin.status()
      return findings.list.some(
        ({ code, text }) => code === 'UNDERLAY_MTU' && text.includes('leaves 1350 bytes'),
      )
    }
    await mtu(1400)
    await until(isTold, 'the smaller MTU', gossipMostMs, 200)
    await mtu(1500)
    await until(async () => !(await isTold()), 'its end', gossipMostMs, 200)
    await until(isFound([[], []]), 'the end of what it broke', gossipMostMs, 200)
  })

  it('show a bridge that is gone on the other host, and its return', async () => {
    const { plugin } = all.hosts[1]!
    const pin = plugin.stateFile(`netns/${pinName(subnet)}`)
    await plugin.exec('nsenter', `--net=${pin}`, 'ip', 'link', 'set', 'br0', 'down')
    await until(isFound([[oneWay], [oneWay]]), 'the bridge is down', gossipMostMs, 200)
    await plugin.exec('nsenter', `--net=${pin}`, 'ip', 'link', 'set', 'br0', 'up')
    await until(isFound([[], []]), 'its end', gossipMostMs, 200)
  })
})
