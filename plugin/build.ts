/**
 * Builds the managed plugin, `config.json` and `rootfs`, for the platform it runs on: what `docker
 * plugin create` takes.
 *
 *     node --conditions=source plugin/build.ts [--out build/plugin] [--main src/main.ts] [--docker]
 *
 * Needs no engine, no image registry and no root. `plugin/Dockerfile` runs this same file in an
 * image, and `--docker` builds by that.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { buildCli } from './build-cli.ts'
import { bundle, copyKoffi } from './bundle.ts'
import { buildRootfsWithDocker } from './docker-build.ts'
import { copyDebianLicences, copyPackageLicences } from './licences.ts'
import { copyProgram, findProgram, strip } from './programs.ts'
import { projectDir } from './project.ts'

/**
 * For people who look into a running plugin, and for `doctor`; the data plane itself does not need
 * them.
 */
const diagnosticPrograms = ['ip', 'bridge']

/**
 * Mount points and folders that programs expect. The engine fills /dev, /proc, /sys and
 * /etc/{hosts,resolv.conf}.
 */
const emptyFolders = [
  'data',
  'host-docker',
  'host-plugins',
  'host-run',
  'run/docker/plugins',
  'tmp',
  'proc',
  'sys',
  'dev',
  'root',
]

const accounts = {
  'etc/passwd': 'root:x:0:0:root:/root:/sbin/nologin\n',
  'etc/group': 'root:x:0:\n',
  'etc/nsswitch.conf': 'hosts: files dns\n',
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: path.join(projectDir, 'build/plugin') },
      docker: { type: 'boolean', default: false },
      main: { type: 'string', default: path.join(projectDir, 'src/main.ts') },
    },
  })
  const started = performance.now()
  const out = path.resolve(values.out)
  // Built aside and moved last: what lies under the final name is complete.
  const partial = `${out}.partial`
  await rm(partial, { recursive: true, force: true })
  const root = path.join(partial, 'rootfs')
  await (values.docker ? buildRootfsWithDocker(root) : buildRootfs(root, values.main))
  await cp(path.join(projectDir, 'config.json'), path.join(partial, 'config.json'))
  await rm(out, { recursive: true, force: true })
  await rename(partial, out)
  await reportSizes(out, performance.now() - started)
}

async function buildRootfs(root: string, mainFile: string): Promise<void> {
  for (const folder of emptyFolders) await mkdir(path.join(root, folder), { recursive: true })
  await mkdir(path.join(root, 'etc'), { recursive: true })
  for (const [file, text] of Object.entries(accounts)) await writeFile(path.join(root, file), text)
  const packages = await addOwnPrograms(root, mainFile)
  const libraries = await addMachineCode(root)
  await copyPackageLicences(root, packages)
  await copyDebianLicences(root, libraries)
  await cp(
    path.join(projectDir, 'LICENSE'),
    path.join(root, 'usr/share/licenses/ts-overlay/LICENSE'),
  )
}

/** /app: the plugin, the command line and koffi. Returns the folders of npm packages in it. */
async function addOwnPrograms(root: string, mainFile: string): Promise<string[]> {
  const app = path.join(root, 'app')
  const rights = path.join(projectDir, 'src/rights.ts')
  const bundled = await bundle({ main: path.resolve(mainFile), rights }, app)
  const inCli = await buildCli(app)
  await cp(path.join(projectDir, 'plugin/start.cjs'), path.join(app, 'start.cjs'))
  return [...new Set([...bundled, ...inCli]), await copyKoffi(app), nodePackage()]
}

/** Node itself and the diagnostic programs. Returns the files of this machine that were copied. */
async function addMachineCode(root: string): Promise<string[]> {
  const nodeFile = path.join(projectDir, nodePackage(), 'bin/node')
  const libraries = await copyProgram(root, nodeFile, '/usr/bin/node')
  if (!(await strip(path.join(root, 'usr/bin/node')))) {
    process.stderr.write(
      'no `strip` (package binutils): the plugin is 20 MB larger than it need be\n',
    )
  }
  for (const name of diagnosticPrograms) {
    const file = await findProgram(name)
    if (file === undefined) process.stderr.write(`no ${name} (package iproute2): left out\n`)
    else libraries.push(file, ...(await copyProgram(root, file, `/usr/sbin/${name}`)))
  }
  return libraries
}

function nodePackage(): string {
  const folder = `node_modules/node-linux-${process.arch}`
  if (existsSync(path.join(projectDir, folder, 'bin/node'))) return folder
  throw new Error(`${folder} is missing: run \`make setup\``)
}

async function reportSizes(out: string, durationMs: number): Promise<void> {
  const parts = ['rootfs/usr/bin/node', 'rootfs/app', 'rootfs'].map((part) => path.join(out, part))
  const measured = await execa('du', ['--summarize', '--block-size=1K', ...parts])
  const [node, app, rest] = measured.stdout.split('\n').map((line) => Number.parseInt(line, 10))
  const inMegabytes = (kilobytes: number): string => `${(kilobytes / 1000).toFixed(1)} MB`
  const [nodeSize, appSize] = [inMegabytes(node!), inMegabytes(app!)]
  // du counts a file once, so the last figure is the root without the parts before it.
  const total = inMegabytes(node! + app! + rest!)
  const seconds = (durationMs / 1000).toFixed(1)
  process.stdout.write(
    `${path.relative(process.cwd(), out)}: ${total} (Node ${nodeSize}, our code ${appSize}), built in ${seconds} s\n`,
  )
}

try {
  await main()
} catch (error) {
  // esbuild and the programs that were called have said what is wrong where.
  process.stderr.write(
    `plugin/build.ts: ${error instanceof Error ? error.message : String(error)}\n`,
  )
  process.exitCode = 1
}
