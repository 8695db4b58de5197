import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { falseAlarms, healing, type Setting } from '../support/measures.ts'
import { replayable, SEED } from '../support/seed.ts'
import { tuned } from '../support/simulation.ts'

const MINUTE = 60_000

describe(`faults (SEED=${SEED})`, function () {
  this.timeout(120_000)

  it('nobody dies falsely in ten minutes at 5 % loss', async () => {
    await replayable(SEED, async () => {
      const conditions = { loss: 0.05 }
      for (const size of [3, 10, 25]) {
        const setting = { seed: SEED, size, config: tuned, conditions }
        expect((await falseAlarms(setting, 10 * MINUTE)).failed).to.equal(0)
      }
    })
  })

  it('loss, duplication and reordering together kill nobody either', async () => {
    await replayable(SEED, async () => {
      const conditions = { loss: 0.05, duplication: 0.05, delayMs: [0.2, 60] as const }
      const setting = { seed: SEED, size: 10, config: lan, conditions }
      expect((await falseAlarms(setting, 10 * MINUTE)).failed).to.equal(0)
    })
  })

  const heals = async (setting: Omit<Setting, 'seed'>, share: number, runs: number) => {
    await replayable(SEED, async () => {
      for (let seed = SEED; seed < SEED + runs; seed++) {
        const { ms, relapses } = await healing({ ...setting, seed }, share, 30_000)
        expect(ms, `seed ${seed}`).to.be.at.most(3000)
        expect(relapses, `seed ${seed}`).to.equal(0)
      }
    })
  }

  for (const size of [2, 3, 10, 25]) {
    it(`after 30 s in two halves the views of ${size} agree within 3 s, for good`, async () => {
      await heals({ size, config: tuned }, 0.5, 10)
    })
  }

  for (const size of [10, 25]) {
    it(`so do those of ${size} with a tenth cut off, and with 5 % loss`, async () => {
      await heals({ size, config: tuned, conditions: { loss: 0.05 } }, 0.1, 6)
    })
  }

  it('so do those of 10 when gossip misses one of them (seed 269)', async () => {
    const setting = { seed: 269, size: 10, config: tuned, conditions: { loss: 0.05 } }
    expect((await healing(setting, 0.1, 30_000)).ms).to.be.at.most(3000)
  })
})
