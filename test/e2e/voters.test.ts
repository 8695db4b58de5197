/**
 * Voters that die, return, are replaced and are given up, on two to five hosts. After each event,
 * containers start with addresses of their own on all hosts that should be able to, and what cannot
 * be had is refused with a sentence that names who is away and what heals.
 */
import { expect } from 'chai'
import { expectRefusal, long, ours } from './cluster.ts'
import { FiveHosts } from './five-hosts.ts'
import type { Host } from '../support/lab/host.ts'
import { Pinger, faultsOf } from '../support/lab/pinger.ts'
import { until } from '../support/lab/processes.ts'

const subnet = '10.30.0.0/24'
let nextPool = 31

describe('voters', function () {
  this.timeout(200_000)
  // One story: each test begins with the hosts as the one before left them.
  this.bail(true)
  let all: FiveHosts
  const host = (index: number): Host => all.host(index)

  before(async function () {
    this.timeout(400_000)
    all = await FiveHosts.create()
    await all.install(host(1))
    await all.install(host(2))
  })
  after(async function () {
    this.timeout(60_000)
    await all?.destroy()
  })
  afterEach(async function () {
    if (this.currentTest?.isFailed() !== true) return
    for (const on of all.running) {
      const lines = (await on.logs()).split('\n').filter((line) => line.includes(' plugin='))
      process.stdout.write(`${on.name}:\n${lines.slice(-15).join('\n')}\n`)
    }
  })

  /** A pool that nobody has yet takes a majority of the voters. */
  const tryNewPool = (on: Host) => {
    const args = ['--subnet', `10.${nextPool++}.0.0/24`, `new${nextPool}`]
    return on.docker(['network', 'create', ...ours, ...args], { reject: false })
  }
  const expectAgreement = async (on: Host): Promise<void> => {
    const isAgreed = async (): Promise<boolean> => (await tryNewPool(on)).exitCode === 0
    await until(isAgreed, `${on.name}: a new pool`, 30_000)
  }
  /** All of the dead are named; on a busy machine another voter may be too late to answer as well. */
  const expectNone = async (on: Host, voters: readonly Host[], dead: readonly Host[]) => {
    const voting = voters.map(({ name }) => name).toSorted()
    const missing = dead.map(({ name }) => name).toSorted()
    expectRefusal(
      await tryNewPool(on),
      `no majority of the ${voting.length} voters (${voting.join(', ')}) answers: `,
      new RegExp(`answers: [^.]*${missing.join('[^.]*')}[^.]* do(es)? not\\. `),
      'run `ts-overlay recover` on a voter that is left',
      '[QUORUM]',
    )
  }
  /** Traffic between two hosts goes on while `work` is done, without a packet lost. */
  const withTraffic = async (from: Host, to: Host, work: () => Promise<void>): Promise<void> => {
    const [target] = (await all.containers('n')).filter((one) => one.host === to)
    const pinger = await Pinger.start(from, 'n', `pinger${nextPool++}`, target!.ip)
    const before = await pinger.untilAnswered()
    await work()
    expect(faultsOf(await pinger.stop(before))).to.deep.equal([])
  }

  it('are both of a cluster of two: one alone goes on with its blocks, and is told whom it lacks', async () => {
    const [one, two] = [host(1), host(2)]
    await all.untilVoters(one, two)
    await all.createNetwork([one, two], 'n', subnet)
    await all.expectService('n')
    await all.powerOff(two)
    await all.untilSeen(one)
    await expectNone(one, [one, two], [two])
    await all.expectService('n')
    await all.boot(two)
    await all.untilVoters(one, two)
    await expectAgreement(two)
    await all.expectService('n')
  })

  it('are three: when the leader is killed the others lead, and lose no packet', async () => {
    await all.install(host(3))
    await all.untilVoters(host(1), host(2), host(3))
    await all.createNetwork([host(3)], 'n', subnet)
    await all.expectService('n')
    const leader = await all.leader()
    const [from, to] = all.running.filter((on) => on !== leader)
    await withTraffic(from!, to!, async () => {
      await all.powerOff(leader)
      await expectAgreement(from!)
      await all.expectService('n')
    })
    await all.boot(leader)
    await all.untilVoters(host(1), host(2), host(3))
    await all.expectService('n')
  })

  it('are five: two killed, the leader too, are no loss; three killed are named', async () => {
    const five = [1, 2, 3, 4, 5].map(host)
    await all.install(host(4), host(5))
    await all.untilVoters(...five)
    await all.createNetwork([host(4), host(5)], 'n', subnet)
    await all.expectService('n')
    const leader = await all.leader()
    const [second, third, from, to] = five.filter((on) => on !== leader)
    await withTraffic(from!, to!, async () => {
      await all.powerOff(leader, second!)
      await expectAgreement(from!)
      await all.expectService('n')
      await all.powerOff(third!)
      await all.untilSeen(from!)
      for (const on of [from!, to!]) await expectNone(on, five, [leader, second!, third!])
      await all.expectService('n')
    })
    await all.boot(leader, second!, third!)
    await all.untilVoters(...five)
    await all.expectService('n')
  })

  it('all reboot at once, and containers that are kept up have their addresses from the disk', async () => {
    const five = all.running
    await Promise.all(
      five.map((on) =>
        on.docker([
          'run',
          '-d',
          '--restart',
          'always',
          '--name',
          'kept',
          '--network',
          'n',
          'lab',
          'sleep',
          '3600',
        ]),
      ),
    )
    await all.powerOff(...five)
    await all.boot(...five)
    const isKept = async (): Promise<boolean> =>
      (await all.containers('n')).filter(({ name }) => name === 'kept').length === five.length
    await until(isKept, 'all containers that are kept up', 60_000)
    await all.untilVoters(...five)
    await all.expectService('n')
    await expectAgreement(five[4]!)
  })

  it('are replaced when a host is set up from nothing under the same name', async () => {
    const five = all.running
    const [lost] = five.filter((on) => on !== five[0])
    await all.powerOff(lost!)
    await all.replace(lost!)
    await all.untilVoters(...five)
    await all.createNetwork([lost!], 'n', subnet)
    await all.expectService('n')
    await expectAgreement(lost!)
  })

  it('are evicted: what the host had is free at once, and it returns as a newcomer', async () => {
    const five = all.running
    const gone = host(5)
    const held = (await all.containers('n')).find((one) => one.host === gone)!.ip
    expect(await all.admin(host(1), 'DELETE', '/members/host5')).to.include({
      code: 'MEMBER_ALIVE',
    })
    await all.powerOff(gone)
    await all.untilSeen(host(1))
    expect(await all.admin(host(1), 'DELETE', '/members/host5')).to.deep.equal({
      evicted: ['host5'],
    })
    const args = ['--network', 'n', '--ip', held, 'lab', 'sleep', '3600']
    await host(1).docker(['run', '-d', ...args])
    await all.expectService('n')
    await all.boot(gone)
    await all.untilVoters(...five)
    await all.expectService('n')
  })

  it('are given up by `recover` on one that is left, and those that return join it', async () => {
    const five = all.running
    const [survivor, other, ...dead] = five
    const refused = await all.admin(survivor!, 'POST', '/recover')
    expect(refused).to.include({ code: 'MEMBER_ALIVE' })
    // The host that returned last is made a voter when it has been there for a while.
    const voters = async (): Promise<number> => (await all.consensusOf(survivor!)).voters.length
    await until(async () => (await voters()) === five.length, 'five voters', 60_000)
    await all.powerOff(...dead)
    await all.untilSeen(survivor!)
    await expectNone(survivor!, five, dead)
    const recovered = await all.admin(survivor!, 'POST', '/recover')
    expect(recovered['cluster']).to.be.a('string')
    await all.untilVoters(survivor!, other!)
    await expectAgreement(other!)
    await all.expectService('n')
    // A host of the old cluster that returns, and is no majority of it, joins the new one.
    const [returned, ...more] = dead
    await all.boot(returned!)
    await all.untilVoters(survivor!, other!, returned!)
    expect((await all.consensusOf(returned!)).clusterId).to.equal(recovered['cluster'])
    await all.expectService('n')
    if (!long) return
    await all.boot(...more)
    await all.untilVoters(...five)
    await all.expectService('n')
  })
})
