/**
 * Looks for seeds that fail. The levels of test draw the same numbers in every run; this draws
 * others, for so long:
 *
 *     MINUTES=10 node --conditions=source test/support/hunt.ts [file or pattern…]
 *
 * Each round draws a seed and runs all that is random and real in nothing, or the files named. For
 * each failure it prints the command that shows it again, and it ends with 1 when there was one.
 */
import { globSync } from 'node:fs'
import { systemRandom } from '../../src/base/random.ts'
import { projectDir } from './lab/paths.ts'
import { runMocha } from './run-mocha.ts'

/**
 * Figures and limits of time are left out: their bounds are for many runs, not for the worst of
 * all.
 */
const patterns = [
  'packages/memberlist-js/test/simulation/{chaos,faults,lifeguard}.test.ts',
  'test/simulation/{claims,cluster-cuts,cluster-faults,cluster-join,cluster-pause,disagreements,ipam*,simulator}.test.ts',
  '{test,packages/memberlist-js/test}/unit/**/*.test.ts',
]

const simulator = 'test/simulation/simulator.test.ts'
const manyHosts = 300
/** Of hosts, in each run of test/simulation/ipam-churn.test.ts; `make test` has fewer. */
const deathsOfChurn = 150

/** A file that takes longer with one seed has come to a stop. */
const fileTimeoutMs = 600_000

const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function main(wanted: readonly string[]): Promise<void> {
  const minutes = Number(process.env['MINUTES'] || 10)
  process.env['DEATHS'] ??= String(deathsOfChurn)
  const groups = (wanted.length > 0 ? wanted : patterns)
    .map((pattern) => globSync(pattern, { cwd: projectDir }).sort())
    .filter((files) => files.length > 0)
  if (groups.length === 0) throw new Error(`no test files match ${wanted.join(', ')}`)
  const end = performance.now() + minutes * 60_000
  let rounds = 0
  let failed = wanted.length > 0 ? 0 : await huntMany()
  for (; performance.now() < end; rounds++) {
    const seed = systemRandom.uint32()
    for (const files of groups) failed += await hunt(seed, files)
  }
  say(`${rounds} seeds, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

/** One run of the simulator with as many hosts as it can have. Returns how many tests failed. */
async function huntMany(): Promise<number> {
  process.env['SIM_HOSTS'] = String(manyHosts)
  const failed = await hunt(systemRandom.uint32(), [simulator])
  delete process.env['SIM_HOSTS']
  return failed
}

/** Returns how many tests failed with this seed. */
async function hunt(seed: number, files: readonly string[]): Promise<number> {
  process.env['SEED'] = String(seed)
  const args = ['--timeout', String(fileTimeoutMs)]
  const said: string[] = []
  const listen = (line: string): void => void said.push(line)
  const { failed } = await runMocha({ files, args, timeoutMs: fileTimeoutMs, say: listen })
  if (failed > 0) say(`${said.join('\n')}\n  again: SEED=${seed} npx mocha ${files.join(' ')}\n`)
  return failed
}

await main(process.argv.slice(2))
