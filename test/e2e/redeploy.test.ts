/**
 * Containers started and removed on all hosts at once, with the same few addresses moving from host
 * to host: no row is wrong for longer than it takes to tell, and none is wrong or left over when it
 * is calm again.
 */
import { expect } from 'chai'
import { type Random, below, pick, seededRandom, systemRandom } from '../../src/base/random.ts'
import { figure } from '../../bench/figures.ts'
import { createNetwork, expectAnswersIn, host, long, members, ours, start } from './cluster.ts'
import { disagreements } from '../support/lab/agreement.ts'
import { createContainer, removeContainer, startContainer } from '../support/lab/containers.ts'
import type { Host } from '../support/lab/host.ts'
import { RowWatch } from '../support/lab/row-watch.ts'
import { allContainers, tableDifferences } from '../support/lab/tables.ts'

const containers = long ? 200 : 60
const watched = { network: 'n', subnet: '10.17.0.0/24', gateway: '10.17.0.1' }
/** What containers are given that ask for none, apart from what others ask for. */
const range = '10.17.0.0/25'
/** Addresses that are asked for, few enough that each is wanted again soon after it is free. */
const asked = Array.from({ length: 18 }, (_, i) => `10.17.0.${200 + i}`)
/** Containers started at one time on a host, and those that run there beside these. */
const lanesPerHost = 3
const staySome = 3
/** What is wrong for longer is not on its way any more; the machine is busy. */
const toleranceMs = 2000

/** Ways for a container to end. */
const endings: readonly ((on: Host, name: string) => Promise<unknown>)[] = [
  removeContainer,
  (on, name) => on.docker(['stop', '-t', '0', name]).then(() => removeContainer(on, name)),
  (on, name) =>
    on.docker(['network', 'disconnect', '-f', 'n', name]).then(() => removeContainer(on, name)),
]

interface Running {
  readonly name: string
  readonly ip: string | undefined
}

class Redeployment {
  readonly #random: Random
  /** Free addresses, the one that was given up first in front, with the host that had it. */
  readonly #free: { ip: string; last: Host | undefined }[]
  readonly running = new Map<Host, Running[]>()
  readonly failures: string[] = []
  started = 0
  moved = 0

  constructor(random: Random) {
    this.#random = random
    this.#free = asked.map((ip) => ({ ip, last: undefined }))
    for (const on of members()) this.running.set(on, [])
  }

  /** Ends when all are started, or at the first failure. */
  async run(): Promise<void> {
    const lanes = members().flatMap((on) => Array.from({ length: lanesPerHost }, () => on))
    const isOver = (): boolean => this.started >= containers || this.failures.length > 0
    await Promise.all(
      lanes.map(async (on) => {
        while (!isOver()) await this.#replaceOne(on).catch((error) => this.#fail(error))
      }),
    )
  }

  #fail(error: unknown): void {
    this.failures.push(String(error))
  }

  async #replaceOne(on: Host): Promise<void> {
    const name = `c${++this.started}`
    // Every fourth takes what it is given.
    const ip = below(this.#random, 4) === 0 ? undefined : this.#take(on)
    await createContainer(on, 'n', name, ip)
    await startContainer(on, name)
    const here = this.running.get(on)!
    here.push({ name, ip })
    if (here.length > staySome) await this.#end(on, here.shift()!)
  }

  /** An address that was on another host, if there is one. */
  #take(on: Host): string | undefined {
    const index = this.#free.findIndex(({ last }) => last !== on)
    const [taken] = this.#free.splice(Math.max(index, 0), 1)
    if (taken?.last !== undefined && taken.last !== on) this.moved++
    return taken?.ip
  }

  async #end(on: Host, { name, ip }: Running): Promise<void> {
    await pick(this.#random, endings)!(on, name)
    if (ip !== undefined) this.#free.push({ ip, last: on })
  }
}

describe('a redeployment', () => {
  it(`of ${containers} containers over three hosts leaves no row wrong or left over`, async function () {
    this.timeout(300_000)
    const seed = Number(process.env['SEED'] || systemRandom.uint32())
    await createNetwork(members(), 'n', [...ours, '--subnet', watched.subnet, '--ip-range', range])
    for (const on of members()) await start(on, 'n', 'anchor')
    const redeployment = new Redeployment(seededRandom(seed))
    const watch = new RowWatch(members(), watched, toleranceMs)
    let isOver = false
    const watching = watch.run(() => isOver)
    await redeployment.run()
    isOver = true
    await watching
    figure('hosts: longest time that a row is late', watch.longestMs)
    const said = `${redeployment.started} started, ${redeployment.moved} with an address from another host`
    process.stdout.write(
      `    redeployment: ${said}; ${watch.looks} looks, a row late by ${watch.longestMs} ms at most\n`,
    )
    expect(redeployment.failures, `SEED=${seed}`).to.deep.equal([])
    expect(watch.violations, `SEED=${seed}`).to.deep.equal([])
    await expectCalm(redeployment)
    // Without them only the anchors' rows may be left.
    for (const [on, list] of redeployment.running)
      await Promise.all(list.map(({ name }) => removeContainer(on, name)))
    expect(await tableDifferences(members(), watched, toleranceMs)).to.deep.equal([])
    expect(await allContainers(members(), 'n')).to.have.length(members().length)
  })

  /**
   * Each host has the right rows, so each address's row points at the host that has it, and it
   * answers there.
   */
  async function expectCalm(redeployment: Redeployment): Promise<void> {
    expect(await tableDifferences(members(), watched, toleranceMs)).to.deep.equal([])
    const present = await allContainers(members(), 'n')
    const meant = [...redeployment.running.values()].flat().length + members().length
    expect(present).to.have.length(meant)
    for (const [on, list] of redeployment.running)
      for (const { name, ip } of list)
        if (ip !== undefined)
          expect(present.find((one) => one.ip === ip)).to.include({ host: on, name })
    for (const one of present.filter((other) => other.host !== host(1)))
      await expectAnswersIn(host(1), 'anchor', one.ip)
    expect(await disagreements(members())).to.deep.equal([])
  }
})
