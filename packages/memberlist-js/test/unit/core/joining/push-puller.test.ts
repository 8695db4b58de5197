import { expect } from 'chai'
import { lan, seededRandom, VirtualClock, type Member } from 'memberlist-js'
import { PushPuller } from '../../../../src/core/joining/push-puller.ts'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import { endpointOf } from '../../../support/cluster.ts'
import { SEED } from '../../../support/seed.ts'

function memberAt(index: number): Member {
  const versions = versionsFromBytes(null)
  const rest = { meta: new Uint8Array(), versions, incarnation: 1, since: 0 }
  return { name: `m${index}`, ...endpointOf(index), ...rest, state: 'alive' }
}

/** A member among `size` whose exchanges last that long and fail. */
function pullerAmong(size: number, lasting = 0) {
  const clock = new VirtualClock()
  const random = seededRandom(SEED)
  const roster = new Roster(random)
  for (let i = 0; i < size; i++) roster.set(memberAt(i))
  const times: number[] = []
  const partners = new Set<string>()
  const failures: string[] = []
  const puller = new PushPuller({
    config: lan,
    clock,
    random,
    roster,
    self: () => memberAt(0),
    contact: async ({ address }) => {
      times.push(clock.now())
      partners.add(address)
      if (lasting > 0) await new Promise<void>((done) => clock.setTimeout(done, lasting))
      throw new Error('nobody there')
    },
    count: (name) => failures.push(name),
  })
  return { clock, puller, times, partners, failures }
}

/** When a member among `size` exchanges states within an hour, and with how many others. */
async function exchangesAmong(size: number, lasting = 0) {
  const { clock, puller, ...seen } = pullerAmong(size, lasting)
  puller.start()
  await clock.advance(3_600_000)
  puller.stop()
  return seen
}

describe(`the regular exchange of states (SEED=${SEED})`, () => {
  // 30 s, once more for each doubling above 32.
  for (const [size, seconds] of [
    [2, 30],
    [32, 30],
    [33, 60],
    [100, 90],
    [1000, 180],
  ] as const) {
    it(`comes every ${seconds} s among ${size}, with anybody but ourselves`, async () => {
      const { times, partners, failures } = await exchangesAmong(size)
      expect(times[0]).to.be.at.most(1000 * seconds)
      const gaps = times.slice(1).map((at, i) => at - times[i]!)
      expect(new Set(gaps.map(Math.round))).to.deep.equal(new Set([1000 * seconds]))
      expect(partners.has(endpointOf(0).address)).to.equal(false)
      expect(partners.size).to.be.at.least(Math.min(size - 1, 10))
      expect(failures.length).to.equal(times.length)
    })
  }

  it('waits for one that takes long', async () => {
    const { times } = await exchangesAmong(10, 70_000)
    const gaps = times.slice(1).map((at, i) => at - times[i]!)
    expect(Math.min(...gaps)).to.be.greaterThan(80_000)
  })

  it('comes out of turn when it is asked for, not more often than once a second', async () => {
    for (const [size, seconds] of [
      [10, 1],
      [1000, 6],
    ] as const) {
      const { clock, puller, times } = pullerAmong(size)
      for (let i = 0; i < 120; i++) {
        puller.outOfTurn()
        await clock.advance(100)
      }
      expect(times, `among ${size}`).to.have.length(12 / seconds)
    }
  })

  it('alone has nobody', async () => {
    expect((await exchangesAmong(1)).times).to.deep.equal([])
  })
})
