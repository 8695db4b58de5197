/**
 * The kernel is a cache: what somebody changes by hand is put right within seconds, counted and
 * shown, and what is not ours is left alone, however it is called.
 */
import { expect } from 'chai'
import type { ReconcilerStatus } from '../../src/dataplane/reconcile/reconciler.ts'
import { createNetwork, expectAnswersIn, host, ours, start } from './cluster.ts'
import { onlyVni } from './leftovers.ts'
import { pluginName } from '../support/lab/host.ts'
import { hostLinks, overlayKernel, overlayPins } from '../support/lab/overlay-kernel.ts'
import { until } from '../support/lab/processes.ts'

const auditSeconds = '2'
/** An audit and the repair, ms. */
const repairMostMs = 5000
const there = '10.82.0.20'
const thereMac = '02:42:0a:52:00:14'
const here = '10.82.0.10'
const hereMac = '02:42:0a:52:00:0a'

/**
 * What is done in the overlay's namespace, and the kind of drift that it counts as. PORT: the
 * container's port.
 */
const sabotage: readonly (readonly [string, keyof ReconcilerStatus['drift']])[] = [
  [`bridge fdb del ${thereMac} dev vxlan0 dst 192.168.200.2 self`, 'fdb'],
  [`bridge fdb replace ${thereMac} dev vxlan0 dst 192.168.200.9 self permanent`, 'fdb'],
  ['bridge fdb add 02:99:99:99:99:99 dev vxlan0 dst 192.168.200.9 self permanent', 'fdb'],
  [`ip neigh del ${there} dev vxlan0`, 'neighbours'],
  [`ip neigh replace ${there} lladdr 02:99:99:99:99:99 dev vxlan0 nud permanent`, 'neighbours'],
  ['ip neigh add 10.82.0.99 lladdr 02:99:99:99:99:99 dev vxlan0 nud permanent', 'neighbours'],
  ['ip link set vxlan0 down', 'links'],
  ['ip link del vxlan0', 'links'],
  ['ip link set br0 mtu 1300', 'links'],
  ['ip link del br0', 'links'],
  ['ip link set PORT down', 'endpoints'],
  ['ip link set PORT nomaster', 'endpoints'],
  ['ip link del PORT', 'endpoints'],
]

/** Links that have nothing of ours but the looks. */
const strangers = [
  'ip link add tso12345678901h type bridge',
  'ip link add tsob type veth peer name tsoh',
  'ip link add ts-overlay type bridge',
  'ip link add vxlan0 type vxlan id 4242 dstport 4789 dev eth0',
  'ip link add br0 type bridge',
]

