import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { codeOf } from '../support/readme.ts'

const root = new URL('../..', import.meta.url).pathname

/** The example of the README and some types, as somebody writes them who has installed the package. */
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
  this.timeout(60_000)
  let directory: string

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'memberlist-js-'))
    const installed = join(directory, 'node_modules/memberlist-js')
    tsc(root, '-p', 'tsconfig.build.json', '--outDir', join(installed, 'dist'))
    cpSync(join(root, 'package.json'), join(installed, 'package.json'))
    cpSync(join(root, 'README.md'), join(installed, 'README.md'))
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  function tsc(cwd: string, ...args: string[]): void {
    const compiler = join(root, '../../node_modules/typescript/bin/tsc')
    execFileSync(process.execPath, [compiler, ...args], { cwd, encoding: 'utf8' })
  }

  it('runs the example of its README by plain node', () => {
    const readme = readFileSync(join(directory, 'node_modules/memberlist-js/README.md'), 'utf8')
    writeFileSync(join(directory, 'example.mjs'), codeOf(readme, 'js'))
    const output = execFileSync(process.execPath, ['example.mjs'], { cwd: directory })
    expect(output.toString()).to.include('alice got: hello').and.include('bob is gone: left')
  })

  it('has types that a strict application can be checked against', () => {
    symlinkSync(join(root, '../../node_modules/@types'), join(directory, 'node_modules/@types'))
    writeFileSync(join(directory, 'application.mts'), APPLICATION)
    const config = { compilerOptions: STRICT, files: ['application.mts'] }
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config))
    tsc(directory, '-p', '.')
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
