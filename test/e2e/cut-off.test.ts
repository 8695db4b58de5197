/**
 * A host whose cable is pulled is gone from the others' tables, and back once the cable is. How
 * soon is printed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { figure } from '../../bench/figures.ts'
import { createNetwork, expectAnswersIn, host, long, members, ours, start } from './cluster.ts'
import { disagreements } from '../support/lab/agreement.ts'
import type { Host } from '../support/lab/host.ts'
import { until } from '../support/lab/processes.ts'
import {
  allContainers,
  onlyPin,
  rowsAt,
  rowsWanted,
  tableDifferences,
} from '../support/lab/tables.ts'
import { untilKernelsMeet } from '../support/lab/underlay-neighbours.ts'

const cuts = long ? 10 : 2
/** No host needs longer, ms. */
const goneMostMs = 12_000
const backMostMs = 6000
/** How long the cable stays out after the others have noticed, by turns. */
const pausesMs = long ? [0, 3000, 15_000, 40_000] : [0, 2000]
/** A look at a host's tables takes some 20 ms. */
const pollMs = 10
const containersEach = 4
const watched = { network: 'n', subnet: '10.16.0.0/24', gateway: '10.16.0.1' }
const addressOn = (on: Host): string => `10.16.0.${100 + on.index}`

/** Milliseconds from now until the host's tables satisfy. */
async function msUntil(
  on: Host,
  satisfies: (rows: ReadonlySet<string>) => boolean,
  mostMs: number,
): Promise<number> {
  const began = performance.now()
  const pin = await onlyPin(on)
  const isSo = async (): Promise<boolean> => satisfies(new Set(await rowsAt(on, pin)))
  await until(isSo, `${on.name}'s tables`, mostMs, pollMs)
  return Math.round(performance.now() - began)
}

/** All IPv4 routes of each host's own, and of its containers of which others are asked. */
async function routesOf(on: Host): Promise<string[]> {
  const inside = `nsenter --net=/proc/$(docker inspect --format '{{.State.Pid}}' c0)/ns/net`
  const script = `ip -4 route show table all; echo in c0; ${inside} ip -4 route show table all`
  return (await on.exec(['sh', '-c', script])).stdout.split('\n').toSorted()
}

describe('a host whose cable is cut', () => {
  async function cutAndMend(
    victim: Host,
    pauseMs: number,
  ): Promise<{ gone: number; back: number }> {
    const others = members().filter((on) => on !== victim)
    const containers = await allContainers(members(), watched.network)
    const has = (rows: ReadonlySet<string>): boolean =>
      [...rows].some((row) => row.endsWith(`behind ${victim.address}`))
    const goneOn = others.map((on) => msUntil(on, (rows) => !has(rows), goneMostMs))
    await victim.cutCable()
    const gone = Math.max(...(await Promise.all(goneOn)))
    expect(await tableDifferences(others, watched, 1000), 'while it is away').to.deep.equal([])
    // The one without a cable may keep or hide what it cannot reach, but must have nothing else.
    const right = new Set(rowsWanted(victim, containers, watched))
    const wrong = (await rowsAt(victim, await onlyPin(victim))).filter((row) => !right.has(row))
    expect(wrong, `wrong on ${victim.name}`).to.deep.equal([])
    await sleep(pauseMs)
    const isWhole = (on: Host) => (rows: ReadonlySet<string>) =>
      rowsWanted(on, containers, watched).every((row) => rows.has(row))
    await victim.mendCable()
    const backOn = members().map((on) => msUntil(on, isWhole(on), backMostMs))
    return { gone, back: Math.max(...(await Promise.all(backOn))) }
  }

  /** The median, and the most. */
  const figures = (ms: readonly number[]): string => {
    const sorted = ms.toSorted((a, b) => a - b)
    return `median ${sorted[Math.floor((sorted.length - 1) / 2)]}, maximum ${sorted.at(-1)} ms`
  }

  it(`is gone from the others' tables and back in them, ${cuts} times, with nothing wrong in any`, async function () {
    this.timeout(60_000 + cuts * 60_000)
    await createNetwork(members(), 'n', [...ours, '--subnet', watched.subnet])
    await Promise.all(
      members().map(async (on) => {
        await start(on, 'n', 'c0', ['--ip', addressOn(on)])
        for (let i = 1; i < containersEach; i++) await start(on, 'n', `c${i}`)
      }),
    )
    expect(await tableDifferences(members(), watched, 3000)).to.deep.equal([])
    const routes = await Promise.all(members().map(routesOf))
    const taken: { gone: number; back: number }[] = []
    for (let cut = 0; cut < cuts; cut++) {
      // Host 1 is the one that the others joined.
      const victim = host(3 - ((cut * 2) % 3))
      taken.push(await cutAndMend(victim, pausesMs[cut % pausesMs.length]!))
      // The tables are right up to a second before the hosts themselves reach each other.
      await untilKernelsMeet(members())
      expect(await tableDifferences(members(), watched, 1000), 'afterwards').to.deep.equal([])
      expect(await Promise.all(members().map(routesOf))).to.deep.equal(routes)
      for (const on of members().filter((other) => other !== victim)) {
        await expectAnswersIn(on, 'c0', addressOn(victim))
        await expectAnswersIn(victim, 'c0', addressOn(on))
      }
      expect(await disagreements(members())).to.deep.equal([])
    }
    const [gone, back] = [taken.map((one) => one.gone), taken.map((one) => one.back)]
    figure('hosts: gone after a cut cable', Math.max(...gone))
    figure('hosts: back after a mended cable', Math.max(...back))
    process.stdout.write(`    cut off, gone after: ${figures(gone)}; back: ${figures(back)}\n`)
  })
})
