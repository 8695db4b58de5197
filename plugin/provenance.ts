/**
 * Where each file of the root file system comes from, and what the whole is: a bill of materials
 * in CycloneDX, and one digest. Two builds of one checkout on one machine have the same digest.
 */
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, lutimesSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import type { Package } from './packages.ts'

/** The time of every file, so that it does not depend on the time of the build. */
const epoch = new Date(1000 * Number(process.env['SOURCE_DATE_EPOCH'] ?? 0))

/** Collects the packages of each file. */
export class Provenance {
  readonly #packages = new Map<string, readonly Package[]>()

  /** `file` is a path in the root file system, from its root. */
  add(file: string, packages: readonly Package[]): void {
    this.#packages.set(path.join('/', file), packages)
  }

  get files(): ReadonlyMap<string, readonly Package[]> {
    return this.#packages
  }

  /** All packages, each once, in the order of their URLs. */
  get packages(): Package[] {
    const all = new Map([...this.#packages.values()].flat().map((item) => [item.purl, item]))
    return [...all.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1))
  }
}

/**
 * The bill of materials: every package, and every file with its digest and its packages. Throws
 * when a file's origin is not known.
 */
export function billOfMaterials(root: string, own: Package, provenance: Provenance): object {
  const files = filesBelow(root).map((file) => {
    const packages = provenance.files.get(file)
    if (packages === undefined) throw new Error(`nothing says where ${file} comes from`)
    return {
      type: 'file',
      'bom-ref': `file:${file}`,
      name: file,
      hashes: [{ alg: 'SHA-256', content: sha256(readFileSync(path.join(root, file))) }],
      properties: packages.map(({ purl }) => ({ name: 'ts-overlay:from', value: purl })),
    }
  })
  const libraries = provenance.packages.filter(({ purl }) => purl !== own.purl)
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: component(own, 'application') },
    components: [...libraries.map((item) => component(item, 'library')), ...files],
    dependencies: [{ ref: own.purl, dependsOn: libraries.map(({ purl }) => purl) }],
  }
}

function component({ name, version, purl, license, source }: Package, type: string): object {
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    purl,
    ...(license === null ? {} : { licenses: [{ expression: license }] }),
    externalReferences: [{ type: 'source-distribution', url: source }],
  }
}

/** Gives files and folders the same times and modes wherever and whenever they were written. */
export function normalise(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).concat('.')) {
    const file = path.join(folder, entry)
    const stat = lstatSync(file)
    if (!stat.isSymbolicLink())
      chmodSync(file, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644)
    lutimesSync(file, epoch, epoch)
  }
}

/** The digest of a folder: of the path, mode, time and content of all that is in it. */
export function digestOf(folder: string): string {
  const lines = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const file = path.join(folder, name)
      const { mode, mtimeMs } = lstatSync(file)
      const isFile = lstatSync(file).isFile()
      return `${name} ${mode.toString(8)} ${mtimeMs} ${isFile ? sha256(readFileSync(file)) : '-'}`
    })
  return sha256(Buffer.from(lines.join('\n')))
}

function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join('/', name))
    .filter((file) => !lstatSync(path.join(root, file)).isDirectory())
    .sort()
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
