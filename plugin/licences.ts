/** The licences of everything in the plugin, under /usr/share/licenses of its root file system. */
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Package } from './packages.ts'
import { projectDir } from './project.ts'
import type { Provenance } from './provenance.ts'

const licenceName = /^(licen[cs]e|copying|notice)/i
/** In the root file system. */
const folder = 'usr/share/licenses'
/** Where Debian keeps the texts that its packages refer to. */
const commonLicences = '/usr/share/common-licenses'

/** Copies the licence texts in a package's folder, for `item`. Throws when there is none. */
export async function copyPackageLicences(
  root: string,
  packageFolder: string,
  item: Package,
  provenance: Provenance,
): Promise<void> {
  const from = path.join(projectDir, packageFolder)
  const names = (await readdir(from)).filter((file) => licenceName.test(file))
  if (names.length === 0)
    throw new Error(`${packageFolder} has no text of its licence: leave the package out`)
  for (const file of names)
    await copyText(root, path.join(from, file), `${item.name}/${file}`, [item], provenance)
}

/** Copies the copyright file of a Debian package, and the texts that it refers to. */
export async function copyDebianLicences(
  root: string,
  item: Package,
  provenance: Provenance,
): Promise<void> {
  const copyright = `/usr/share/doc/${item.name}/copyright`
  if (!existsSync(copyright)) throw new Error(`${copyright} is missing: install ${item.name} whole`)
  await copyText(root, copyright, `${item.name}/copyright`, [item], provenance)
  const text = await readFile(copyright, 'utf8')
  for (const [, name] of text.matchAll(/\/usr\/share\/common-licenses\/([\w.-]*\w)/g)) {
    const common = path.join(commonLicences, name!)
    if (existsSync(common)) await copyText(root, common, `common/${name}`, [item], provenance)
  }
}

/** Where the source of each package is: for licences that ask for an offer of it. */
export async function writeSources(
  root: string,
  own: Package,
  provenance: Provenance,
): Promise<void> {
  const lines = provenance.packages.map(
    ({ name, version, source }) => `${name} ${version}\n    ${source}\n`,
  )
  const text = `The source of everything in this file system, at the version that is in it. Whoever cannot get one
of these any more gets it from the project for three years after the release: ${own.source}

${lines.join('')}`
  await mkdir(path.join(root, folder), { recursive: true })
  await writeFile(path.join(root, folder, 'SOURCES'), text)
  provenance.add(`${folder}/SOURCES`, [own])
}

/** Copies a text into the folder of licences. */
export async function copyText(
  root: string,
  from: string,
  name: string,
  packages: readonly Package[],
  provenance: Provenance,
): Promise<void> {
  const target = path.join(root, folder, name)
  await mkdir(path.dirname(target), { recursive: true })
  await cp(from, target, { dereference: true })
  provenance.add(`${folder}/${name}`, packages)
}
