/**
 * Runs levels of test, all or those named, side by side as far as the processors allow, and sums
 * up:
 *
 *     node --conditions=source test/support/run-levels.ts [level…]
 *
 * `check` stands for the levels that are quick and need no root. What a level says is shown when it
 * ends. The last line is `N passed, N failed`, with `, N skipped` where there are any. A level that
 * cannot run here says why in one line and counts as one skipped test. Ends with 1 when anything
 * failed.
 */
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { LoadLimit } from './load-limit.ts'
import { cacheDir, projectDir } from './lab/paths.ts'
import { levels, partsOf, quickLevels, type Level } from './levels.ts'
import { runMocha, type Outcome } from './run-mocha.ts'
import { scaled } from './time.ts'

/** What takes longer hangs: the building of root file systems on the first run is part of it. */
const levelTimeoutMs = scaled(600_000)

/** What a level that cannot run counts as. */
const skipped: Outcome = { passed: 0, failed: 0, skipped: 1 }

type Say = (line: string) => void
const print: Say = (line) => void process.stdout.write(`${line}\n`)

/** What levels that have not ended have said so far. */
const unfinished = new Map<string, string[]>()

/** Shows it when the run is stopped: a failure before that is worth knowing. */
function stopOn(signal: NodeJS.Signals): void {
  process.once(signal, () => {
    for (const [name, said] of unfinished)
      print([`${name.padEnd(12)} stopped by ${signal}`, ...said].join('\n'))
    process.exit(1)
  })
}

async function main(names: readonly string[]): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) stopOn(signal)
  // Where `make setup` unpacks programs that it does not install.
  process.env['PATH'] += `:${path.join(cacheDir, 'tools/usr/bin')}:/usr/sbin:/sbin`
  const limit = new LoadLimit(availableParallelism())
  const wanted = chosen(names)
  const obstacles = await Promise.all(wanted.map(obstacleOf))
  const outcomes = await Promise.all(
    wanted.map((level, index) => report(level, obstacles[index], limit)),
  )
  const total = sum(outcomes)
  print(countsOf(total))
  process.exitCode = total.failed === 0 ? 0 : 1
}

/** The levels of these names; all for none. Throws for a name that there is not. */
function chosen(names: readonly string[]): readonly Level[] {
  const wanted = names.flatMap((name) => (name === 'check' ? quickLevels : [name]))
  const known = levels.map(({ name }) => name)
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new Error(
      `no level of test is called ${unknown.join(', ')}; there are ${known.join(', ')}`,
    )
  return wanted.length === 0 ? levels : levels.filter(({ name }) => wanted.includes(name))
}

/** Runs a level, and shows at its end how long it took, its counts, and what it has said. */
async function report(
  level: Level,
  obstacle: string | undefined,
  limit: LoadLimit,
): Promise<Outcome> {
  if (obstacle !== undefined) {
    print(`${level.name.padEnd(12)} skipped: ${obstacle}`)
    return skipped
  }
  const said: string[] = []
  unfinished.set(level.name, said)
  let startedAt: number | undefined
  const parts = partsToRun(level, (line) => said.push(line))
  const outcomes = await Promise.all(
    parts.map((run) =>
      limit.run(level.load, () => {
        startedAt ??= performance.now()
        return run()
      }),
    ),
  )
  const seconds = ((performance.now() - (startedAt ?? performance.now())) / 1000).toFixed(1)
  const outcome = sum(outcomes)
  unfinished.delete(level.name)
  print([`${level.name.padEnd(12)} ${countsOf(outcome)}  (${seconds} s)`, ...said].join('\n'))
  return outcome
}

/** Why a level cannot run here; undefined when it can. */
async function obstacleOf(level: Level): Promise<string | undefined> {
  if (level.files !== undefined && partsOf(level).length === 0) return 'no test files'
  return level.obstacle?.()
}

function partsToRun(level: Level, say: Say): (() => Promise<Outcome>)[] {
  const { command, mochaArgs: args = [], via = [] } = level
  if (command !== undefined) return [() => runCommand(command, say)]
  const timeoutMs = levelTimeoutMs
  return partsOf(level).map((files) => () => runMocha({ files, args, via, timeoutMs, say }))
}

/** A command is one test; what it says is shown only when it fails. */
async function runCommand(command: readonly string[], say: Say): Promise<Outcome> {
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

function sum(outcomes: readonly Outcome[]): Outcome {
  const of = (count: keyof Outcome): number =>
    outcomes.reduce((total, outcome) => total + outcome[count], 0)
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') }
}

function countsOf({ passed, failed, skipped: left }: Outcome): string {
  const counts = `${passed} passed, ${failed} failed`
  return left === 0 ? counts : `${counts}, ${left} skipped`
}

await main(process.argv.slice(2))
