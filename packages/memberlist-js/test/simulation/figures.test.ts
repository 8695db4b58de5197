import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { broadcastTimes, deathTimes, median } from '../support/measures.ts'
import { replayable, SEED } from '../support/seed.ts'
import { tuned } from '../support/simulation.ts'

/** What hashicorp/memberlist 0.5.1 took, all members in one process on loopback, medians in ms. */
const goBroadcast = { 10: 295, 30: 488, 100: 574 }
const goDeath = { 10: [6000, 6500], 30: [7500, 9000], 100: [9800, 11_600] } as const

const loopback = { delayMs: [0.05, 0.3] } as const

/** Runs per size: enough for a steady median, few enough for a minute in all. */
const runs = { 10: 61, 30: 41, 100: 15 }
const deaths = { 10: 61, 30: 41, 100: 9 }

describe(`lan preset beside Go's figures (SEED=${SEED})`, function () {
  this.timeout(120_000)

  for (const size of [10, 30, 100] as const) {
    it(`a broadcast reaches all ${size} in about ${goBroadcast[size]} ms`, async () => {
      await replayable(SEED, async () => {
        const setting = { seed: SEED, size, config: lan, conditions: loopback }
        const { times, missed } = await broadcastTimes(setting, runs[size])
        expect(median(times) / goBroadcast[size]).to.be.within(0.75, 1.25)
        // An epidemic may miss somebody; with these presets it does in less than one broadcast of a
        // hundred.
        expect(missed).to.be.at.most(2)
      })
    })

    it(`the death of one of ${size} is seen in about ${goDeath[size].join(' to ')} ms`, async () => {
      await replayable(SEED, async () => {
        const times = []
        for (let run = 0; run < deaths[size]; run++) {
          const setting = { seed: SEED + run, size, config: lan, conditions: loopback }
          times.push(await deathTimes(setting))
        }
        const [first, last] = goDeath[size]
        expect(median(times.map((time) => time.first)) / first).to.be.within(0.75, 1.25)
        expect(median(times.map((time) => time.last)) / last).to.be.within(0.75, 1.25)
      })
    })
  }
})

/** SIM_LONG=1 lets as many die as make a maximum mean something: two minutes. */
const tunedDeaths = process.env['SIM_LONG'] === '1' ? 5000 : 200

describe(`tuned for the overlay plugin (SEED=${SEED})`, function () {
  this.timeout(tunedDeaths * 300)

  it(`the death of one of 25 is seen by all in 4 s (median), 6 s at most, ${tunedDeaths} deaths`, async () => {
    const times: number[] = []
    for (let seed = SEED; seed < SEED + tunedDeaths; seed++) {
      await replayable(seed, async () => {
        const { last } = await deathTimes({ seed, size: 25, config: tuned })
        expect(last).to.be.at.most(6000)
        times.push(last)
      })
    }
    expect(median(times)).to.be.at.most(4000)
  })
})
