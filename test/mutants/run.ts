/**
 * Breaks Raft and what runs it in one way at a time, and runs their tests and simulations until one fails:
 *
 *     SEEDS=300 node --conditions=source test/mutants/run.ts [words of a mutant…]
 *
 * Prints a line for each, and ends with 1 when one lives. The sources stay as they are: each mutant is
 * made in a copy under `build/`.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectDir } from '../support/lab/paths.ts'
import { type Mutant, mutants } from './mutants.ts'

const seeds = process.env['SEEDS'] || '300'
const parts = ['package.json', 'src', 'test/simulation', 'test/support', 'test/unit/consensus']
const ofTheCore = [
  ...['raft', 'log'].map((name) => `test/unit/consensus/core/${name}.test.ts`),
  'test/simulation/raft.test.ts',
]
const ofTheRest = [
  'test/unit/consensus/client.test.ts',
  'test/unit/consensus/server/server.test.ts',
  'test/unit/consensus/server/replicated-state.test.ts',
  'test/unit/consensus/voters/autopilot.test.ts',
  'test/simulation/consensus-membership.test.ts',
  'test/simulation/consensus.test.ts',
]
const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** A copy of what the simulation needs. */
function copy(): string {
  const directory = join(projectDir, 'build/mutants')
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const part of parts)
    cpSync(join(projectDir, part), join(directory, part), { recursive: true })
  symlinkSync(join(projectDir, 'node_modules'), join(directory, 'node_modules'))
  return directory
}

/** Which seed finds the mutant, and what it says; null when none does. */
function hunt(directory: string, { file, from, to }: Mutant): string | null {
  const path = join(directory, 'src/consensus', file)
  const text = readFileSync(path, 'utf8')
  if (text.split(from).length < 2) throw new Error(`${file} has no more: ${from}`)
  writeFileSync(
    path,
    text.replace(from, () => to),
  )
  const tests = file.startsWith('core/') ? ofTheCore : ofTheRest
  const args = ['--no-config', '--bail', '--timeout', '0', '--node-option', 'conditions=source']
  const mocha = join(directory, 'node_modules/.bin/mocha')
  const env = { ...process.env, SIM_SEEDS: seeds }
  const run = spawnSync(mocha, [...args, ...tests], {
    cwd: directory,
    env,
    encoding: 'utf8',
    timeout: 600_000,
  })
  writeFileSync(path, text)
  if (run.status === 0) return null
  const [, why] = /Error: (.*)/.exec(run.stdout) ?? []
  const [, seed] = /SEED=(\d+)/.exec(run.stdout) ?? []
  if (seed !== undefined) return `seed ${seed}: ${why}`
  const [, test] = /1\) (.*\n.*):\n/.exec(run.stdout) ?? []
  return test?.replace(/\s+/g, ' ') ?? `${run.stdout}${run.stderr}`.slice(0, 400)
}

const directory = copy()
const wanted = process.argv.slice(2).join(' ')
let alive = 0
for (const mutant of mutants.filter(({ what }) => what.includes(wanted))) {
  const found = hunt(directory, mutant)
  if (found === null) alive++
  say(
    `${found === null ? 'LIVES' : 'dead '}  ${mutant.what}  (${mutant.file}; ${found ?? `${seeds} seeds`})`,
  )
}
rmSync(directory, { recursive: true, force: true })
process.exitCode = alive === 0 ? 0 : 1
