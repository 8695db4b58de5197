/**
 * A temporary folder for each test process: `os.tmpdir()` is in it, and it goes with the process.
 * What a killed process left is removed by the next one.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'ts-overlay-test-'

/** Makes the folder of this process below `parent`. Returns its path. */
export function makeScratch(parent: string): string {
  removeLeftovers(parent)
  const folder = join(parent, `${prefix}${process.pid}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** Removes the folders `ts-overlay-test-PID…` below `parent` whose processes have ended. */
export function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = /^ts-overlay-test-(\d+)/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeScratch(join(parent, name))
  }
}

/** Removes a folder with what is mounted in it: pinned network namespaces. */
export function removeScratch(folder: string): void {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${folder}/`))
  for (const point of points.toReversed()) spawnSync('umount', ['--lazy', point])
  rmSync(folder, { recursive: true, force: true })
}

const scratch = makeScratch(tmpdir())
process.env['TMPDIR'] = scratch
process.on('exit', () => removeScratch(scratch))