describe('sabotage by hand', () => {
  async function setAudit(seconds: string): Promise<void> {
    const commands = [
      ['plugin', 'disable', '-f', pluginName],
      ['plugin', 'set', pluginName, `AUDIT_SECONDS=${seconds}`],
      ['plugin', 'enable', pluginName],
    ]
    for (const command of commands) await host(1).docker(command)
  }
  before(() => setAudit(auditSeconds))
  after(() => setAudit('30'))

  const inside = async (command: string): Promise<string> => {
    const [pin] = await overlayPins(host(1))
    const ran = await host(1).exec(['nsenter', `--net=${pin}`, ...command.split(' ')])
    return ran.stdout
  }
  const drift = async (): Promise<ReconcilerStatus['drift']> =>
    (await host(1).pluginStatus()).dataplane.drift

  /** All that the overlay's namespace has, without what changes by itself. */
  async function everything(): Promise<string> {
    const lines = await Promise.all(
      ['ip -o link', 'ip -o addr', 'ip neigh', 'bridge fdb', 'bridge -d link'].map(inside),
    )
    // A veth pair that is made anew gets another address at the bridge's end.
    const portMac = /tso\w+b@.*link\/ether (\S+)/.exec(lines[0]!)?.[1] ?? 'none'
    return lines
      .join('\n')
      .replaceAll(portMac, 'PORTMAC')
      .replaceAll(/^\d+: /gm, '')
      .replaceAll(/@\w+|qlen \d+|state \w+|link-netns \S+|if\d+/g, '')
      .split('\n')
      .toSorted()
      .join('\n')
  }

  it(`is put right, ${sabotage.length} ways, each counted by its kind`, async function () {
    this.timeout(120_000)
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.82.0.0/24'])
    await start(host(1), 'n', 'here', ['--ip', here])
    await start(host(2), 'n', 'there', ['--ip', there])
    await expectAnswersIn(host(1), 'here', there)
    const port = /\btso\w+b(?=@|:)/.exec(await inside('ip -o link'))![0]
    for (const [template, kind] of sabotage) {
      const command = template.replaceAll('PORT', port)
      const [before, counted] = [await everything(), (await drift())[kind]]
      await inside(command)
      const isCounted = async (): Promise<boolean> => (await drift())[kind] > counted
      await until(isCounted, `a count of ${kind} after: ${command}`, repairMostMs, 20)
      const isRight = async (): Promise<boolean> => (await everything()) === before
      await until(isRight, `the repair after: ${command}`, repairMostMs, 100).catch(
        async (error: unknown) => {
          expect(await everything(), String(error)).to.equal(before)
        },
      )
      await expectAnswersIn(host(1), 'here', there)
    }
    expect(await inside('bridge fdb')).to.contain(hereMac)
    // The engine takes the link that was made anew for its own.
    for (const words of [['disconnect'], ['connect', '--ip', here]])
      await host(1).docker(['network', ...words, 'n', 'here'])
    await expectAnswersIn(host(1), 'here', there)
  })

  it('gives a link that it makes anew its IPv6 address, too', async () => {
    const pools = ['--ipv6', '--subnet', '10.82.2.0/24', '--subnet', 'fd00:82:2::/64']
    await createNetwork([host(1)], 'n', [...ours, ...pools])
    await start(host(1), 'n', 'here')
    /** The link's number, and its addresses. */
    const seen = async (): Promise<readonly [number: string, addresses: string]> => {
      const { stdout } = await host(1).docker(['exec', 'here', 'ip', '-o', 'addr'])
      const lines = [...stdout.matchAll(/^(\d+): eth0 +inet6? (\S+)/gm)]
      return [
        lines[0]?.[1] ?? '',
        lines
          .map(([, , address]) => address!)
          .toSorted()
          .join(),
      ]
    }
    const [number, addresses] = await seen()
    expect(addresses).to.contain('fd00:82:2:')
    const port = /\btso\w+b(?=@|:)/.exec(await inside('ip -o link'))![0]
    await inside(`ip link del ${port}`)
    const isBack = async (): Promise<boolean> => {
      const [present, now] = await seen()
      return present !== number && now === addresses
    }
    await until(isBack, `another link with ${addresses}`, repairMostMs, 100)
  })

  it("leaves others' links alone, with names like ours, and says where one is that is in the way", async () => {
    for (const command of strangers) await host(1).exec(command.split(' '))
    const names = async (): Promise<string[]> =>
      (await hostLinks(host(1)))
        .map(({ ifname }) => ifname)
        .filter((name) => /^(ts|vxlan0|br0)/.test(name))
        .toSorted()
    const before = await names()
    try {
      await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.82.1.0/24'])
      await start(host(1), 'n', 'here')
      await start(host(2), 'n', 'there', ['--ip', '10.82.1.20'])
      await expectAnswersIn(host(1), 'here', '10.82.1.20')
      const audits = async (): Promise<number> => (await host(1).pluginStatus()).dataplane.audits
      const audited = await audits()
      await until(async () => (await audits()) >= audited + 2, 'two audits', 10_000, 100)
      expect(await names()).to.deep.equal(before)
      expect(await overlayKernel(host(1), await onlyVni(host(1)))).to.not.equal(undefined)
      // The same VNI, port and namespace as a stranger's device: refused, with the remedy.
      const vni = ['-o', 'vni=4242', '-o', 'overlay=in-the-way', '--subnet', '10.82.2.0/24']
      await createNetwork([host(1)], 'in-the-way', ['-d', 'ts-overlay', ...vni])
      const words = ['run', '--rm', '--network', 'in-the-way', 'lab:latest', 'true']
      const refused = await host(1).docker(words, { reject: false })
      expect(refused.exitCode).to.not.equal(0)
      expect(refused.stderr).to.contain('ip link delete vxlan0')
      await host(1).exec(['ip', 'link', 'delete', 'vxlan0'])
      await host(1).docker(words)
    } finally {
      for (const name of before) await host(1).exec(['ip', 'link', 'del', name], { reject: false })
    }
  })
})
