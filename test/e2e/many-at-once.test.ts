/**
 * 40 containers started on each of three hosts at the same moment, in one /24, with a cable cut in
 * the middle: no address twice, all reach each other afterwards, and the books are right. What
 * cannot be had meanwhile is refused with the reason.
 */
import { expect } from 'chai'
import type { IpamStatus } from '../../src/ipam/status.ts'
import { createNetwork, expectParts, host, members, ours } from './cluster.ts'
import { unreachedPairs } from '../support/lab/all-pairs.ts'
import { disagreements } from '../support/lab/agreement.ts'
import {
  type Placed,
  createContainer,
  removeContainer,
  startContainer,
} from '../support/lab/containers.ts'
import type { Host } from '../support/lab/host.ts'
import { until } from '../support/lab/processes.ts'
import { allContainers, tableDifferences } from '../support/lab/tables.ts'

const each = 40
const watched = { network: 'n', subnet: '10.18.0.0/24', gateway: '10.18.0.1' }
/** The cable goes when that many have started on the host. */
const beforeTheCut = 8
/**
 * More than the host can have without asking: its share of the pool is 40 addresses, and it claims
 * ahead.
 */
const moreAtMost = 40
const cut = (): Host => host(3)

/** Starts it and returns the reason if it is refused. */
async function tryToStart(on: Host, name: string): Promise<string | undefined> {
  return startContainer(on, name).then(
    () => undefined,
    (error: unknown) => String(error),
  )
}

/** The names of containers that were refused, each with the reason. */
type Refused = Map<string, string>

async function startAll(on: Host, onStarted: () => void): Promise<Refused> {
  const refused: Refused = new Map()
  await Promise.all(
    Array.from({ length: each }, async (_, i) => {
      const why = await tryToStart(on, `c${i}`)
      if (why === undefined) onStarted()
      else refused.set(`c${i}`, why)
    }),
  )
  return refused
}

/**
 * Goes on, one by one, until there is nothing more to be had without asking. Returns the names of
 * those that started.
 */
async function startUntilRefused(on: Host, refused: Refused): Promise<string[]> {
  const started: string[] = []
  for (let i = each; refused.size === 0 && i < each + moreAtMost; i++) {
    const name = `c${i}`
    await createContainer(on, 'n', name)
    const why = await tryToStart(on, name)
    if (why === undefined) started.push(name)
    else refused.set(name, why)
  }
  return started
}

async function untilAllAlive(on: Host): Promise<void> {
  const { length } = members()
  const isWhole = async (): Promise<boolean> =>
    (await on.pluginStatus()).members.filter(({ state }) => state === 'alive').length === length
  await until(isWhole, `${on.name} sees all`, 10_000, 50)
}

/**
 * Engine 20.10 may lose count when many go at once, and then takes the network for one that is in
 * use.
 */
async function removeInTurn(some: readonly Placed[]): Promise<void> {
  for (const one of some) await removeContainer(one.host, one.name)
}

/** What each host's books have of the pool. */
async function books(): Promise<IpamStatus[]> {
  const statuses = await Promise.all(members().map((on) => on.pluginStatus()))
  return statuses.map(({ ipam }) => ipam)
}

describe(`${each} containers on each of three hosts at once, and a cable cut meanwhile`, () => {
  it('have different addresses, reach each other, and are in the books', async function () {
    this.timeout(300_000)
    await createNetwork(members(), 'n', [...ours, '--subnet', watched.subnet])
    const names = Array.from({ length: each }, (_, i) => `c${i}`)
    await Promise.all(
      members().map(async (on) => {
        for (const name of names) await createContainer(on, 'n', name)
      }),
    )
    const [elsewhere, there] = await startThroughCut()
    for (const refused of elsewhere) expect([...refused]).to.deep.equal([])
    const away = await Promise.all(
      [host(1), host(2)].map(async (on) => (await on.pluginStatus()).member),
    )
    expect(there.refused.size).to.be.greaterThan(0)
    for (const why of there.refused.values())
      expectParts(why, ...away, watched.subnet, /no majority of the [23] voters/)

    await Promise.all(members().map(untilAllAlive))
    await Promise.all([...there.refused.keys()].map((name) => startContainer(cut(), name)))
    const all = await allContainers(members(), 'n')
    expect(all).to.have.length(each * 3 + there.more)
    expect(new Set(all.map(({ ip }) => ip)).size, 'different addresses').to.equal(all.length)
    expect(await tableDifferences(members(), watched, 3000)).to.deep.equal([])
    expect(await unreachedPairs('n', all), 'pairs without an answer').to.deep.equal([])
    expect(await disagreements(members())).to.deep.equal([])
    await expectBooks(all)
    process.stdout.write(
      `    ${all.length} containers, ${there.refused.size} refused during the cut of ${there.seconds} s\n`,
    )
    await Promise.all(members().map((on) => removeInTurn(all.filter(({ host: at }) => at === on))))
  })

  /** Starts all, cuts, and mends once the host without a cable has been refused. */
  async function startThroughCut(): Promise<
    [Refused[], { refused: Refused; more: number; seconds: string }]
  > {
    let started = 0
    let cutAt: number | undefined
    let cutting: Promise<void> | undefined
    const cutInTheMiddle = (): void => {
      if (++started < beforeTheCut) return
      cutAt ??= performance.now()
      cutting ??= cut().cutCable()
    }
    const [refused, ...elsewhere] = await Promise.all([
      startAll(cut(), cutInTheMiddle),
      startAll(host(1), () => {}),
      startAll(host(2), () => {}),
    ])
    await cutting
    const more = await startUntilRefused(cut(), refused)
    const seconds = ((performance.now() - cutAt!) / 1000).toFixed(1)
    await cut().mendCable()
    const isMore = [...refused.keys()].some((name) => Number(name.slice(1)) >= each)
    return [elsewhere, { refused, more: more.length + (isMore ? 1 : 0), seconds }]
  }

  /**
   * Each host's leases are its containers' addresses, no block has two owners, and nothing is
   * pending.
   */
  async function expectBooks(all: readonly Placed[]): Promise<void> {
    const isSettled = async (): Promise<boolean> =>
      (await books()).every(({ pools }) => pools.every(({ blocks }) => blocks.releasing === 0))
    await until(isSettled, 'the end of claims', 10_000, 100)
    const statuses = await books()
    for (const [i, { pools, conflicts }] of statuses.entries()) {
      expect(conflicts).to.deep.equal([])
      expect(pools).to.have.length(1)
      const leased = pools[0]!.leases.filter(({ kind }) => kind === 'container')
      const here = all.filter((one) => one.host === members()[i])
      expect(leased.map(({ ip }) => ip).toSorted()).to.deep.equal(
        here.map(({ ip }) => ip).toSorted(),
      )
    }
    const mine = statuses.flatMap(({ pools }) => pools[0]!.blocks.mine)
    expect(new Set(mine).size, 'blocks with one owner').to.equal(mine.length)
  }
})
