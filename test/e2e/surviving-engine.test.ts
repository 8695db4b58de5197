/**
 * Through the end of an engine, sudden or in good order, with and without live-restore, and of a
 * whole host: what comes back works, what does not leaves nothing, and all agree afterwards.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { disagreements } from '../support/lab/agreement.ts'
import {
  addressOf,
  createNetwork,
  expectAnswers,
  expectAnswersIn,
  host,
  members,
  ours,
  start,
} from './cluster.ts'
import { labImage } from '../support/lab/image.ts'
import { overlayKernel, overlayPins } from '../support/lab/overlay-kernel.ts'
import { Pinger, faultsOf } from '../support/lab/pinger.ts'
import { until } from '../support/lab/processes.ts'
import { onlyVni } from './leftovers.ts'

const live = ['--live-restore']
const always = ['--restart', 'always']
/** The containers' only process takes no notice of a signal to end. */
const brief = ['--stop-timeout', '1']
/** By then the other hosts have dropped what is gone. */
const goneWithinMs = 10_000
const isRunning = async (name: string): Promise<boolean> =>
  (await host(1).docker(['inspect', '--format', '{{.State.Running}}', name])).stdout.trim() ===
  'true'

/**
 * On host 1 a container that comes back with its address, one with any, and one that does not; on
 * host 2 one to talk to.
 */
async function containers(subnet: string): Promise<void> {
  await createNetwork(members(), 'n', [...ours, '--subnet', `${subnet}.0/24`])
  await start(host(1), 'n', 'fixed', [...brief, ...always, '--ip', `${subnet}.77`])
  await start(host(1), 'n', 'any', [...brief, ...always])
  await start(host(1), 'n', 'mortal', brief)
  await start(host(2), 'n', 'other', ['--ip', `${subnet}.88`])
}

/**
 * The containers that come back are reached, with the address that was asked for, and everybody
 * agrees.
 */
async function expectBack(subnet: string): Promise<void> {
  for (const name of ['fixed', 'any'])
    await until(() => isRunning(name), `${name} to be back`, 20_000, 100)
  expect(await addressOf(host(1), 'n', 'fixed')).to.equal(`${subnet}.77`)
  await expectAnswersIn(host(2), 'other', `${subnet}.77`)
  await expectAnswersIn(host(2), 'other', await addressOf(host(1), 'n', 'any'))
  await expectAnswersIn(host(1), 'any', `${subnet}.88`)
  expect(await disagreements(members())).to.deep.equal([])
}

describe('an engine that comes back', () => {
  it('has its containers again after kill -9, with the address that was asked for', async () => {
    await containers('10.81.0')
    await host(1).killEngine('SIGKILL')
    await host(1).startEngine()
    await expectBack('10.81.0')
    expect(await isRunning('mortal')).to.equal(false)
    await host(1).docker(['start', 'mortal'])
    await expectAnswersIn(host(2), 'other', await addressOf(host(1), 'n', 'mortal'))
  })

  it('has its containers again after an end in good order', async () => {
    await containers('10.81.1')
    await host(1).killEngine('SIGTERM')
    await host(1).startEngine()
    await expectBack('10.81.1')
  })

  it('loses no packet with live-restore, killed or ended, nor does the plugin after that', async () => {
    await containers('10.81.2')
    const pingers = [
      await Pinger.start(host(1), 'n', 'pinger', '10.81.2.88', brief),
      await Pinger.start(host(2), 'n', 'pinger', '10.81.2.77'),
    ]
    for (const pinger of pingers) await pinger.untilAnswered()
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await host(1).killEngine(signal)
      await host(1).startEngine(live)
    }
    // The socket of its API is another one, which only a new process of the plugin reaches.
    const isConnected = async (): Promise<boolean> => {
      const status = await host(1)
        .pluginStatus()
        .catch(() => null)
      return status?.engine?.connected === true
    }
    await until(isConnected, "a connection to the new engine's API", 40_000, 200)
    // The engine dials a plugin at most that long after its start; one that dies then it disables.
    await sleep(4000)
    // An engine that stops unmounts what plugins pinned; a plugin that is killed then must not take
    // the namespaces along.
    await host(1).exec(['kill', '-9', String(await host(1).pluginPid())])
    await expectBack('10.81.2')
    expect(await isRunning('mortal')).to.equal(true)
    for (const pinger of pingers) {
      await pinger.untilAnswered()
      expect(faultsOf(await pinger.stop()), 'a ping every 10 ms').to.deep.equal([])
    }
    // As it was before, for the tests to come.
    await host(1).killEngine('SIGTERM')
    await host(1).startEngine()
    await expectBack('10.81.2')
  })
})

describe('a host that reboots', () => {
  it('has its restarting containers again; the others drop what is gone; idle networks wait for a container', async () => {
    await containers('10.81.4')
    await createNetwork([host(1), host(2)], 'idle', [...ours, '--subnet', '10.81.5.0/24'])
    await start(host(1), 'idle', 'was-there')
    const gone = await addressOf(host(1), 'n', 'mortal')
    const vni = (await host(2).pluginStatus()).overlays.find(({ overlayId }) =>
      overlayId.startsWith('10.81.4'),
    )!.vni
    const rowsOfGone = async (): Promise<number> =>
      (await overlayKernel(host(2), vni))!.neighbours.filter(({ dst }) => dst === gone).length
    expect(await rowsOfGone()).to.equal(1)
    await host(1).powerOff()
    await until(async () => (await rowsOfGone()) === 0, 'the end of its rows', goneWithinMs, 100)
    await host(1).boot()
    await expectBack('10.81.4')
    expect(await overlayPins(host(1)), 'namespaces').to.have.length(1)
    const { overlays } = await host(1).pluginStatus()
    expect(overlays.flatMap(({ endpoints }) => endpoints)).to.have.length(2)
    await host(1).docker(['start', 'was-there'])
    await expectAnswers(host(2), 'idle', await addressOf(host(1), 'idle', 'was-there'))
    expect(await disagreements(members())).to.deep.equal([])
  })

  it('drops everything when no container comes back, also for the others', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.81.6.0/24'])
    await host(1).docker(['run', '-d', '--name', 'gone', '--network', 'n', labImage, 'sleep', '99'])
    await start(host(2), 'n', 'other')
    await host(1).reboot()
    const vni = await onlyVni(host(2))
    const isGone = async (): Promise<boolean> =>
      (await overlayKernel(host(2), vni))!.neighbours.length === 0
    await until(isGone, 'the end of its rows', goneWithinMs, 100)
    expect(await overlayPins(host(1))).to.deep.equal([])
    expect(await disagreements(members())).to.deep.equal([])
  })
})
