/** What goes wrong: plugins, engines, cables and hosts, one thing at a time, at random. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Random, below, pick } from '../../src/base/random.ts'
import { type Host, pluginName } from '../support/lab/host.ts'
import { Pinger, faultsOf } from '../support/lab/pinger.ts'
import { until } from '../support/lab/processes.ts'
import { type SoakCluster, network } from './soak-cluster.ts'
import type { Tallies } from './tallies.ts'

interface Parts {
  readonly cluster: SoakCluster
  readonly random: Random
  readonly tallies: Tallies
}

type Fault = (parts: Parts, on: Host) => Promise<void>

const enginePause = 3000
const cablePause = 12_000

/**
 * With how often each comes. Those of the plugin alone are watched by a ping, which must not lose a
 * packet.
 */
const ofThePlugin: readonly (readonly [string, number, Fault])[] = [
  ['plugins killed', 6, (_, on) => killPlugin(on)],
  [
    'plugins killed on all hosts at once',
    1,
    async ({ cluster }) => void (await Promise.all(cluster.hosts.map(killPlugin))),
  ],
  ['plugins disabled and enabled', 3, disableAndEnable],
]
const others: readonly (readonly [string, number, Fault])[] = [
  ['engines killed and started', 3, (parts, on) => restartEngine(parts, on, 'SIGKILL', [])],
  [
    'engines killed and started, containers going on',
    2,
    (parts, on) => restartEngine(parts, on, 'SIGKILL', ['--live-restore']),
  ],
  ['engines ended and started', 2, (parts, on) => restartEngine(parts, on, 'SIGTERM', [])],
  ['hosts rebooted', 2, (_, on) => on.reboot()],
  ['cables cut and mended', 4, cutCable],
  ['times that packets were lost', 2, losePackets],
]

/** One of them, and waits until it is over. What it leaves behind is the check's business. */
export async function inject(parts: Parts): Promise<void> {
  const { cluster, random, tallies } = parts
  const all = [...ofThePlugin, ...others]
  let dice = below(
    random,
    all.reduce((sum, [, weight]) => sum + weight, 0),
  )
  const [what, , fault] = all.find(([, weight]) => (dice -= weight) < 0)!
  const on = pick(random, cluster.hosts)!
  tallies.note(`${what}: ${on.name}`)
  tallies.count(what)
  if (ofThePlugin.some(([name]) => name === what)) await watched(parts, on, () => fault(parts, on))
  else await fault(parts, on)
}

/** Pings from the host to the next one's anchor and back meanwhile. */
async function watched(parts: Parts, on: Host, work: () => Promise<void>): Promise<void> {
  const { cluster, tallies } = parts
  const next = cluster.hosts[on.index % cluster.hosts.length]!
  const pairs = [
    [on, next],
    [next, on],
  ] as const
  const watches: { pinger: Pinger; from: number }[] = []
  for (const [from, to] of pairs) {
    try {
      const brief = ['--stop-timeout', '1']
      const name = `p${from.index}`
      const pinger = await Pinger.start(from, network, name, cluster.anchorAddress(to), brief)
      watches.push({ pinger, from: await pinger.untilAnswered() })
    } catch (error) {
      // An earlier fault is not over for this host: nothing to watch by.
      tallies.note(`not watched from ${from.name}: ${String(error).split('\n')[0]}`)
      tallies.count('pings that an earlier fault left without an answer, not counted')
      await from.docker(['rm', '-f', `p${from.index}`], { reject: false })
    }
  }
  await work()
  await sleep(3000)
  for (const { pinger, from } of watches) {
    try {
      await pinger.untilAnswered()
    } catch (error) {
      tallies.violation(`after plugins were disturbed: ${String(error)}`)
    }
    const tally = await pinger.stop(from)
    tallies.count('packets sent while plugins were disturbed', tally.sent)
    tallies.count('packets lost while plugins were disturbed', tally.lost)
    for (const fault of faultsOf(tally)) tallies.violation(`while plugins were disturbed: ${fault}`)
  }
}

async function killPlugin(on: Host): Promise<void> {
  const pid = await on.pluginPid()
  await on.exec(['kill', '-9', String(pid)], { reject: false })
  const isAnother = async (): Promise<boolean> => (await on.pluginPid().catch(() => pid)) !== pid
  await until(isAnother, `${on.name}: another plugin process`, 30_000, 50)
  await untilPluginAnswers(on)
}

async function disableAndEnable({ random }: Parts, on: Host): Promise<void> {
  await on.docker(['plugin', 'disable', '-f', pluginName])
  await sleep(below(random, 8000))
  await on.docker(['plugin', 'enable', pluginName])
  await untilPluginAnswers(on)
}

async function restartEngine(
  { random }: Parts,
  on: Host,
  signal: 'SIGKILL' | 'SIGTERM',
  flags: readonly string[],
): Promise<void> {
  await on.killEngine(signal)
  await sleep(below(random, enginePause))
  await on.startEngine(flags)
}

async function cutCable({ random }: Parts, on: Host): Promise<void> {
  await on.cutCable()
  await sleep(below(random, cablePause))
  await on.mendCable()
}

async function losePackets({ random }: Parts, on: Host): Promise<void> {
  await on.setLoss(5 + below(random, 30))
  await sleep(below(random, cablePause))
  await on.setLoss(0)
}

const untilPluginAnswers = (on: Host): Promise<void> =>
  until(
    () =>
      on.pluginStatus().then(
        () => true,
        () => false,
      ),
    `${on.name}: the plugin's answer`,
    30_000,
    50,
  )
