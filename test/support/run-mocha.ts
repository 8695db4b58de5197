/** Runs test files with mocha in a child process and counts what it reports. */
import { execa } from 'execa'
import { projectDir } from './lab/paths.ts'
import { scaled } from './time.ts'

export interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

interface MochaOptions {
  readonly files: readonly string[]
  readonly args: readonly string[]
  /** The command that runs Node elsewhere, as in a virtual machine. */
  readonly via?: readonly string[]
  readonly timeoutMs: number
  readonly say: (line: string) => void
}

/** What mocha's reporter `json-stream` writes, one to a line. */
type Report =
  | readonly ['start' | 'pass', unknown]
  | readonly ['fail', { fullTitle: string; err: string; stack?: string | null }]
  | readonly ['end', { pending: number }]

/** What the program `mocha` starts as a child: a time-out would end the parent alone. */
const mochaProgram = 'node_modules/mocha/lib/cli/cli.js'

/** Tests are over, so what is left running is a leak: a socket, a timer, a process. */
const exitGraceMs = scaled(10_000)

/**
 * Failures are shown as they happen. A process that dies before its end, or does not end, counts as
 * one more failure.
 */
export async function runMocha(options: MochaOptions): Promise<Outcome> {
  const { files, args, via = [], timeoutMs, say } = options
  const node = ['node', '--conditions=source', mochaProgram, '--reporter', 'json-stream']
  const [program, ...words] = [...via, ...node, ...args, ...files]
  const mocha = execa(program!, words, {
    cwd: projectDir,
    reject: false,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  const counted = { passed: 0, failed: 0, skipped: 0 }
  let ended = false
  let leaked = false
  for await (const line of mocha.iterable()) {
    const report = parseReport(line)
    if (report === undefined) say(line)
    else if (report[0] === 'pass') counted.passed++
    else if (report[0] === 'fail') {
      counted.failed++
      say(failureText(report[1]))
    } else if (report[0] === 'end') {
      counted.skipped = report[1].pending
      ended = true
      setTimeout(() => {
        leaked = true
        mocha.kill('SIGKILL')
      }, exitGraceMs).unref()
    }
  }
  const ran = await mocha
  const defect = defectOf({ ended, leaked, timedOut: ran.timedOut })
  if (defect === undefined) return counted
  say(`  ${defect}\n${ran.stderr}`)
  return { ...counted, failed: counted.failed + 1 }
}

function defectOf(run: { ended: boolean; leaked: boolean; timedOut: boolean }): string | undefined {
  if (run.leaked) return 'the tests have ended but left something running'
  if (run.timedOut) return 'the tests took too long and were stopped'
  return run.ended ? undefined : 'mocha died before the end of its tests:'
}

function failureText(failure: { fullTitle: string; err: string; stack?: string | null }): string {
  const text = failure.stack ?? failure.err
  return `  FAILED ${failure.fullTitle}\n${text.replaceAll(/^/gm, '    ')}`
}

function parseReport(line: string): Report | undefined {
  if (!line.startsWith('["')) return undefined
  try {
    return JSON.parse(line) as Report
  } catch {
    return undefined
  }
}
