/**
 * Builds the command line into one file, `docker-ts-overlay`: a shell script that finds a Node, and
 * the bundle behind it. Docker's command line takes it as a plugin.
 *
 *     node --conditions=source plugin/build-cli.ts [--out build/cli]
 */
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { version } from '../src/version.ts'
import { bundle } from './bundle.ts'
import { projectDir } from './project.ts'

/** Copied to `docker-tsoverlay` in a folder of Docker's plugins, or to `ts-overlay`: docs/cli.md. */
const fileName = 'docker-ts-overlay'

/** Builds it to `outDir`. Returns the folders of npm packages in it. */
export async function buildCli(outDir: string): Promise<string[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'ts-overlay-cli-'))
  try {
    const main = path.join(projectDir, 'packages/cli/src/main.ts')
    const packages = await bundle({ cli: main }, folder)
    const script = await readFile(path.join(projectDir, 'plugin/docker-ts-overlay.sh'), 'utf8')
    const program = await readFile(path.join(folder, 'cli.cjs'), 'utf8')
    await mkdir(outDir, { recursive: true })
    const file = path.join(outDir, fileName)
    await writeFile(file, script.replace('VERSION', version) + program, { mode: 0o755 })
    // Below a package.json of ES modules, Node would take the file for one.
    await writeFile(path.join(outDir, 'package.json'), '{ "type": "commonjs" }\n')
    return packages
  } finally {
    await rm(folder, { recursive: true })
  }
}

if (import.meta.main) {
  const preset = path.join(projectDir, 'build/cli')
  const { values } = parseArgs({ options: { out: { type: 'string', default: preset } } })
  await buildCli(path.resolve(values.out))
  process.stdout.write(`${path.relative(process.cwd(), path.join(values.out, fileName))}\n`)
}
