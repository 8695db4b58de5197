/**
 * How long 10,000 records take into the kernel: from the table of peers, and from the wire.
 *
 *     node --conditions=source bench/burst.ts        as root
 */
import { bursts, withDataplane } from '../test/netns/burst.ts'
import { figure, median, print, spread, table } from './figures.ts'

const rounds = 7

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
