/**
 * Makes the table of figures in the README, in virtual time: `SEED=1 node --conditions=source
 * bench/figures.ts`. `QUICK=1` leaves the thousand members out.
 */
import { lan, type Config } from 'memberlist-js'
import {
  broadcastTimes,
  deathTimes,
  falseAlarms,
  healing,
  median,
  quantile,
} from '../test/support/measures.ts'
import { falseDeathsAmongSlow, withoutLifeguard } from '../test/support/slow-members.ts'
import { tuned } from '../test/support/simulation.ts'

const SEED = Number(process.env['SEED'] ?? 1)
const QUICK = process.env['QUICK'] !== undefined
const LOOPBACK = { delayMs: [0.05, 0.3] } as const

/** hashicorp/memberlist 0.5.1, lan, all members in one process on loopback; medians in ms. */
const GO_BROADCAST: Readonly<Record<number, string>> = { 3: '99', 10: '295', 30: '488', 100: '574' }
const GO_DEATH: Readonly<Record<number, string>> = {
  3: '5.9–6.0',
  10: '6.0–6.5',
  30: '7.5–9.0',
  100: '9.8–11.6',
}

const row = (...cells: (string | number)[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`)
const seconds = (ms: number) => (ms / 1000).toFixed(1)

row('what', 'members', 'here', 'Go')
row('---', '---', '---', '---')
for (const [size, runs] of [
  [3, 201],
  [10, 201],
  [30, 101],
  [100, 41],
  [1000, 41],
] as const) {
  if (!(QUICK && size === 1000)) await broadcastRow(size, runs)
}
for (const [size, runs] of [
  [3, 201],
  [10, 201],
  [30, 101],
  [100, 41],
  [1000, 11],
] as const) {
  if (!(QUICK && size === 1000)) await deathRow('lan', size, runs, lan)
}
for (const [size, runs] of [
  [10, 201],
  [25, 3001],
  [100, 41],
  [1000, 11],
] as const) {
  if (!(QUICK && size === 1000)) await deathRow('tuned', size, runs, tuned)
}
for (const size of [3, 25, 100]) await lossRow(size)
for (const [size, runs] of [
  [3, 100],
  [10, 100],
  [25, 100],
  [100, 10],
] as const) {
  await healingRow(size, 0.5, runs)
  if (size > 3) await healingRow(size, 0.1, runs)
}
await lifeguardRow()

async function broadcastRow(size: number, runs: number): Promise<void> {
  const setting = { seed: SEED, size, config: lan, conditions: LOOPBACK }
  const { times, missed } = await broadcastTimes(setting, runs)
  const most = `99 %: ${quantile(times, 0.99).toFixed(0)} ms`
  const here = `${median(times).toFixed(0)} ms (${most}; ${missed} of ${runs} missed somebody)`
  const go = GO_BROADCAST[size]
  row('lan: a broadcast has reached all', size, here, go === undefined ? '–' : `${go} ms`)
}

async function deathRow(name: string, size: number, runs: number, config: Config): Promise<void> {
  const times = []
  for (let run = 0; run < runs; run++) {
    const conditions = name === 'lan' ? LOOPBACK : {}
    times.push(await deathTimes({ seed: SEED + run, size, config, conditions }))
  }
  const lasts = times.map(({ last }) => last)
  const first = seconds(median(times.map((time) => time.first)))
  const worst = `worst of ${runs}: ${seconds(Math.max(...lasts))} s`
  const here = `${first}–${seconds(median(lasts))} s (${worst})`
  const go = name === 'lan' ? GO_DEATH[size] : undefined
  row(
    `${name}: a death is seen by the first–by all`,
    size,
    here,
    go === undefined ? '–' : `${go} s`,
  )
}

async function lossRow(size: number): Promise<void> {
  const setting = { seed: SEED, size, config: tuned, conditions: { loss: 0.05 } }
  const { suspected, failed } = await falseAlarms(setting, 600_000)
  const here = `${failed} deaths, ${suspected} suspicions seen`
  row('tuned: 5 % loss for ten minutes, false', size, here, '–')
}

async function healingRow(size: number, share: number, runs: number): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const { ms } = await healing({ seed: SEED + run, size, config: tuned }, share, 30_000)
    times.push(ms)
  }
  const here = `${seconds(median(times))} s (worst of ${runs}: ${seconds(Math.max(...times))} s)`
  const cut = `${share * 100} % cut off for 30 s`
  row(`tuned: ${cut}, all views agree again after`, size, here, '–')
}

async function lifeguardRow(): Promise<void> {
  const plain = await falseDeathsAmongSlow(SEED, withoutLifeguard(lan), 10)
  const guarded = await falseDeathsAmongSlow(SEED, lan, 10)
  const here = `${guarded} with Lifeguard, ${plain} without`
  row('lan: four slow members, false deaths seen in ten minutes', 24, here, '–')
}
