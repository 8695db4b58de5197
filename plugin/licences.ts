/** The licences of everything in the plugin, under /usr/share/licenses of its root file system. */
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { projectDir } from './project.ts'

const licenceName = /^(licen[cs]e|copying|notice)/i

/**
 * Copies the licence texts of npm packages (folders relative to the checkout) and returns packages
 * without one.
 */
export async function copyPackageLicences(
  root: string,
  folders: readonly string[],
): Promise<string[]> {
  const without: string[] = []
  for (const folder of folders) {
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const names = (await readdir(path.join(projectDir, folder))).filter((file) =>
      licenceName.test(file),
    )
    if (names.length === 0) without.push(name)
    for (const file of names) {
      await copyInto(root, name, path.join(projectDir, folder, file), file)
    }
  }
  return without
}

/**
 * Copies the copyright files of the Debian packages that the given files belong to, where dpkg
 * knows them.
 */
export async function copyDebianLicences(root: string, files: readonly string[]): Promise<void> {
  // Libraries may be listed under /lib where the package has /usr/lib, or the other way round.
  const names = files.flatMap((file) => [file, file.replace(/^\/usr/, ''), `/usr${file}`])
  const owners = await execa('dpkg-query', ['--search', ...new Set(names)], { reject: false })
  const packages = (owners.stdout ?? '').split('\n').flatMap((line) => {
    const owner = /^([^:,\s]+)(?::\S+)?: \//.exec(line)
    return owner === null ? [] : [owner[1]!]
  })
  for (const name of new Set(packages)) {
    const text = `/usr/share/doc/${name}/copyright`
    if (existsSync(text)) await copyInto(root, name, text, 'copyright')
  }
}

async function copyInto(root: string, name: string, source: string, file: string): Promise<void> {
  const dir = path.join(root, 'usr/share/licenses', name)
  await mkdir(dir, { recursive: true })
  await cp(source, path.join(dir, file), { dereference: true })
}
