/** Mocha's root hooks for the end-to-end tests: one lab for all files, and a look after every test at what is left. */
import { execa } from 'execa'
import { Lab } from '../support/lab/lab.ts'
import { projectDir } from '../support/lab/paths.ts'
import { parseEngineVersion, type EngineVersion } from '../support/lab/engines.ts'
import { leftovers, noteWhatIsLeft, removeEverything } from './leftovers.ts'
import { members, setLab, theLab } from './cluster.ts'

/** Building root file systems is part of the first run on a machine. */
const setUpTimeoutMs = 400_000

const report = (line: string): void => void process.stdout.write(`  ${line}\n`)

export const mochaHooks = {
  async beforeAll(this: Mocha.Context): Promise<void> {
    this.timeout(setUpTimeoutMs)
    await execa('node', ['--conditions=source', 'plugin/build.ts'], { cwd: projectDir })
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
    await removeEverything(theLab().hosts)
    noteWhatIsLeft(this.currentTest?.fullTitle() ?? '', await leftovers(members()))
  },

  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(60_000)
    await setLab(undefined)?.destroy()
  },
}

/** Two hosts and the host without the plugin have the engine that is asked for, the third another one. */
function engines(): EngineVersion[] {
  const main = parseEngineVersion(process.env['ENGINE'] || '28.5')
  const other = main === '28.5' ? '20.10' : '28.5'
  report(`engines: Docker ${main} on hosts 1, 2 and 4, Docker ${other} on host 3`)
  return [main, main, other, main]
}

function allAlive(list: readonly { state: string }[]): boolean {
  return list.length === members().length && list.every(({ state }) => state === 'alive')
}
