/**
 * How long 10,000 records take into the kernel: from the table of peers, and from the wire. And how
 * long nobody else is served while all containers of a host are replaced at once.
 *
 *     node --conditions=source bench/burst.ts        as root
 */
import { readFileSync } from 'node:fs'
import { systemClock } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import type { OverlayLinks } from '../src/dataplane/dataplane.ts'
import type { LinuxDataplane } from '../src/dataplane/linux/linux-dataplane.ts'
import type { Ip } from '../src/net/ip.ts'
import { macOfIp } from '../src/net/mac.ts'
import type { Vni } from '../src/net/vni.ts'
import { bursts, withDataplane } from '../test/netns/burst.ts'
import { endpointLink } from '../test/support/endpoint-link.ts'
import { PeeredReconciler } from '../test/support/peered-reconciler.ts'
import { figure, median, print, spread, table } from './figures.ts'

const rounds = 7
/** Containers that go, and as many that come. */
const replacedAtOnce = 40

const links: OverlayLinks = {
  overlayId: 'redeployed',
  vni: 5002 as Vni,
  mtu: 1450,
  vtep: '192.0.2.1' as Ip,
  port: 4789,
  gateways: ['10.0.0.1/16'],
}

/**
 * What one round took, in milliseconds: by the clock, of CPU, and of CPU in the longer turns of the
 * event loop (p99).
 */
interface Round {
  readonly wall: number
  readonly cpu: number
  readonly turn: number
}

async function measured(work: () => Promise<void>): Promise<Round> {
  const turns: number[] = []
  let used = process.threadCpuUsage()
  let isOver = false
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(used)
    turns.push((user + system) / 1000)
    used = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  const start = performance.now()
  await work()
  isOver = true
  const wall = performance.now() - start
  const long = turns.filter((ms) => ms >= 1).toSorted((a, b) => a - b)
  const cpu = turns.reduce((sum, ms) => sum + ms, 0)
  return { wall, cpu, turn: long[Math.floor(long.length * 0.99)] ?? 0 }
}

for (const [what, prepare] of Object.entries(bursts))
  await withDataplane(async (dataplane) => {
    const all: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const burst = await prepare(dataplane)
      all.push(await measured(() => burst.run()))
      await burst.end()
    }
    const of = (name: keyof Round): string =>
      spread(
        all.map((round) => round[name]),
        'ms',
        1,
      )
    const way = what.includes('wire') ? 'wire to kernel' : 'table to kernel'
    figure(`burst: CPU, ${way}`, median(all.map(({ cpu }) => cpu)))
    figure(`burst: CPU of a turn, ${way}, p99`, median(all.map(({ turn }) => turn)))
    print(
      table(
        [what, `${rounds} runs`],
        [
          ['by the clock', of('wall')],
          ['CPU', of('cpu')],
          ['CPU in turns of the event loop of 1 ms or more, p99', of('turn')],
        ],
      ),
    )
    print('')
  })

/** The clock, ms, without the time in which this thread could run and other programs did. */
function served(): number {
  const [, waitedNs] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')
  return performance.now() - Number(waitedNs) / 1e6
}

/** Replaces all containers, some times. @returns the times between turns, and of each round, ms. */
async function redeploy(
  dataplane: LinuxDataplane,
): Promise<{ readonly pauses: number[]; readonly took: number[] }> {
  const reconciler = new PeeredReconciler({ dataplane, clock: systemClock, logger: silentLogger })
  await reconciler.attachOverlay(links)
  const endpoint = (i: number) => {
    const ip = `10.0.${1 + Math.floor(i / 200)}.${1 + (i % 200)}` as Ip
    return endpointLink(`endpoint-${i}`, macOfIp(ip), { ips: [ip] })
  }
  const some = (from: number) => Array.from({ length: replacedAtOnce }, (_, i) => from + i)
  for (const i of some(0)) await reconciler.attachEndpoint(links.overlayId, endpoint(i))
  const [pauses, took]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    let [last, isOver] = [served(), false]
    const turn = (): void => {
      const now = served()
      pauses.push(now - last)
      last = now
      if (!isOver) setImmediate(turn)
    }
    setImmediate(turn)
    const start = performance.now()
    const [first, next] = [round * replacedAtOnce, (round + 1) * replacedAtOnce]
    await Promise.all([
      ...some(first).map((i) => reconciler.detachEndpoint(links.overlayId, `endpoint-${i}`)),
      ...some(next).map((i) => reconciler.attachEndpoint(links.overlayId, endpoint(i))),
    ])
    took.push(performance.now() - start)
    isOver = true
  }
  await reconciler.stop()
  return { pauses: pauses.filter((ms) => ms >= 1).toSorted((a, b) => a - b), took }
}

await withDataplane(async (dataplane) => {
  const { pauses, took } = await redeploy(dataplane)
  const at = (share: number): number => pauses[Math.floor((pauses.length - 1) * share)] ?? 0
  figure('burst: turn while 40 containers are replaced, p99', at(0.99))
  print(
    table(
      [`${replacedAtOnce} containers go and as many come, all at once`, `${rounds} runs`],
      [
        ['by the clock', spread(took, 'ms')],
        ['between two turns where 1 ms or more, median', `${at(0.5).toFixed(1)} ms`],
        ['p99', `${at(0.99).toFixed(1)} ms`],
        ['longest', `${at(1).toFixed(1)} ms`],
      ],
    ),
  )
})
