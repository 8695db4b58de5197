import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Ipam } from '../../../src/ipam/ipam.ts'
import type { IpamCluster, IpamStore } from '../../../src/ipam/ports.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { FileStore } from '../../../src/store/file-store.ts'

/** A cluster of one, with nobody to talk to. */
const alone: IpamCluster = {
  self: 'h1',
  synced: () => true,
  voters: () => [{ name: 'h1', state: 'alive' }],
  ask: () => Promise.reject(new Error('nobody is there')),
  onAsk: () => {},
  blocks: () => [],
  publishBlock: () => {},
  withdrawBlock: () => {},
  pools: () => [],
  publishPool: () => {},
  withdrawPool: () => {},
  holderOf: () => null,
  onChange: () => {},
}

const rounds = 300
/** The machine may be busy with other things: the best of so many series at the most counts. */
const series = 5

describe('the time of an address from an owned block, with a real disk', function () {
  this.timeout(30_000)
  let directory = ''
  before(async () => (directory = await mkdtemp(join(tmpdir(), 'ts-overlay-latency-'))))
  after(() => rm(directory, { recursive: true }))

  it('is under a millisecond at the median, besides what the disk needs', async () => {
    const store = await FileStore.open(directory, { logger: silentLogger })
    try {
      const ipam = await ipamOn(store)
      const poolId = 'ts-overlay/10.20.0.0/16'
      const wish = { poolId, address: null, gateway: false }
      for (let i = 0; i < 50; i++) await ipam.requestAddress(wish)
      let leastMs = Infinity
      for (let n = 0; n < series && leastMs >= 1; n++) {
        const { diskMs, wholeMs } = await medians(store, ipam, wish)
        leastMs = Math.min(leastMs, wholeMs - diskMs)
        if (process.env['SHOW'] !== undefined) {
          process.stdout.write(
            `RequestAddress ${wholeMs.toFixed(3)} ms, of which the disk ${diskMs.toFixed(3)} ms\n`,
          )
        }
      }
      await ipam.stop()
      expect(leastMs).to.be.lessThan(1)
    } finally {
      await store.close()
    }
  })
})

/** Of a series of requests, and of writes that take turns with them. */
async function medians(
  store: IpamStore,
  ipam: Ipam,
  wish: { poolId: string; address: null; gateway: boolean },
): Promise<{ diskMs: number; wholeMs: number }> {
  const disk: number[] = []
  const whole: number[] = []
  for (let i = 0; i < rounds; i++) {
    disk.push(await timed(() => store.write([{ table: 'probe', key: 'k', value: i }])))
    let got = ''
    whole.push(await timed(async () => (got = await ipam.requestAddress(wish))))
    if (i % 2 === 0)
      await ipam.releaseAddress({ poolId: wish.poolId, address: got.split('/')[0] as Ip })
  }
  return { diskMs: median(disk), wholeMs: median(whole) }
}

async function ipamOn(store: IpamStore): Promise<Ipam> {
  const ipam = new Ipam({
    settings: { pools: [], scope: 'local', forgetAfterMs: 259_200_000 },
    store,
    cluster: alone,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  })
  await ipam.start()
  const pool = parseCidr('10.20.0.0/16')
  const wish = { space: 'ts-overlay', pool, subPool: null, options: {}, ipv6: false }
  await ipam.requestPool(wish)
  await ipam.bindPool('10.20.0.0/16', 'n1')
  return ipam
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!
}
