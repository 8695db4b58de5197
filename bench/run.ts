/**
 * Runs all benches, or those named, and shows each figure with its bar and its trend over the last
 * runs on this machine:
 *
 *     make bench ONLY=start,burst
 *
 * Ends with 1 when a figure misses its bar. On a busy machine look at ratios; they are taken within
 * one run.
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { projectDir } from '../test/support/lab/paths.ts'
import { bars } from './bars.ts'
import { type Figure, print, table } from './figures.ts'
import { cellsOf, linesOf } from './report.ts'

/** One line a run, kept beside this file and out of the repository. */
const historyFile = join(import.meta.dirname, 'history.jsonl')

const e2eFiles = ['cut-off', 'redeploy', 'surviving-plugin'].map(
  (name) => `test/e2e/${name}.test.ts`,
)
const mocha = ['node_modules/mocha/lib/cli/cli.js', '--require', 'test/e2e/hooks.ts']

/** The programs by name, in the order in which they run. */
const benches: Readonly<Record<string, readonly string[]>> = {
  start: ['bench/start.ts'],
  restart: ['bench/restart.ts'],
  addresses: ['bench/addresses.ts'],
  burst: ['bench/burst.ts'],
  dataplane: ['bench/dataplane.ts'],
  paths: ['bench/paths.ts'],
  encryption: ['bench/encryption.ts'],
  sealed: ['bench/sealed.ts'],
  hostile: ['bench/hostile.ts'],
  rotation: ['bench/rotation.ts'],
  names: ['bench/names.ts'],
  scale: ['bench/scale.ts'],
  overlays: ['bench/overlays.ts'],
  networks: ['bench/networks.ts'],
  'first-network': ['bench/first-network.ts'],
  processes: ['bench/processes.ts'],
  hosts: [...mocha, '--reporter', 'spec', '--timeout', '60000', ...e2eFiles],
}

async function main(): Promise<void> {
  const names = process.env['ONLY']?.split(/[ ,]+/).filter(Boolean) ?? []
  const unknown = names.filter((name) => benches[name] === undefined)
  if (unknown.length > 0)
    throw new Error(
      `no bench is called ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`,
    )
  const folder = mkdtempSync(join(tmpdir(), 'ts-overlay-bench-'))
  const file = join(folder, 'figures.jsonl')
  appendFileSync(file, '')
  let failed = 0
  try {
    await node(file, 'plugin/build.ts')
    for (const name of names.length === 0 ? Object.keys(benches) : names) {
      print(`\n## ${name}\n`)
      if (!(await node(file, ...benches[name]!))) failed++
    }
    const figures = linesIn<Figure>(file)
    failed += show(figures)
    const commit = (await execa('git', ['rev-parse', '--short', 'HEAD'], { reject: false })).stdout
    appendFileSync(
      historyFile,
      `${JSON.stringify({ at: new Date().toISOString(), commit, figures })}\n`,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
  process.exitCode = failed === 0 ? 0 : 1
}

/** Whether it ended well. */
async function node(figuresFile: string, ...args: readonly string[]): Promise<boolean> {
  const env = { BENCH_FIGURES: figuresFile }
  const options = { cwd: projectDir, env, stdio: 'inherit', reject: false } as const
  return !(await execa('node', ['--conditions=source', ...args], options)).failed
}

/** Returns how many miss their bars. */
function show(figures: readonly Figure[]): number {
  const history = existsSync(historyFile)
    ? linesIn<{ figures: readonly Figure[] }>(historyFile).map((run) => run.figures)
    : []
  const lines = linesOf(figures, history, bars)
  print('\n## Figures\n')
  print(table(['figure', 'now', 'bar', 'last runs', 'change'], lines.map(cellsOf)))
  return lines.filter(({ keepsBar }) => !keepsBar).length
}

function linesIn<Line>(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Line)
}

await main()
