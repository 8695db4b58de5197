import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect } from 'chai'

const root = resolve(import.meta.dirname, '../..')

/** Which rooms a room may import from, besides itself. The outermost files of src may import all. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  base: [],
  net: ['base'],
  settings: ['base', 'net'],
  host: ['base', 'net'],
  'engine-api': ['base', 'net'],
  'engine-client': ['base', 'net'],
  identity: ['base', 'net'],
  consensus: ['base', 'net'],
  peers: ['base', 'net'],
  names: ['base', 'net'],
  ipam: ['base', 'net'],
  cluster: ['base', 'net'],
  dataplane: ['base', 'net'],
  store: ['base', 'net'],
  admin: ['base', 'net'],
  driver: ['base', 'net', 'engine-api', 'ipam', 'cluster', 'dataplane', 'store'],
}

/** Packages that only one place may know. */
const confined: Readonly<Record<string, RegExp>> = {
  express: /^src\/(engine-api|admin)\//,
  'memberlist-js': /^src\/cluster\//,
  '@peculiar/asn1-x509': /^src\/identity\//,
  '@peculiar/asn1-schema': /^src\/identity\//,
  koffi: /^src\/dataplane\/linux\//,
  netmask: /^src\/net\//,
  debug: /^src\/base\//,
}

/** Lines in a file; beyond it a second idea has moved in. */
const linesMax = 300

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    .filter((file) => !file.includes('node_modules/') && !file.includes('/dist/'))
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [
    ...text.matchAll(/^(?:import|export)\s[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm),
  ].map((match) => match[1] ?? match[2]!)
}

function roomOf(file: string): string | null {
  const parts = file.split('/')
  return parts.length > 2 ? parts[1]! : null
}

/** The text without comments and strings' contents, roughly: enough to look for identifiers. */
function codeOf(file: string): string {
  return readFileSync(join(root, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '')
}

const sources = filesUnder('src')
const library = filesUnder('packages/memberlist-js/src')

describe('the house', () => {
  it('has only rooms that the arrows know', () => {
    const rooms = new Set(sources.map(roomOf).filter((room) => room !== null))
    for (const room of rooms) expect([...Object.keys(arrows), 'wiring'], room).to.include(room)
  })

  it('keeps its arrows: a room imports only from the rooms below it', () => {
    for (const file of sources) {
      const room = roomOf(file)
      if (room === null || room === 'wiring') continue
      for (const target of importsOf(file).filter((name) => name.startsWith('.'))) {
        const path = relative(root, resolve(root, dirname(file), target)).replaceAll(sep, '/')
        const other = roomOf(path)
        const allowed = other === room || (other !== null && arrows[room]!.includes(other))
        expect(allowed, `${file} imports ${path}`).to.equal(true)
      }
    }
  })

  it('lets only the room that wraps a package know it', () => {
    for (const file of sources)
      for (const name of importsOf(file)) {
        const place = confined[name]
        if (place !== undefined) expect(file, `${file} imports ${name}`).to.match(place)
      }
  })

  it('has a library that knows nothing of this house', () => {
    for (const file of library)
      for (const name of importsOf(file)) {
        const own = relative(root, resolve(root, dirname(file), name)).replaceAll(sep, '/')
        const allowed = name.startsWith('node:') || own.startsWith('packages/memberlist-js/src/')
        expect(allowed, `${file} imports ${name}`).to.equal(true)
      }
  })

  it('takes time and chance only from its ports', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\)|(?<!\.)\bsetTimeout\(|(?<!\.)\bsetInterval\(|\bMath\.random\b/
    for (const file of sources.filter((name) => !name.startsWith('src/base/')))
      expect(impure.exec(codeOf(file))?.[0], file).to.equal(undefined)
  })

  it('touches the kernel in one place', () => {
    for (const file of sources.filter((name) => !name.startsWith('src/dataplane/linux/')))
      expect(importsOf(file), file).to.not.include('execa')
  })

  it('keeps files to one idea', () => {
    for (const file of [...sources, ...library]) {
      const lines = readFileSync(join(root, file), 'utf8').trimEnd().split('\n').length
      expect(lines, file).to.be.at.most(linesMax)
    }
  })

  it('has no file that nobody imports', () => {
    const entries = ['src/main.ts', 'src/cli.ts', 'src/settings/docs.ts']
    const used = new Set(
      [...sources, ...filesUnder('plugin'), ...filesUnder('bench'), ...filesUnder('test')].flatMap(
        (file) =>
          importsOf(file)
            .filter((name) => name.startsWith('.'))
            .map((name) => relative(root, resolve(root, dirname(file), name)).replaceAll(sep, '/')),
      ),
    )
    for (const file of sources.filter((name) => !entries.includes(name)))
      expect(used.has(file), `nobody imports ${file}`).to.equal(true)
  })
})
