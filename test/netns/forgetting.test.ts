import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import type { IpamStatus } from '../../src/ipam/status.ts'
import { EngineStory } from '../support/engine-story.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { until } from '../support/lab/processes.ts'
import { type Program, PluginProcess, bundleProgram } from '../support/plugin-process.ts'
import { NetnsLab } from './netns-lab.ts'

/*
 * A host that is gone is forgotten with the command line, as an operator does it, and returns after all: three plugins, each a
 * process in a network namespace of its own, on one underlay.
 */

const obstacle = NetnsLab.obstacle()
const subnet = '10.70.0.0/24'
/** Some members are found dead by others, or found again, within seconds; the machine may be busy. */
const gossipMostMs = 30_000
/** A vote and the disk: some 50 ms on a machine that has nothing else to do. */
const atOnceMs = 1500

interface PluginHost {
  readonly name: string
  readonly netns: string
  readonly folder: string
  readonly address: string
  plugin: PluginProcess
  engine: FakeEngine
  readonly story: EngineStory
}

describe('a host that is forgotten by hand', function () {
  this.timeout(120_000)
  let lab: NetnsLab
  let folder: string
  let program: Program
  const hosts: PluginHost[] = []

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`forgetting a host skipped: ${obstacle}\n`)
      this.skip()
    }
    program = await bundleProgram()
    lab = await NetnsLab.create()
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-forgetting-'))
    const underlay = await lab.namespace('underlay')
    await lab.run(underlay, 'ip', 'link', 'add', 'wire', 'type', 'bridge', 'mcast_snooping', '0')
    await lab.run(underlay, 'ip', 'link', 'set', 'wire', 'up')
    for (const number of [1, 2, 3]) hosts.push(await addHost(underlay, number))
    await lab.forwarding(underlay)
    await until(
      async () => (await Promise.all(hosts.map(allAlive))).every(Boolean),
      'three members',
      gossipMostMs,
    )
  })

  after(async () => {
    for (const { plugin, engine } of hosts) {
      engine.close()
      await plugin.end('SIGKILL')
    }
    lab?.close()
    await program?.remove()
    if (folder !== undefined) await rm(folder, { recursive: true })
  })

  async function addHost(underlay: string, number: number): Promise<PluginHost> {
    const name = `host-${number}`
    const netns = await lab.namespace(name)
    const address = `192.0.2.${number}`
    const port = `port${number}`
    const veth = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]
    await lab.run(underlay, 'ip', 'link', 'add', port, ...veth)
    await lab.run(underlay, 'ip', 'link', 'set', port, 'master', 'wire', 'up')
    await lab.run(netns, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
    const host = { name, netns, folder: join(folder, name), address }
    const plugin = await startPlugin(host)
    const engine = new FakeEngine({ socket: plugin.managed, version: '28.5.2' })
    return { ...host, plugin, engine, story: new EngineStory(engine, subnet) }
  }

  function startPlugin(host: Pick<PluginHost, 'name' | 'netns' | 'folder' | 'address'>) {
    const { name, netns, address } = host
    const env = {
      ADVERTISE_ADDR: address,
      MEMBER_NAME: name,
      ...(name === 'host-1' ? {} : { JOIN: '192.0.2.1' }),
    }
    return PluginProcess.start({ program, netns, folder: host.folder, env })
  }

  async function allAlive({ plugin }: PluginHost): Promise<boolean> {
    const { members } = await plugin.status()
    return members.filter(({ state }) => state === 'alive').length === 3
  }

  /** `ts-overlay ARGS` on that host, with the program that ships. */
  const cli = ({ plugin }: PluginHost, ...args: string[]) =>
    execa('node', [join(program.folder, 'cli.cjs'), '--socket', plugin.socket, ...args], {
      preferLocal: true,
      reject: false,
    })
  const refusalOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'succeeded',
      (error: Error) => error.message,
    )
  const ipamOf = async ({ plugin }: PluginHost): Promise<IpamStatus> =>
    (await plugin.status()).ipam as IpamStatus
  const conflictsOf = async (host: PluginHost) => (await ipamOf(host)).conflicts

  it('gives its addresses to others at once, and back what nobody took; the rest is reported on both sides', async () => {
    const [one, two, three] = hosts as [PluginHost, PluginHost, PluginHost]
    for (const { story } of hosts) await story.createNetwork()
    const addresses: string[] = []
    for (const name of ['taken', 'kept']) {
      const { endpointId } = await three.story.start(name)
      addresses.push(three.story.containers.get(endpointId)!.split('/')[0]!)
    }
    const [taken, kept] = addresses as [string, string]

    three.engine.close()
    await three.plugin.end('SIGKILL')
    const isDead = async (on: PluginHost): Promise<boolean> =>
      (await cli(on, 'members')).stdout.includes('host-3\t192.0.2.3\tdead')
    for (const on of [one, two])
      await until(() => isDead(on), `${on.name}: host-3 is dead`, gossipMostMs, 200)
    expect(await refusalOf(one.story.start('too early', taken))).to.contain(taken)

    expect(await cli(one, 'forget', 'host-3')).to.include({
      exitCode: 0,
      stdout: 'forgotten: host-3',
    })
    const began = performance.now()
    const { endpointId } = await one.story.start('takes it', taken)
    const tookMs = Math.round(performance.now() - began)
    process.stdout.write(`    its address was taken after ${tookMs} ms\n`)
    expect(tookMs).to.be.lessThan(atOnceMs)
    expect(one.story.containers.get(endpointId)).to.equal(`${taken}/24`)

    three.plugin = await startPlugin(three)
    three.engine = new FakeEngine({ socket: three.plugin.managed, version: '28.5.2' })
    three.story.with(three.engine)
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
    const leases = (await ipamOf(three)).pools[0]!.leases.map(({ ip }) => ip)
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
