import { expect } from 'chai'
import { packageFolders } from '../../../plugin/bundle.ts'

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
