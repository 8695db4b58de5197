import { expect } from 'chai'
import { type StormOptions, weather } from './ipam-storm.ts'

/*
 * Addresses under faults. `SEED=17 npx mocha test/simulation/ipam.test.ts` runs one seed again,
 * `SEEDS=1000` runs this many; `STEPS` makes each longer, `SHOW=1` prints how much was asked and
 * answered. `SIM_LONG=1` runs four times as many seeds.
 */

const steps = Number(process.env['STEPS'] ?? 200)
const only = process.env['SEED']
const isLong = process.env['SIM_LONG'] === '1'
const count = Number(process.env['SEEDS'] ?? (isLong ? 24 : 6))

/** How many addresses were given in storms with all these seeds. */
async function storms(first: number, options: StormOptions): Promise<number> {
  const seeds = only === undefined ? Array.from({ length: count }, (_, i) => first + i) : [+only]
  const sum: Record<string, number> = { given: 0, released: 0 }
  const add = (what: string, times: number): number => (sum[what] = (sum[what] ?? 0) + times)
  for (const seed of seeds) {
    const { observer } = await weather(seed, options)
    add('given', observer.given)
    add('released', observer.released)
    for (const [code, times] of observer.refused) add(code, times)
  }
  if (process.env['SHOW'] !== undefined) {
    process.stdout.write(`    ${seeds.length} seeds: ${JSON.stringify(sum)}\n`)
  }
  return sum['given']!
}

describe('addresses in a storm', function () {
  this.timeout(0)

  it('loss, duplicates, delays, cuts and crashes: never one address twice', async () => {
    const given = await storms(1, { hosts: 4, steps, comingAndGoing: false })
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(50 * count)
  })

  it('and hosts that join, leave, lose their disks and are evicted', async () => {
    const given = await storms(10_001, { hosts: 5, steps, comingAndGoing: true })
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(20 * count)
  })

  it('and commands that are applied long after their client gave up', async () => {
    const options = { hosts: 5, steps, comingAndGoing: true, late: 0.7 }
    const given = await storms(20_001, options)
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(20 * count)
  })

  it('and disks that are full for a while, also through crashes', async () => {
    const options = { hosts: 4, steps, comingAndGoing: false, fullDisks: true }
    const given = await storms(30_001, options)
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(20 * count)
  })

  it('and all of that at once', async () => {
    const options = {
      hosts: 5,
      steps,
      comingAndGoing: true,
      fullDisks: true,
      oldDisks: true,
      late: 0.5,
    }
    const given = await storms(40_001, options)
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(10 * count)
  })

  it('and starts that reach nobody for a moment', async () => {
    const options = { hosts: 5, steps, comingAndGoing: true, joinMs: 40 }
    const given = await storms(50_001, options)
    if (only === undefined)
      expect(given, 'the storm leaves room to work').to.be.greaterThan(20 * count)
  })
})
