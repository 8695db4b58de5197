import { expect } from 'chai'
import { Churn, type ChurnOptions } from './ipam-churn.ts'

/* `DEATHS=1000 SEED=7 npx mocha test/simulation/ipam-churn.test.ts` runs longer, or other; `SIM_LONG=1` has 1000. */

const seed = Number(process.env['SEED'] ?? 1)
const deaths = Number(process.env['DEATHS'] ?? (process.env['SIM_LONG'] === '1' ? 1000 : 60))

/** All that a /24 has for containers. */
const usable = 253
/** A /24 has 32 blocks. The dead keep one each, the core two each, those that come and go one each: 18 + 3 * 2 + 5 * 1 = 29. */
const small = { subnet: '10.0.0.0/24', coreSize: 3, coreAddresses: 12 }

async function churn(options: ChurnOptions, then: (churn: Churn) => Promise<void>): Promise<void> {
  const run = new Churn(seed, options)
  try {
    await run.run(deaths)
    expect(run.evicted).to.equal(deaths)
    await then(run)
  } finally {
    run.end()
  }
}

describe('a network whose hosts come and go', function () {
  this.timeout(0)

  it('a /24 is not filled by those that died, although more are dead at a time than alive', () =>
    churn({ ...small, deadAtATime: 18 }, async (run) => {
      expect(run.deadMost).to.be.within(18, 26)
      expect(await run.fill()).to.equal(usable)
    }))

  it('nor when an operator evicts each', () =>
    churn({ ...small, coreSize: 5, coreAddresses: 25, deadAtATime: null }, async (run) => {
      expect(await run.fill()).to.equal(usable)
    }))

  it('a thousand deaths in three weeks: 143 are dead within 72 h, eight alive', () =>
    churn({ ...small, subnet: '10.0.0.0/16', deadAtATime: 143 }, async (run) => {
      // The last renewal was up to a sixteenth of the time ago; a leader looks once a minute, 15 deaths here.
      expect(run.deadMost).to.be.within(Math.min(deaths, 143) * (15 / 16), 143 + 2 * 15 + 5)
    }))
})
