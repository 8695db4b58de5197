/**
 * The list of labs that exist on this machine, one file each, so that what a crashed or kept run
 * left is found again. A file names the folder to remove and the process that made the lab.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { removeControlGroups } from './control-groups.ts'
import { stopMachines } from './machine.ts'
import { labRegisterDir } from './paths.ts'
import { isAlive, type ProcessMark } from './processes.ts'

export interface LabEntry {
  readonly dir: string
  readonly owner: ProcessMark
  readonly keep: boolean
}

const fileOf = (dir: string): string => path.join(labRegisterDir, `${path.basename(dir)}.json`)

export async function writeEntry(entry: LabEntry): Promise<void> {
  await mkdir(labRegisterDir, { recursive: true })
  await writeFile(fileOf(entry.dir), JSON.stringify(entry))
}

/**
 * Ends the lab's processes, removes its folder and its entry. What the kernel held for it goes with
 * the processes.
 */
export async function removeLab(entry: LabEntry): Promise<void> {
  await stopMachines(entry.dir)
  await removeControlGroups(entry.dir)
  // The last mounts go a moment after the last process; --one-file-system never follows one.
  await execa('rm', ['-rf', '--one-file-system', entry.dir])
  await rm(fileOf(entry.dir), { force: true })
}

/**
 * Removes labs whose owner is gone; with `kept` also those that were to outlive it. Returns their
 * folders.
 */
export async function sweepLabs(options: { kept: boolean }): Promise<string[]> {
  const names = await readdir(labRegisterDir).catch(() => [])
  const removed: string[] = []
  for (const name of names) {
    const text = await readFile(path.join(labRegisterDir, name), 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const entry = JSON.parse(text) as LabEntry
    const inUse = entry.keep ? !options.kept : await isAlive(entry.owner)
    if (inUse) continue
    await removeLab(entry)
    removed.push(entry.dir)
  }
  return removed
}
