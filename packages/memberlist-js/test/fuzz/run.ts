/**
 * Attacks members with random and mutated packets and streams, three with a key and three without
 * in turns: `SECONDS=600 SEED=1 node --expose-gc --conditions=source test/fuzz/run.ts`. Ends with 1
 * when a view changes, something throws, or memory or the number of open descriptors grows. Without
 * a key some of what is made up is believed for a while: there the views must be right again at the
 * end.
 */
import { existsSync, readdirSync } from 'node:fs'
import { setImmediate as breathe } from 'node:timers/promises'
import { Attack } from '../support/attack.ts'
import { SEED } from '../support/seed.ts'

const SECONDS = Number(process.env['SECONDS'] ?? 600)
const HEALTHY = 'm0,m1,m2 m0,m1,m2 m0,m1,m2'
/**
 * In virtual time. Hundreds of members that never were are probed one by one, slowly, because they
 * do not help each other to probe, which Lifeguard takes for our own ill health: some 700 an hour.
 */
const RECOVERY_MINUTES = 360
/**
 * Counters, caches and the samples that are kept; a leak of 100 bytes per packet exceeds it in a
 * minute.
 */
const MAX_GROWTH_BYTES = 16 << 20

/** None of ours: the network is in memory. Node opens a few of its own. */
const MAX_MORE_DESCRIPTORS = 8
const DESCRIPTORS = '/proc/self/fd'

const out = (line: string) => void process.stdout.write(`${line}\n`)

/**
 * What a leak would show in. `external` has the array buffers in it, which are given apart as well.
 */
interface Usage {
  readonly heapUsed: number
  readonly external: number
  readonly arrayBuffers: number
  readonly descriptors: number
}

function usage(): Usage {
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  // Only Linux shows them.
  const descriptors = existsSync(DESCRIPTORS) ? readdirSync(DESCRIPTORS).length : 0
  return { heapUsed, external, arrayBuffers, descriptors }
}

/** What has grown beyond its bound since `baseline`. */
function grown(baseline: Usage, now: Usage): string | undefined {
  for (const kind of ['heapUsed', 'external', 'arrayBuffers'] as const) {
    if (now[kind] - baseline[kind] > MAX_GROWTH_BYTES) return `${kind} grew to ${now[kind]} bytes`
  }
  const more = now.descriptors - baseline.descriptors
  return more > MAX_MORE_DESCRIPTORS ? `${now.descriptors} descriptors are open` : undefined
}

function fail(reason: string): never {
  out(`FAILED (SEED=${SEED}): ${reason}`)
  process.exit(1)
}

const attack = await Attack.prepare(SEED, true)
const inTheOpen = await Attack.prepare(SEED + 1, false)
const packets = () => attack.sent + inTheOpen.sent
const viewsOf = (of: Attack) => of.views().join(' ')
const started = performance.now()
const elapsed = () => (performance.now() - started) / 1000
let baseline: Usage | undefined
let reportAt = 0

out(`fuzzing three members with a key and three without for ${SECONDS} s, SEED=${SEED}`)
while (elapsed() < SECONDS) {
  await attack.volley()
  await inTheOpen.volley()
  await breathe()
  const views = viewsOf(attack)
  if (views !== HEALTHY) fail(`the views became ${views} after ${attack.sent} packets`)
  if (elapsed() < reportAt) continue
  const now = usage()
  // The first tenth fills caches and the store of samples.
  if (elapsed() > SECONDS / 10) baseline ??= now
  const leak = baseline && grown(baseline, now)
  if (leak !== undefined) fail(leak)
  const heap = (now.heapUsed / 2 ** 20).toFixed(1)
  const buffers = (now.external / 2 ** 20).toFixed(1)
  out(`${elapsed().toFixed(0)} s: ${packets()} packets, heap ${heap}, outside of it ${buffers} MiB`)
  reportAt = elapsed() + Math.max(1, SECONDS / 20)
}
// What was made up well enough to be believed is probed, found dead and forgotten, one member after
// the other.
for (let minute = 0; minute < RECOVERY_MINUTES && viewsOf(inTheOpen) !== HEALTHY; minute++) {
  await inTheOpen.cluster.clock.advance(60_000)
}
if (viewsOf(inTheOpen) !== HEALTHY) fail(`without a key the views stay ${viewsOf(inTheOpen)}`)
for (const { cluster } of [attack, inTheOpen]) out(JSON.stringify(cluster.lists[0]!.counters))
out(`${packets()} bad packets: no crash, no leak, no change of view`)
for (const each of [attack, inTheOpen]) await each[Symbol.asyncDispose]()
