import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { gossipMostMs, type PluginHost, PluginHosts } from './plugin-hosts.ts'

/*
 * A host that is gone is evicted with the command line, as an operator does it, and returns after
 * all: three plugins, each a process in a network namespace of its own, on one underlay.
 */

const obstacle = NetnsLab.obstacle()
const subnet = '10.70.0.0/24'

describe('a host that is evicted by hand', function () {
  this.timeout(120_000)
  let all: PluginHosts

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`forgetting a host skipped: ${obstacle}\n`)
      this.skip()
    }
    all = await PluginHosts.create(3, subnet)
  })
  after(() => all?.close())

  /** `ts-overlay ARGS` on that host, with the program that ships. */
  const cli = ({ plugin }: PluginHost, ...args: string[]) =>
    execa('node', [join(all.program.folder, 'cli.cjs'), '--socket', plugin.socket, ...args], {
      preferLocal: true,
      reject: false,
    })
  const refusalOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'succeeded',
      (error: Error) => error.message,
    )
  const conflictsOf = async (host: PluginHost) => (await host.ipam()).conflicts

  it('gives its addresses to others at once, and back what nobody took; the rest is reported on both sides', async () => {
    const [one, two, three] = all.hosts as [PluginHost, PluginHost, PluginHost]
    for (const { story } of all.hosts) await story.createNetwork()
    const addresses: string[] = []
    for (const name of ['taken', 'kept']) {
      const { endpointId } = await three.story.start(name)
      addresses.push(three.story.containers.get(endpointId)!.split('/')[0]!)
    }
    const [taken, kept] = addresses as [string, string]

    await three.kill()
    const isDead = async (on: PluginHost): Promise<boolean> =>
      /^host-3 +192\.0\.2\.3 +dead /m.test((await cli(on, 'members')).stdout)
    for (const on of [one, two])
      await until(() => isDead(on), `${on.name}: host-3 is dead`, gossipMostMs, 200)
    expect(await refusalOf(one.story.start('too early', taken))).to.contain(taken)

    expect(await cli(one, 'evict', 'host-3')).to.include({
      exitCode: 0,
      stdout: 'evicted: host-3',
    })
    const { endpointId } = await one.story.start('takes it', taken)
    expect(one.story.containers.get(endpointId)).to.equal(`${taken}/24`)

    await three.start('192.0.2.1')
    const sides = [
      [one, 'host-3'],
      [three, 'host-1'],
    ] as const
    for (const [side] of sides) {
      const isReported = async () => (await conflictsOf(side)).length > 0
      await until(isReported, `${side.name}: a conflict`, gossipMostMs, 100)
    }
    for (const [side, member] of sides) {
      const conflict = { poolKey: subnet, ip: taken, member }
      expect(await conflictsOf(side), side.name).to.deep.equal([conflict])
      const linesOf = () =>
        side.plugin.said.split('\n').filter((line) => line.includes('same address'))
      await until(() => linesOf().length > 0, `${side.name}: a line in the log`)
      const told = linesOf()
      expect(told, side.name).to.have.length(1)
      expect(told[0]).to.contain(taken).and.contain(member)
      const refused = await refusalOf(side.story.start('next'))
      expect(refused, side.name).to.contain(taken).and.contain(member)
      await side.story.start('the one after')
    }
    expect(await conflictsOf(two)).to.deep.equal([])
    // What nobody took is host-3's again.
    const leases = (await three.ipam()).pools[0]!.leases.map(({ ip }) => ip)
    expect(leases).to.include.members([taken, kept])
    for (const other of [one, two])
      expect(await refusalOf(other.story.start('too late', kept))).to.contain(kept)

    await one.story.stop(endpointId)
    for (const [side] of sides)
      await until(
        async () => (await conflictsOf(side)).length === 0,
        `${side.name}: the end of the conflict`,
        gossipMostMs,
        100,
      )
  })
})
