/**
 * Runs levels of test, all or those named, each as a process of its own, and sums up:
 *
 *     node --conditions=source test/support/run-levels.ts [level…]
 *
 * The last line is `N passed, N failed`, with `, N skipped` where there are any. A level that cannot run here says why in
 * one line and counts as one skipped test. Ends with 1 when anything failed.
 */
import path from 'node:path'
import { execa } from 'execa'
import { cacheDir, projectDir } from './lab/paths.ts'
import { filesOf, levels, type Level } from './levels.ts'
import { runMocha, type Outcome } from './run-mocha.ts'

/** No level may take longer, the building of root file systems on the first run included. */
const levelTimeoutMs = 900_000

/** What a level that cannot run counts as. */
const skipped: Outcome = { passed: 0, failed: 0, skipped: 1 }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !levels.some((level) => level.name === name))
  if (unknown.length > 0) {
    const known = levels.map((level) => level.name).join(', ')
    throw new Error(`no level of test is called ${unknown.join(', ')}; there are ${known}`)
  }
  // Where `make setup` unpacks programs that it does not install.
  process.env['PATH'] += `:${path.join(cacheDir, 'tools/usr/bin')}:/usr/sbin:/sbin`
  const chosen = names.length === 0 ? levels : levels.filter((level) => names.includes(level.name))
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const level of chosen) {
    const started = performance.now()
    const obstacle = await obstacleOf(level)
    const outcome = obstacle === undefined ? await runLevel(level) : skipped
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const result =
      obstacle === undefined ? `${countsOf(outcome)}  (${seconds} s)` : `skipped: ${obstacle}`
    say(`${level.name.padEnd(12)} ${result}`)
    total.passed += outcome.passed
    total.failed += outcome.failed
    total.skipped += outcome.skipped
  }
  say(countsOf(total))
  process.exitCode = total.failed === 0 ? 0 : 1
}

/** Why a level cannot run here; undefined when it can. */
async function obstacleOf(level: Level): Promise<string | undefined> {
  if (level.files !== undefined && filesOf(level).length === 0) return 'no test files'
  return level.obstacle?.()
}

async function runLevel(level: Level): Promise<Outcome> {
  if (level.command !== undefined) return runCommand(level.command)
  const args = level.mochaArgs ?? []
  const beside = level.beside ?? []
  const files = filesOf(level).filter((file) => !beside.includes(file))
  const common = { args, timeoutMs: levelTimeoutMs, say }
  const runs = [runMocha({ ...common, files })]
  if (beside.length > 0) runs.push(runMocha({ ...common, files: beside, givesWay: true }))
  const outcomes = await Promise.all(runs)
  const sum = (count: keyof Outcome): number =>
    outcomes.reduce((total, outcome) => total + outcome[count], 0)
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }
}

/** A command is one test; what it says is shown only when it fails. */
async function runCommand(command: readonly string[]): Promise<Outcome> {
  const [program, ...args] = command
  const ran = await execa(program!, args, {
    cwd: projectDir,
    all: true,
    reject: false,
    timeout: levelTimeoutMs,
  })
  if (!ran.failed) return { passed: 1, failed: 0, skipped: 0 }
  say(ran.all)
  return { passed: 0, failed: 1, skipped: 0 }
}

function countsOf({ passed, failed, skipped }: Outcome): string {
  const counts = `${passed} passed, ${failed} failed`
  return skipped === 0 ? counts : `${counts}, ${skipped} skipped`
}

await main(process.argv.slice(2))
