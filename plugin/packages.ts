/** The packages that the plugin's files come from, with where their sources are. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import { projectDir } from './project.ts'

export interface Package {
  readonly name: string
  readonly version: string
  /** Package URL (purl-spec), by which all others refer to the package. */
  readonly purl: string
  /** SPDX expression; null where only a text says it. */
  readonly license: string | null
  /** Where the source is published. */
  readonly source: string
}

/** The npm package in a folder below the checkout. */
export function npmPackage(folder: string): Package {
  const file = path.join(projectDir, folder, 'package.json')
  const { name, version, license } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly name: string
    readonly version: string
    readonly license?: string
  }
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  const source = `https://www.npmjs.com/package/${name}/v/${version}`
  return { name, version, purl, license: license ?? null, source }
}

/**
 * The Debian package of each file of this machine; undefined for a file that dpkg does not know.
 * Libraries may be listed under /lib where the package has /usr/lib, or the other way round.
 */
export async function debianPackages(files: readonly string[]): Promise<Map<string, Package>> {
  const owners = new Map<string, string>()
  for (const file of files) {
    const names = [file, file.replace(/^\/usr/, ''), `/usr${file}`]
    const found = await execa('dpkg-query', ['--search', ...names], { reject: false })
    const owner = /^([^,\s]+?): \//m.exec(found.stdout ?? '')?.[1]
    if (owner !== undefined) owners.set(file, owner)
  }
  const packages = new Map<string, Package>()
  for (const owner of new Set(owners.values())) packages.set(owner, await debianPackage(owner))
  return new Map(Array.from(owners, ([file, owner]) => [file, packages.get(owner)!]))
}

async function debianPackage(owner: string): Promise<Package> {
  const fields = ['Package', 'Version', 'Architecture', 'source:Package', 'source:Version']
  const format = fields.map((field) => `\${${field}}`).join('|')
  const shown = await execa('dpkg-query', ['--show', '--showformat', format, owner])
  const [name, version, architecture, sourceName, sourceVersion] = shown.stdout.split('|')
  return {
    name: name!,
    version: version!,
    purl: `pkg:deb/debian/${name}@${encodeURIComponent(version!)}?arch=${architecture}`,
    license: null,
    source: `https://snapshot.debian.org/package/${sourceName}/${encodeURIComponent(sourceVersion!)}/`,
  }
}
