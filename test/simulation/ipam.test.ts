import { expect } from 'chai'
import { weather } from './ipam-storm.ts'

/*
 * Addresses under faults. `SEED=17 npx mocha test/simulation/ipam.test.ts` runs one seed again,
 * `SEEDS=1000` so many; `STEPS` makes each longer.
 */

const steps = Number(process.env['STEPS'] ?? 200)
const only = process.env['SEED']
const count = Number(process.env['SEEDS'] ?? 12)

function seedsFrom(first: number): number[] {
  if (only !== undefined) return [Number(only)]
  return Array.from({ length: count }, (_, i) => first + i)
}

describe('addresses in a storm', function () {
  this.timeout(600_000)

  it('loss, duplicates, delays, cuts and crashes: never one address twice', async () => {
    let given = 0
    for (const seed of seedsFrom(1)) {
      const { observer } = await weather(seed, { hosts: 4, steps, comingAndGoing: false })
      given += observer.given
    }
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(50 * count)
  })

  it('and hosts that join, leave, lose their disks and are forgotten', async () => {
    let given = 0
    for (const seed of seedsFrom(10_001)) {
      const { observer } = await weather(seed, { hosts: 5, steps, comingAndGoing: true })
      given += observer.given
    }
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(20 * count)
  })
})
