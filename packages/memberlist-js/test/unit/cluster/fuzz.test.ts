import { expect } from 'chai'
import { Attack } from '../../support/attack.ts'
import { replayable, SEED } from '../../support/seed.ts'

const VOLLEYS = 25

describe(`rubbish from the network (SEED=${SEED})`, function () {
  this.timeout(30_000)

  it('does not change what keyed members think, and is counted', async () => {
    await replayable(SEED, async () => {
      await using attack = await Attack.prepare(SEED, true)
      for (let volley = 0; volley < VOLLEYS; volley++) {
        await attack.volley()
        expect(attack.views()).to.deep.equal(['m0,m1,m2', 'm0,m1,m2', 'm0,m1,m2'])
      }
      for (const { counters } of attack.cluster.lists) {
        for (const reason of ['wrong-key', 'malformed', 'truncated', 'replayed']) {
          expect(counters[`packet-${reason}`], reason).to.be.greaterThan(40)
        }
      }
    })
  })

  it('does not bring down members without a key, nor make them lose each other', async () => {
    await replayable(SEED, async () => {
      await using attack = await Attack.prepare(SEED, false)
      for (let volley = 0; volley < VOLLEYS; volley++) await attack.volley()
      // What was made up well enough to be believed is probed, found dead and forgotten.
      await attack.cluster.clock.advance(120_000)
      expect(attack.views()).to.deep.equal(['m0,m1,m2', 'm0,m1,m2', 'm0,m1,m2'])
    })
  })
})
