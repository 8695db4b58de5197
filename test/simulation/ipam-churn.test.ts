import { expect } from 'chai'
import { Churn } from './ipam-churn.ts'

/* `DEATHS=1000 SEED=7 npx mocha test/simulation/ipam-churn.test.ts` runs longer, or other. */

const seed = Number(process.env['SEED'] ?? 1)
const deaths = Number(process.env['DEATHS'] ?? 150)

/** All that a /24 has for containers. */
const usable = 253
/** Five that stay, four or five that come and go, and those that are dead and not forgotten yet. */
const votersMost = 16

describe('a /24 whose hosts come and go', function () {
  this.timeout(0)

  for (const [how, byHand] of [
    ['by themselves', false],
    ['by hand', true],
  ] as const) {
    it(`is not filled by those that died, forgotten ${how}`, async () => {
      const churn = new Churn(seed, byHand)
      try {
        await churn.run(deaths)
        expect(churn.forgotten).to.equal(deaths)
        expect(churn.votersMost).to.be.at.most(votersMost)
        expect(await churn.fill()).to.equal(usable)
      } finally {
        churn.end()
      }
    })
  }
})
