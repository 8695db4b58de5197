import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { replayable, SEED } from '../support/seed.ts'
import { falseDeathsAmongSlow, withoutLifeguard } from '../support/slow-members.ts'

describe(`Lifeguard (SEED=${SEED})`, function () {
  this.timeout(120_000)

  it('keeps slow members from declaring healthy ones dead', async () => {
    await replayable(SEED, async () => {
      const plain = await falseDeathsAmongSlow(SEED, withoutLifeguard(lan), 5)
      const guarded = await falseDeathsAmongSlow(SEED, lan, 5)
      expect({ plain, guarded }).to.satisfy(() => plain > 0 && guarded < plain / 10)
    })
  })
})
