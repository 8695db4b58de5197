import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { codeOf } from '../support/readme.ts'

const root = new URL('../..', import.meta.url).pathname
const project = join(root, '../..')

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly scripts?: unknown
  readonly files: readonly string[]
}

/**
 * The example of the README and some types, as somebody writes them who has installed the package.
 */
const APPLICATION = `
import { Memberlist, SocketTransport, type Delegate, type Member } from 'memberlist-js'
const delegate: Delegate = { onMessage: (message, from) => void [message.length, from.port] }
await using list = new Memberlist({ name: 'a', transport: await SocketTransport.bind(), delegate })
list.on('join', (member: Member) => void member.name)
// @ts-expect-error there is no such event
list.on('nothing', () => undefined)
`
const STRICT = { strict: true, noEmit: true, module: 'nodenext', target: 'esnext', types: ['node'] }

describe('the package as it would be published', function () {
  this.timeout(120_000)
  /** Where everything happens, and in it the application that installs the package. */
  let directory: string
  let application: string
  let installed: string
  const manifestOf = (of: string) =>
    JSON.parse(readFileSync(join(of, 'package.json'), 'utf8')) as Manifest

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'memberlist-js-'))
    // Packing changes package.json for a moment, so it happens to a copy.
    const copy = join(directory, 'project/packages/memberlist-js')
    for (const name of [
      'package.json',
      'README.md',
      'LICENSE',
      'tsconfig.build.json',
      'src',
      'bench',
    ]) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    cpSync(join(project, 'tsconfig.json'), join(directory, 'project/tsconfig.json'))
    symlinkSync(join(project, 'node_modules'), join(directory, 'project/node_modules'))
    npm(copy, 'pack', '--silent', '--pack-destination', directory)
    expect(readFileSync(join(copy, 'package.json'), 'utf8'), 'after packing').to.equal(
      readFileSync(join(root, 'package.json'), 'utf8'),
    )
    application = join(directory, 'application')
    mkdirSync(application)
    writeFileSync(join(application, 'package.json'), '{ "private": true }')
    const { version } = manifestOf(root)
    npm(application, 'install', '--silent', `../memberlist-js-${version}.tgz`)
    installed = join(application, 'node_modules/memberlist-js')
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  /** Nothing is asked of a registry. */
  function npm(cwd: string, ...args: string[]): void {
    const env = { ...process.env, npm_config_cache: join(cwd, '.npm'), npm_config_offline: 'true' }
    execFileSync('npm', args, { cwd, env, stdio: 'pipe' })
  }

  function tsc(cwd: string, ...args: string[]): void {
    const compiler = join(project, 'node_modules/typescript/bin/tsc')
    execFileSync(process.execPath, [compiler, ...args], { cwd, encoding: 'utf8' })
  }

  it('offers nothing that is not in it', () => {
    const { exports, scripts, files } = manifestOf(installed)
    expect(scripts).to.equal(undefined)
    expect(Object.keys(exports['.']!)).to.deep.equal(['types', 'default'])
    const offered = [...Object.values(exports['.']!), ...files, 'LICENSE', 'README.md']
    for (const path of offered) expect(existsSync(join(installed, path)), path).to.equal(true)
  })

  for (const flags of [[], ['--conditions=source']]) {
    it(`runs the example of its README by node ${flags.join()}`, () => {
      const readme = readFileSync(join(installed, 'README.md'), 'utf8')
      writeFileSync(join(application, 'example.mjs'), codeOf(readme, 'js'))
      const output = execFileSync(process.execPath, [...flags, 'example.mjs'], { cwd: application })
      expect(output.toString()).to.include('alice got: hello').and.include('bob is gone: left')
    })
  }

  it('has types that a strict application can be checked against', () => {
    symlinkSync(join(project, 'node_modules/@types'), join(application, 'node_modules/@types'))
    writeFileSync(join(application, 'application.mts'), APPLICATION)
    const config = { compilerOptions: STRICT, files: ['application.mts'] }
    writeFileSync(join(application, 'tsconfig.json'), JSON.stringify(config))
    tsc(application, '-p', '.')
  })

  it('needs nothing but Node', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as object
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies']) {
      expect(manifest).not.to.have.property(kind)
    }
    const imports = execFileSync('grep', ['-rhoE', "from '[^.][^']*'", join(root, 'src')])
    for (const line of imports.toString().trim().split('\n')) {
      expect(line).to.match(/^from 'node:/)
    }
  })
})
