import { expect } from 'chai'
import { Desk, refused } from './desk.ts'

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`
/** No request is answered later, ms. */
const answeredWithinMs = 8000

/** One of three is dead, and the other hears nothing for a while: its machine is busy. */
async function withSilence(
  silentMs: number,
  test: (desk: Desk, take: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await Desk.with(3, async (desk, one, two, three) => {
    for (const host of [one, two, three]) await desk.create(host, { subnet })
    await desk.gossip()
    three.crash(false)
    await desk.pass(200)
    const { clock, weather } = desk.world
    weather.loss = 1
    clock.setTimeout(() => (weather.loss = 0), silentMs)
    await test(desk, () => desk.take(one, id))
  })
}

describe('a claim whose deciding voter is silent', () => {
  for (const silentMs of [500, 1500, 3000])
    it(`waits for it when it is back after ${silentMs} ms`, () =>
      withSilence(silentMs, async (_, take) => {
        expect(await take()).to.match(/^10\.10\.0\./)
      }))

  it('fails in time when it is not', () =>
    withSilence(60_000, async ({ world: { clock } }, take) => {
      const began = clock.now()
      await refused(take(), 'NO_MAJORITY', '1 of 3 members gave their vote', 'h2', 'h3')
      expect(clock.now() - began).to.be.within(4500, answeredWithinMs)
    }))
})
