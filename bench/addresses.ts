/**
 * How long addresses take, with real disks: from an owned block on a host that is alone, and on
 * five hosts with real sockets.
 *
 *     node --conditions=source bench/addresses.ts
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../src/base/logger.ts'
import type { Ip } from '../src/net/ip.ts'
import { parseCidr } from '../src/net/cidr.ts'
import { FileStore } from '../src/store/file-store.ts'
import { LoopbackPlugins } from '../test/simulation/ipam-plugins.ts'
import { figure, median, print, spread, table } from './figures.ts'

const hosts = 5
const networks = 40
const requests = 300
const atOnce = 1000

const times = {
  pool: [] as number[],
  first: [] as number[],
  next: [] as number[],
  owned: [] as number[],
  disk: [] as number[],
}

async function timed<T>(into: number[], work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  into.push(performance.now() - began)
  return result
}

/** Two hosts take their first block of each of many networks. */
async function blocks(plugins: LoopbackPlugins): Promise<void> {
  for (let i = 0; i < networks; i++) {
    const pool = parseCidr(`10.50.${i}.0/24`)!
    for (const host of [1 + (i % hosts), 1 + ((i + 2) % hosts)]) {
      const id = await timed(times.pool, () => plugins.create(host, pool))
      await timed(times.first, () => plugins.take(host, id))
      await timed(times.next, () => plugins.take(host, id))
    }
  }
}

/** Addresses of one pool, taking turns with writes of the same size to the same disk. */
async function owned(plugins: LoopbackPlugins, store: FileStore): Promise<void> {
  const poolId = await plugins.create(1, parseCidr('10.20.0.0/16')!)
  for (let i = 0; i < 50; i++) await plugins.take(1, poolId)
  for (let i = 0; i < requests; i++) {
    await timed(times.disk, () => store.write([{ table: 'probe', key: 'k', value: i }]))
    const got = await timed(times.owned, () => plugins.take(1, poolId))
    const address = got.split('/')[0] as Ip
    if (i % 2 === 0) await plugins.plugin(1).ipam.releaseAddress({ poolId, address })
  }
}

async function many(plugins: LoopbackPlugins): Promise<number> {
  const id = await plugins.create(1, parseCidr('10.60.0.0/16')!)
  const took: number[] = []
  await timed(took, () => Promise.all(Array.from({ length: atOnce }, () => plugins.take(1, id))))
  return took[0]!
}

const directory = await mkdtemp(join(tmpdir(), 'ts-overlay-bench-'))
const store = await FileStore.open(directory, { logger: silentLogger })
const plugins = await LoopbackPlugins.up(hosts)
try {
  await blocks(plugins)
  await owned(plugins, store)
  const all = await many(plugins)
  figure('addresses: owned block, without the disk', median(times.owned) - median(times.disk))
  figure('addresses: first of a host on a network', median(times.first))
  figure('addresses: a thousand at once', all)
  print(
    table(
      [`addresses, ${hosts} plugins on loopback`, `${2 * networks} and ${requests} runs`],
      [
        ['RequestPool and the gateway', spread(times.pool, 'ms', 2)],
        ['first RequestAddress of a host on a network', spread(times.first, 'ms', 2)],
        ['the next', spread(times.next, 'ms', 2)],
        ['RequestAddress from an owned block', spread(times.owned, 'ms', 2)],
        ['a write to the same disk', spread(times.disk, 'ms', 2)],
        [`${atOnce} addresses at once`, `${all.toFixed(0)} ms`],
      ],
    ),
  )
} finally {
  await plugins.end()
  await store.close()
  await rm(directory, { recursive: true })
}
