/**
 * Root file systems of the lab's machines, built once by `debootstrap` and shared, read-only, by
 * all of them.
 *
 * Invariant: a folder under its final name is complete. A root is built under another name, gets a
 * marker that names what is in it, and is renamed last; a build that was cut short is thrown away
 * by the next one.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { debianMirror } from './debian-mirror.ts'
import { engineSources, type EngineSource, type EngineVersion } from './engines.ts'
import { cacheDir } from './paths.ts'

const rootsDir = path.join(cacheDir, 'roots')
const markerName = 'ts-overlay-root.json'

/** A root takes about 40 s on a quiet machine; a slow mirror or a busy one, some times that. */
const buildTimeoutMs = 1_800_000

/**
 * Returns the folder of the engine's root file system and builds it first if it is not there yet.
 */
export async function ensureRoot(
  version: EngineVersion,
  report: (line: string) => void = () => {},
): Promise<string> {
  return ensureDebianRoot(engineSources[version], `Docker ${version}`, report)
}

/**
 * As `ensureRoot`, for any Debian release and list of packages; `what` names it in progress
 * reports.
 */
export async function ensureDebianRoot(
  source: EngineSource,
  what: string,
  report: (line: string) => void = () => {},
): Promise<string> {
  const root = path.join(rootsDir, rootName(source))
  if (isComplete(root)) return root
  await mkdir(rootsDir, { recursive: true })
  report(`building the root file system with ${what} (Debian ${source.suite}), once per machine`)
  await withFileLock(`${root}.lock`, () => build(root, source))
  return root
}

function rootName(source: EngineSource): string {
  const recipe = JSON.stringify([source.suite, process.arch, [...source.packages].sort()])
  return `${source.suite}-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`
}

function isComplete(root: string): boolean {
  return existsSync(path.join(root, markerName))
}

async function build(root: string, source: EngineSource): Promise<void> {
  if (isComplete(root)) return
  const partial = `${root}.partial`
  await removeTree(partial)
  await removeTree(root)
  const mirror = await debianMirror()
  const packages = `--include=${source.packages.join(',')}`
  const where = [source.suite, partial, ...(mirror === undefined ? [] : [mirror])]
  const made = await execa('debootstrap', ['--variant=minbase', packages, ...where], {
    reject: false,
    timeout: buildTimeoutMs,
    env: { DEBIAN_FRONTEND: 'noninteractive', DEBOOTSTRAP_DIR: await debootstrapFolder(source) },
    all: true,
  })
  if (made.failed)
    throw new Error(`debootstrap of ${source.suite} failed:\n${lastLines(made.all, 15)}`)
  await trim(partial)
  await writeMarker(partial, source)
  await rename(partial, root)
}

/**
 * debootstrap's own folder, or a copy of it that knows a release younger than this machine's
 * debootstrap.
 */
async function debootstrapFolder(source: EngineSource): Promise<string> {
  const known = '/usr/share/debootstrap'
  if (existsSync(path.join(known, 'scripts', source.suite))) return known
  const copy = path.join(cacheDir, 'debootstrap')
  const script = path.join(copy, 'scripts', source.suite)
  await cp(known, copy, { recursive: true, verbatimSymlinks: true })
  await rm(script, { force: true })
  await symlink(source.script, script)
  return copy
}

/**
 * Drops what no lab machine reads: the downloaded packages, indexes and documentation, about 180
 * MB.
 */
async function trim(root: string): Promise<void> {
  for (const unused of ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/man']) {
    await rm(path.join(root, unused), { recursive: true, force: true })
  }
}

async function writeMarker(root: string, source: EngineSource): Promise<void> {
  const query = ['--show', '--showformat', '${Package} ${Version}\n']
  const packages = await execa('chroot', [root, 'dpkg-query', ...query])
  const marker = { suite: source.suite, packages: packages.stdout.split('\n') }
  await writeFile(path.join(root, markerName), `${JSON.stringify(marker, null, 1)}\n`)
}

/**
 * Removes a root, also one whose build died with /proc mounted in it: debootstrap mounts it there.
 */
async function removeTree(root: string): Promise<void> {
  if (!existsSync(root)) return
  await execa('umount', ['--lazy', path.join(root, 'proc')], { reject: false })
  await execa('umount', ['--lazy', path.join(root, 'sys')], { reject: false })
  await execa('rm', ['-rf', '--one-file-system', root])
}

/**
 * Runs `act` while no other process of this machine holds the lock; the kernel drops it should we
 * die.
 */
async function withFileLock(file: string, act: () => Promise<void>): Promise<void> {
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(holder, 'exit')
  try {
    await once(holder.stdout, 'data')
    await act()
  } finally {
    holder.stdin.end()
    await ended
  }
}

function lastLines(text: string | undefined, count: number): string {
  return (text ?? '').split('\n').slice(-count).join('\n')
}
