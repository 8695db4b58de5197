/**
 * Runs simulations of whole plugins from the command line:
 *
 *     SEED=7 HOSTS=5 node --conditions=source test/simulation/simulator/run.ts
 *
 * SEEDS (1) seeds from SEED (1) on; HOSTS (5); SECONDS (60) of faults; FAULTS (one for each two seconds); SEVERAL=1 gives networks several subnets; SHOW=1 prints
 * what happens; ONLY=crash:3,partition:1 draws these kinds of faults, so often; WITHOUT=3,4 leaves planned faults out; SHRINK=1 looks for the faults that it takes. Ends with 1 when a
 * seed failed.
 */
import type { FaultWeights } from './faults.ts'
import { shrink } from './shrink.ts'
import { replayOf, Simulation, type SimulationOptions } from './simulation.ts'

const number = (name: string, otherwise: number): number =>
  Number(process.env[name] || String(otherwise))

const first = number('SEED', 1)
const seconds = number('SECONDS', 60)
const common = {
  hosts: number('HOSTS', 5),
  troubleMs: seconds * 1000,
  faults: number('FAULTS', Math.ceil(seconds / 2)),
  isShown: process.env['SHOW'] === '1',
  severalSubnets: process.env['SEVERAL'] === '1',
  ...only(process.env['ONLY'] ?? ''),
  without: new Set((process.env['WITHOUT'] ?? '').split(',').filter(Boolean).map(Number)),
}
let failed = 0
process.on('unhandledRejection', (error) => {
  process.stdout.write(`unhandled: ${String((error as Error).stack)}\n`)
  process.exitCode = 1
})
for (let seed = first; seed < first + number('SEEDS', 1); seed++)
  if (!(await runs({ ...common, seed }))) failed++
process.exitCode = failed > 0 ? 1 : 0

function only(text: string): { only?: FaultWeights } {
  if (text === '') return {}
  const pairs = text.split(',').map((pair) => pair.split(':'))
  return { only: Object.fromEntries(pairs.map(([kind, weight]) => [kind, Number(weight ?? 1)])) }
}

async function runs(options: SimulationOptions): Promise<boolean> {
  const simulation = new Simulation(options)
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  try {
    const o = await simulation.run()
    const rate = Math.round(o.virtualMs / o.realMs)
    say(
      `seed ${options.seed}: ${(o.virtualMs / 1000).toFixed(0)} s in ${(o.realMs / 1000).toFixed(1)} s (${rate} ×), ` +
        `settled after ${o.settledMs / 1000} s, ${o.packets} packets, ${o.addresses} addresses, ` +
        `${o.commands} commands and ${o.failed} failed`,
    )
    return true
  } catch (error) {
    say(`seed ${options.seed} FAILED: ${(error as Error).message}\nreplay: ${replayOf(options)}`)
    if (process.env['SHRINK'] === '1')
      await shrink(options, (left, smaller) => say(`${left} faults: ${replayOf(smaller)}`))
    return false
  }
}
