/**
 * `make soak MINUTES=10`: three real Docker hosts; containers start and go at random, and plugins,
 * engines, cables and hosts are disturbed at random; every now and then all is left alone, and an
 * observer of its own compares engines, plugins and kernels. SEED repeats the choices of a run,
 * though not the moments at which they meet; ENGINE names one engine, or `mixed`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { below, seededRandom, systemRandom } from '../../src/base/random.ts'
import { bugsOf, leftovers, removeEverything } from '../e2e/leftovers.ts'
import { type EngineVersion, parseEngineVersion } from '../support/lab/engines.ts'
import { Churn } from './churn.ts'
import { inject } from './nemesis.ts'
import { SoakCluster } from './soak-cluster.ts'
import { Tallies } from './tallies.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const minutes = Number(process.env['MINUTES'] || 10)
const seed = Number(process.env['SEED'] || systemRandom.uint32())
/** Disturbances between two checks. */
const faultsPerCheck = 8
const pauseMs = 2500

async function main(): Promise<void> {
  say(`soak: ${minutes} minutes, SEED=${seed}, engines ${enginesWanted().join(', ')}`)
  const tallies = new Tallies(say)
  const cluster = await SoakCluster.build(enginesWanted(), tallies)
  try {
    await soak(cluster, tallies)
    await removeEverything(cluster.hosts)
    for (const line of await bugsOf(cluster.hosts)) tallies.violation(line)
    for (const line of await leftovers(cluster.hosts)) tallies.violation(`left behind: ${line}`)
  } finally {
    await cluster.lab.destroy()
  }
  say(`\nsoak of ${minutes} minutes, SEED=${seed}:\n${tallies.summary()}`)
  process.exitCode = tallies.violations.length === 0 ? 0 : 1
}

async function soak(cluster: SoakCluster, tallies: Tallies): Promise<void> {
  const random = seededRandom(seed)
  const end = performance.now() + minutes * 60_000
  const churn = new Churn({ cluster, tallies, random: seededRandom(random.uint32()) })
  while (performance.now() < end) {
    let isCalm = false
    const churning = churn.run(() => isCalm)
    for (let n = 0; n < faultsPerCheck && performance.now() < end; n++) {
      await inject({ cluster, tallies, random: seededRandom(random.uint32()) }).catch(
        (error: unknown) => tallies.violation(`a fault could not be undone: ${String(error)}`),
      )
      await sleep(below(random, pauseMs))
    }
    isCalm = true
    await churning
    await cluster.check()
  }
}

function enginesWanted(): EngineVersion[] {
  const wanted = process.env['ENGINE'] || '28.5'
  if (wanted === 'mixed') return ['28.5', '26.1', '20.10']
  return Array.from({ length: 3 }, () => parseEngineVersion(wanted))
}

await main()
