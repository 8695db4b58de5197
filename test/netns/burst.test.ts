import { expect } from 'chai'
import type { RowChange } from '../../src/dataplane/dataplane.ts'
import { maxBatch } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { type Ip, ipFromInteger } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import { bursts, recordsInBurst, withDataplane } from './burst.ts'
import { NetnsLab } from './netns-lab.ts'

/* A burst of records on its way into the kernel. How long it takes is for `make bench`. */

const obstacle = NetnsLab.obstacle()

/** FDB entries, each another one. */
const rows = (count: number): RowChange[] =>
  Array.from({ length: count }, (_, i) => {
    const mac = macOfIp(ipFromInteger(BigInt(0x0a_00_00_02 + i), 32))
    return { op: 'set', kind: 'fdb', mac, vtep: '192.0.2.2' as Ip }
  })

describe('a burst of records', function () {
  this.timeout(60_000)

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`burst of records skipped: ${obstacle}\n`)
    this.skip()
  })

  for (const [what, prepare] of Object.entries(bursts))
    it(`${what}: all arrive`, () =>
      withDataplane(async (dataplane) => {
        const burst = await prepare(dataplane)
        await burst.run()
        const { fdb, neighbours } = (await dataplane.dump('burst'))!
        expect(fdb).to.have.length(recordsInBurst)
        expect(neighbours).to.have.length(recordsInBurst)
        await burst.end()
      }))

  it('other work has its turn between batches, be they parts of a large call or calls of their own', () =>
    withDataplane(async (dataplane) => {
      const burst = await bursts['10,000 peers from the table into the kernel']!(dataplane)
      const batches = 8
      const large = (): Promise<unknown> => dataplane.apply('burst', rows(batches * maxBatch))
      expect(await turnsDuring(large)).to.be.at.least(batches - 1)
      const some = rows(maxBatch / 4)
      const many = async (): Promise<void> => {
        for (let n = 0; n < batches; n++) await dataplane.apply('burst', some)
      }
      expect(await turnsDuring(many)).to.be.at.least(batches - 1)
      await burst.end()
    }))
})

/** How often the event loop comes round while `work` runs. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let isOver = false
  const turn = (): void => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  isOver = true
  return turns
}
