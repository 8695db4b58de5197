/**
 * Traffic goes on whatever happens to the plugin: killed, disabled and enabled, upgraded from a
 * registry, on one host or on several at once. While it is away containers run, and when it is back
 * new ones work.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { disagreements } from '../support/lab/agreement.ts'
import { figure } from '../../bench/figures.ts'
import { createNetwork, expectAnswers, host, members, ours, start } from './cluster.ts'
import type { Host } from '../support/lab/host.ts'
import { pluginName } from '../support/lab/host.ts'
import { Pinger, faultsOf } from '../support/lab/pinger.ts'
import { until } from '../support/lab/processes.ts'
import { registryAddress } from '../support/lab/registry.ts'

/** The engine dials a plugin at most that long after its start; one that dies then it disables. */
const engineDialsMs = 4000
/** Longer than it takes the others to find a member dead. */
const longerThanDeathMs = 6000

/** Networks on all members, a container on each of two hosts, and a pinger in each direction. */
async function withTraffic(subnet: string, disturb: () => Promise<void>): Promise<void> {
  await createNetwork(members(), 'n', [...ours, '--subnet', `${subnet}.0/24`])
  const addresses = [`${subnet}.11`, `${subnet}.12`]
  for (const i of [0, 1]) await start(host(i + 1), 'n', `target${i}`, ['--ip', addresses[i]!])
  const pingers = [
    await Pinger.start(host(1), 'n', 'pinger', addresses[1]!),
    await Pinger.start(host(2), 'n', 'pinger', addresses[0]!),
  ]
  for (const pinger of pingers) await pinger.untilAnswered()
  await disturb()
  await Promise.all(members().map(untilAllAlive))
  // A new container on each of the two, reached from the third host and from each other.
  for (const i of [0, 1]) {
    const address = await start(host(i + 1), 'n', `new${i}`)
    await expectAnswers(host(3), 'n', address)
    await expectAnswers(host(2 - i), 'n', address)
  }
  for (const pinger of pingers) {
    await pinger.untilAnswered()
    const tally = await pinger.stop()
    const { sent, lost, silentMs } = tally
    figure('hosts: longest silence of a ping', silentMs)
    process.stdout.write(
      `    ${sent} packets, ${lost} lost, ${silentMs} ms at most without an answer\n`,
    )
    expect(faultsOf(tally), 'a ping every 10 ms').to.deep.equal([])
  }
  expect(await disagreements(members())).to.deep.equal([])
}

const untilAllAlive = (on: Host): Promise<unknown> =>
  until(
    async () => {
      // Between two lives nobody answers.
      const status = await on.pluginStatus().catch(() => null)
      return status?.members.filter(({ state }) => state === 'alive').length === members().length
    },
    `${on.name}: all members alive`,
    20_000,
    100,
  )

const killPlugin = async (on: Host): Promise<void> => {
  const pid = await on.pluginPid()
  await on.exec(['kill', '-9', String(pid)])
  await until(
    async () => (await on.pluginPid().catch(() => pid)) !== pid,
    `${on.name}: another plugin process`,
    20_000,
  )
}
const disable = (on: Host) => on.docker(['plugin', 'disable', '-f', pluginName])
const enable = (on: Host) => on.docker(['plugin', 'enable', pluginName])

/** What host 3 says of a member. */
const seenByHost3 = async (on: Host) =>
  (await host(3).pluginStatus()).members.find(({ address }) => address === on.address)

describe('traffic', () => {
  it('loses nothing when the plugin is killed, on the first host and on one that joined it', () =>
    withTraffic('10.80.0', async () => {
      for (const on of [host(1), host(2), host(1)]) {
        await killPlugin(on)
        await untilAllAlive(on)
        await sleep(engineDialsMs)
      }
    }))

  it('loses nothing when the plugin is killed on all hosts at once', () =>
    withTraffic('10.80.1', async () => {
      await Promise.all(members().map(killPlugin))
    }))

  it('loses nothing while the plugin is disabled for longer than a death takes, on two hosts at once', () =>
    withTraffic('10.80.2', async () => {
      const both = [host(1), host(2)]
      await Promise.all(both.map(disable))
      try {
        for (const on of both) {
          const isGone = async () =>
            !['alive', 'suspect'].includes((await seenByHost3(on))?.state ?? 'alive')
          await until(isGone, `${on.name} is gone for host 3`, 20_000, 100)
          expect(await seenByHost3(on)).to.deep.include({ paused: true })
        }
      } finally {
        await Promise.all(both.map(enable))
      }
      await Promise.all(both.map(untilAllAlive))
      for (const on of both)
        expect(await seenByHost3(on)).to.deep.include({ state: 'alive', paused: false })
    }))

  it('loses nothing in an upgrade to another build, from a registry', async () => {
    const name = `${registryAddress}/ts-overlay/ts-overlay:next`
    const next = '9.9.9-next'
    await createAnotherBuild(host(2), name, next)
    await host(2).docker(['plugin', 'push', name])
    await host(2).docker(['plugin', 'rm', name])
    await withTraffic('10.80.3', async () => {
      const on = host(1)
      await disable(on)
      const flags = ['--grant-all-permissions', '--skip-remote-check']
      try {
        await on.docker(['plugin', 'upgrade', ...flags, pluginName, name])
      } finally {
        await enable(on)
      }
      const { version, overlays } = await on.pluginStatus()
      expect(version).to.equal(next)
      expect(overlays[0]!.endpoints.map(({ joined }) => joined)).to.deep.equal([true, true])
    })
  })
})

describe('a second installation of the plugin, under another name', () => {
  const other = 'ts-overlay/ts-overlay:other'

  it("leaves the first one's containers alone while that is disabled, and the first goes on with them", () =>
    withTraffic('10.80.4', async () => {
      const on = host(1)
      await createAnotherBuild(on, other, '9.9.9-other')
      await disable(on)
      try {
        await on.setPlugin({ JOIN: host(2).address }, other)
        await on.docker(['plugin', 'enable', other])
        await on.pluginStatusWhen(({ problems }) =>
          problems.some(({ message }) => message.includes('enable the plugin that started them')),
        )
        await sleep(longerThanDeathMs)
        await createNetwork([on], 'mine', [...ours, '--subnet', '10.80.5.0/24'])
        await start(on, 'mine', 'one')
        await on.docker(['rm', '-f', 'one'])
        await on.docker(['network', 'rm', 'mine'])
      } finally {
        await on.docker(['plugin', 'disable', '-f', other])
        await on.docker(['plugin', 'rm', other])
        await enable(on)
      }
    }))
})

/** Makes the build that is installed into one that calls itself otherwise, and a plugin of it. */
async function createAnotherBuild(on: Host, name: string, version: string): Promise<void> {
  const folder = '/lab/next-build'
  const { version: present } = await on.pluginStatus()
  const script = `
    mkdir ${folder} && cp -a /project/build/plugin/. ${folder}/
    sed -i 's/"${present.replaceAll('.', '\\.')}"/"${version}"/' ${folder}/rootfs/app/main.cjs
    docker plugin create ${name} ${folder}
    rm -rf ${folder}`
  await on.exec(['sh', '-euc', script])
}
