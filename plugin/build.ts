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
import { buildPage } from './build-page.ts'
import { bundle, copyKoffi } from './bundle.ts'
import { buildRootfsWithDocker } from './docker-build.ts'
import { writeLauncher } from './launcher.ts'
import { copyDebianLicences, copyPackageLicences, copyText, writeSources } from './licences.ts'
import { type Package, debianPackages, npmPackage } from './packages.ts'
import { copyProgram, strip } from './programs.ts'
import { projectDir } from './project.ts'
import { Provenance, billOfMaterials, digestOf, normalise } from './provenance.ts'

/** Of ts-overlay itself. */
const repository = 'https://github.com/ts-overlay/ts-overlay'
/** The bill of materials, in the root file system. */
const billFile = 'usr/share/sbom/ts-overlay.cdx.json'

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
  normalise(partial)
  await putInPlace(partial, out)
  await reportSizes(out, performance.now() - started)
}

/** An equal build under the final name stays: engines may be reading it. */
async function putInPlace(partial: string, out: string): Promise<void> {
  if (existsSync(out) && digestOf(out) === digestOf(partial))
    return rm(partial, { recursive: true, force: true })
  await rm(out, { recursive: true, force: true })
  await rename(partial, out)
}

async function buildRootfs(root: string, mainFile: string): Promise<void> {
  const own = { ...npmPackage('.'), source: repository }
  const provenance = new Provenance()
  for (const folder of emptyFolders) await mkdir(path.join(root, folder), { recursive: true })
  await mkdir(path.join(root, 'etc'), { recursive: true })
  for (const [file, text] of Object.entries(accounts)) {
    await writeFile(path.join(root, file), text)
    provenance.add(file, [own])
  }
  await addOwnPrograms(root, mainFile, own, provenance)
  await addNode(root, provenance)
  const licence = path.join(projectDir, 'LICENSE')
  await copyText(root, licence, `${own.name}/LICENSE`, [own], provenance)
  await writeSources(root, own, provenance)
  const bill = billOfMaterials(root, own, provenance)
  await mkdir(path.join(root, path.dirname(billFile)), { recursive: true })
  await writeFile(path.join(root, billFile), `${JSON.stringify(bill, null, 1)}\n`)
}

/** /app: the plugin, the command line, the page and koffi. */
async function addOwnPrograms(
  root: string,
  mainFile: string,
  own: Package,
  provenance: Provenance,
): Promise<void> {
  const app = path.join(root, 'app')
  const main = await bundle({ main: path.resolve(mainFile) }, app)
  const rights = await bundle({ rights: path.join(projectDir, 'src/rights.ts') }, app)
  const resolver = await bundle({ resolver: path.join(projectDir, 'src/resolver.ts') }, app)
  const cli = await buildCli(app)
  const page = await buildPage(app)
  await cp(path.join(projectDir, 'plugin/start.cjs'), path.join(app, 'start.cjs'))
  const bundles = {
    'main.cjs': main,
    'resolver.cjs': resolver,
    'rights.cjs': rights,
    'docker-ts-overlay': cli,
    'page.html': page,
  }
  for (const [file, folders] of Object.entries(bundles))
    provenance.add(`app/${file}`, [own, ...folders.map(npmPackage)])
  await writeLauncher(app)
  for (const file of ['launcher', 'start.cjs', 'package.json']) provenance.add(`app/${file}`, [own])
  const { folder: koffi, files } = await copyKoffi(app)
  for (const file of files) provenance.add(`app/${file}`, [npmPackage(koffi)])
  for (const folder of new Set([...main, ...resolver, ...rights, ...cli, ...page]))
    await copyPackageLicences(root, folder, npmPackage(folder), provenance)
  // The package of the machine code has no text of its own.
  await copyPackageLicences(root, 'node_modules/koffi', npmPackage(koffi), provenance)
}

/** Node itself, and the libraries of this machine that it loads. */
async function addNode(root: string, provenance: Provenance): Promise<void> {
  const folder = nodePackage()
  const target = '/usr/bin/node'
  const libraries = await copyProgram(root, path.join(projectDir, folder, 'bin/node'), target)
  await strip(path.join(root, target))
  const node = npmPackage(folder)
  provenance.add(target, [node])
  await copyPackageLicences(root, folder, node, provenance)
  const debian = await debianPackages(libraries)
  for (const library of libraries) {
    const item = debian.get(library)
    if (item === undefined)
      throw new Error(`${library} is of no Debian package: build with \`make plugin DOCKER=1\``)
    provenance.add(library, [item])
    await copyDebianLicences(root, item, provenance)
  }
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
  process.stdout.write(`digest sha256:${digestOf(out)}\n`)
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
