import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { falseAlarms, healingTime } from '../support/measures.ts'
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

  for (const size of [2, 3, 10, 25]) {
    it(`after 30 s in two halves the views of ${size} are whole within 3 s`, async () => {
      await replayable(SEED, async () => {
        for (let run = 0; run < 10; run++) {
          const setting = { seed: SEED + run, size, config: tuned }
          expect(await healingTime(setting, 0.5, 30_000), `seed ${SEED + run}`).to.be.at.most(3000)
        }
      })
    })
  }

  it('so are those of 25 with a tenth cut off, and with 5 % loss', async () => {
    await replayable(SEED, async () => {
      for (let run = 0; run < 6; run++) {
        const setting = { seed: SEED + run, size: 25, config: tuned, conditions: { loss: 0.05 } }
        expect(await healingTime(setting, 0.1, 30_000), `seed ${SEED + run}`).to.be.at.most(3000)
      }
    })
  })
})
