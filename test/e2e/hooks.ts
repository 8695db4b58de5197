/**
 * Mocha's root hooks for the end-to-end tests: one lab for all files, and a look after every test
 * at what is left.
 */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { Lab } from '../support/lab/lab.ts'
import { cacheDir, projectDir } from '../support/lab/paths.ts'
import { parseEngineVersion, type EngineVersion } from '../support/lab/engines.ts'
import { bugsOf, leftBehind, leftovers, noteWhatIsLeft, removeEverything } from './leftovers.ts'
import { hasLab, members, setLab, theLab } from './cluster.ts'

/** Building root file systems is part of the first run on a machine. */
const setUpTimeoutMs = 400_000

/** Enough for the stack of a bug. */
const logLinesShown = 12

/** Files whose tests make labs themselves. */
const withOwnLab = ['lab.test.ts', 'voters.test.ts']

const report = (line: string): void => void process.stdout.write(`  ${line}\n`)

export const mochaHooks = {
  async beforeAll(this: Mocha.Context): Promise<void> {
    this.timeout(setUpTimeoutMs)
    await buildPlugin()
    if (!needsSharedLab(this.test!.parent!)) return
    const lab = await Lab.create({ hosts: 4, engine: engines(), registry: true, report })
    setLab(lab)
    const [first, ...others] = members()
    await Promise.all([
      first!.installPlugin(),
      ...others.map((host) => host.installPlugin({ JOIN: first!.address })),
    ])
    await Promise.all(
      members().map((host) => host.pluginStatusWhen((status) => allAlive(status.members))),
    )
  },

  async afterEach(this: Mocha.Context): Promise<void> {
    this.timeout(60_000)
    const title = this.currentTest?.fullTitle() ?? ''
    if (!hasLab()) return
    if (this.currentTest?.isFailed()) await reportPluginLogs(title)
    try {
      await removeEverything(theLab().hosts)
      noteWhatIsLeft(title, await bugsOf(theLab().hosts))
      noteWhatIsLeft(title, await leftovers(members()))
    } catch (error) {
      await reportPluginLogs(title)
      noteWhatIsLeft(title, [`cannot look: ${String(error)}`])
    }
  },

  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(60_000)
    await setLab(undefined)?.destroy()
    if (leftBehind.length > 0) throw new Error(`left behind:\n${leftBehind.join('\n')}`)
  },
}

/** The processes of the level build the same: one that has waited for another takes what that built. */
async function buildPlugin(): Promise<void> {
  const lock = path.join(cacheDir, 'build.lock')
  await mkdir(cacheDir, { recursive: true })
  const isBuilt = `[ -n "$(find build/e2e.stamp -newermt '@${Date.now() / 1000}' 2> /dev/null)" ]`
  const build = `${isBuilt} || { node --conditions=source plugin/build.ts && touch build/e2e.stamp; }`
  await execa('flock', [lock, 'sh', '-c', build], { cwd: projectDir })
}

function needsSharedLab(all: Mocha.Suite): boolean {
  return all.suites.some(({ file }) => !withOwnLab.includes(path.basename(file!)))
}

/**
 * Shows the last lines of each host's plugin: what a failure in a container is most often explained
 * by.
 */
async function reportPluginLogs(title: string): Promise<void> {
  report(`the plugins' last words in "${title}":`)
  for (const host of theLab().hosts) {
    const lines = (await host.logs()).split('\n').filter((line) => line.includes(' plugin='))
    for (const line of lines.slice(-logLinesShown)) {
      const said = / msg="(.*)" plugin=/.exec(line)?.[1] ?? line
      report(`  ${host.name}: ${said.replaceAll('\\"', '"')}`)
    }
  }
}

/**
 * Two hosts and the host without the plugin have the engine that is asked for, the third another
 * one. With `mixed`, each of the three has an engine of its own.
 */
function engines(): EngineVersion[] {
  const wanted = process.env['ENGINE'] || '28.5'
  const list = wanted === 'mixed' ? mixedEngines : enginesAround(parseEngineVersion(wanted))
  report(`engines: Docker ${list.map((engine, i) => `${engine} on host ${i + 1}`).join(', ')}`)
  return list
}

const mixedEngines: EngineVersion[] = ['28.5', '26.1', '20.10', '28.5']

function enginesAround(main: EngineVersion): EngineVersion[] {
  return [main, main, main === '28.5' ? '20.10' : '28.5', main]
}

function allAlive(list: readonly { state: string }[]): boolean {
  return list.length === members().length && list.every(({ state }) => state === 'alive')
}
