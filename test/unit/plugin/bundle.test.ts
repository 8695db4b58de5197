import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { bundle, keepBuiltinsLazy, packageFolders } from '../../../plugin/bundle.ts'
import { projectDir } from '../../../plugin/project.ts'

describe('the packages of a bundle', () => {
  it('are told from the paths of its files, scoped and nested ones too', () => {
    const files = [
      'src/main.ts',
      'packages/memberlist-js/src/index.ts',
      'node_modules/express/index.js',
      'node_modules/express/lib/application.js',
      'node_modules/@scope/name/index.js',
      'node_modules/express/node_modules/debug/src/index.js',
    ]
    expect(packageFolders(files)).to.deep.equal([
      'node_modules/@scope/name',
      'node_modules/express',
      'node_modules/express/node_modules/debug',
    ])
  })
})

describe('the bundles', () => {
  it('leave what a module of Node loads only when it is used', () => {
    const script = 'var util=__toESM(require("node:util"),1),other=__toESM(require_other(),1);'
    expect(keepBuiltinsLazy(script)).to.equal(
      'var util=builtinModule(require("node:util")),other=__toESM(require_other(),1);',
    )
  })

  it('have the media types and the character sets that are used, and not their tables', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ts-overlay-bundle-'))
    try {
      await bundle({ main: join(projectDir, 'src/main.ts') }, folder)
      const script = await readFile(join(folder, 'main.cjs'), 'utf8')
      for (const kept of ['application/json', 'text/html', 'iso-8859-1', 'utf-16le'])
        expect(script.toLowerCase()).to.contain(kept)
      for (const gone of ['application/vnd.ms-excel', 'windows-1251', 'shiftjis'])
        expect(script.toLowerCase(), gone).to.not.contain(gone)
      expect(script).to.not.match(/__toESM\(require\("node:/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
